"""hardiot admit: tokens for gateways that come back with a backlog."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.admission import run
from jobs.cli.output import Format, OutputOption, log, show_json
from jobs.cli.where import BootstrapOption, find_bootstrap


def admit(
    budget: Annotated[
        float, typer.Option(min=1, help="Readings a second of backlog that the cell can bear.")
    ],
    bootstrap: BootstrapOption = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many seconds.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Share a cell's budget for backlog among the gateways that have one, until it is stopped.

    Gateways that need tokens (their setting uplink.admission: required) send backlog only while
    this runs; live data and alerts never wait for it. It keeps no state: start it anew at any time,
    one at a time. A new one waits 15 s, until the tokens of the one before have expired.

    Example: hardiot admit --budget 2000000
    """

    def report(done: run.Round) -> None:
        if output is Format.JSON:
            fields = {name: getattr(done, name) for name in done.__dataclass_fields__}
            show_json(fields, indent=None)
        elif done.gateways:
            each = done.readings_per_s / done.gateways
            log.print(f"{done.gateways} of {done.known} gateways, {each:,.0f} readings/s each")

    run.admit(find_bootstrap(bootstrap), budget, seconds, report)
