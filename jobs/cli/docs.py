"""hardiot docs: write the generated reference pages, or check that they are current."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import detect_anomalies, rollup_readings
from jobs.cli.output import fail, log
from jobs.common import reference
from jobs.common.samples import samples
from jobs.common.settings import JobSettings

SETTINGS: dict[str, type[JobSettings]] = {
    "rollup_readings": rollup_readings.Settings,
    "detect_anomalies": detect_anomalies.Settings,
}


def docs(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Only say which are stale.")] = False,
) -> None:
    """Write docs/reference and the sample settings. Exit 1: --check found stale ones.

    Example: hardiot docs --check
    """
    pages = reference.pages()
    pages |= (
        reference.settings_page(SETTINGS)
        | reference.cli_page(context.find_root().command)
        | samples(SETTINGS)
    )
    if not check:
        reference.write(pages)
        log.print(f"{len(pages)} pages written")
        return
    stale = reference.check(pages)
    if stale:
        raise fail("stale, run `hardiot docs`: " + ", ".join(map(str, stale)))
    log.print(f"{len(pages)} pages are current")
