"""The gateway's command: python -m edge SETTINGS.yaml"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge import logs
from edge.assemble import read_files
from edge.errors import EdgeError
from edge.gateway import Gateway
from edge.settings import read_settings
from edge.signals import stop_on_signals

WRONG_SETTINGS = 2

SETTINGS_HELP = "YAML file; see infra/edge/gateway.sample.yaml"
CHECK_HELP = "Only check the files."
LEVEL_HELP = "debug, info, warning or error."


def main(
    settings: Annotated[Path, typer.Argument(help=SETTINGS_HELP)],
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
    log_level: Annotated[str, typer.Option(help=LEVEL_HELP)] = "info",
) -> None:
    """Run a gateway until it is told to stop. Exit codes: 0 stopped, 2 wrong settings, 70 the disk
    failed (start again: what was not acknowledged comes again).

    Example: python -m edge /etc/hardiot/gateway.yaml --check
    """
    try:
        found = read_settings(settings)
        logs.set_up(found.facility, found.gateway, log_level)
        if check:
            read_files(found)
            typer.echo(f"{settings}: {found.facility}/{found.gateway}, nothing wrong", err=True)
            return
        gateway = Gateway(found)
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(WRONG_SETTINGS) from None
    sys.exit(gateway.run(stop_on_signals()))


if __name__ == "__main__":
    typer.run(main)
