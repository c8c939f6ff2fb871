"""hardiot gateway: the edge gateway, as it runs at a facility."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.__main__ import CHECK_HELP, LEVEL_HELP, SETTINGS_HELP, main


def gateway(
    settings: Annotated[Path, typer.Argument(help=SETTINGS_HELP)],
    check: Annotated[bool, typer.Option("--check", help=CHECK_HELP)] = False,
    log_level: Annotated[str, typer.Option(help=LEVEL_HELP)] = "info",
) -> None:
    """Run an edge gateway; the same as `python -m edge`, which needs edge/requirements.txt only.

    Example: hardiot gateway infra/edge/gateway.sample.yaml --check
    """
    main(settings, check, log_level)
