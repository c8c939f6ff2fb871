"""hardiot lake: make the tables of the archive, and say what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from jobs.cli.output import Format, OutputOption, log, show_rows
from jobs.cli.where import find_lake

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from pyiceberg.table import Table

lake_app = typer.Typer(name="lake", help="Tables of the archive.", no_args_is_help=True)

_MB = 1e6


@lake_app.command()
def init() -> None:
    """Make the tables that are missing, and add new columns to older ones; again does nothing.

    Example: hardiot lake init
    """
    from jobs.lake.catalog import open_catalog
    from jobs.lake.tables import ensure

    settings = find_lake()
    with open_catalog(settings) as catalog:
        for line in ensure(catalog, settings):
            log.print(line)
    log.print(f"the tables are as they should be in {settings.catalog_uri}")


@lake_app.command()
def tables(output: OutputOption = Format.TABLE) -> None:
    """List the tables with their rows, files, size and snapshots.

    Example: hardiot lake tables
    """
    from jobs.lake.catalog import open_catalog
    from jobs.lake.tables import TABLES, load_table

    settings = find_lake()
    with open_catalog(settings) as catalog:
        rows = [_row(load_table(catalog, settings, spec)) for spec in TABLES]
    show_rows(rows, output)


def _row(table: Table) -> dict[str, Any]:
    """From the last snapshot's own totals: no file is opened."""
    snapshot = table.current_snapshot()
    summary: Mapping[str, str] = (snapshot.summary if snapshot else None) or {}
    return {
        "table": table.name()[-1],
        "rows": int(summary.get("total-records") or 0),
        "files": int(summary.get("total-data-files") or 0),
        "megabytes": round(int(summary.get("total-files-size") or 0) / _MB, 3),
        "snapshots": len(table.metadata.snapshots),
    }
