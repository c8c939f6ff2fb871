"""hardiot restate: readings that are corrected by hand, and what was restated."""

from __future__ import annotations

import getpass
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, log, show_item, show_rows
from jobs.cli.where import BootstrapOption, find_bootstrap, find_lake
from jobs.common.errors import HardiotError

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.lake.compaction.changes import Why
    from jobs.lake.corrections.corrector import Corrections, Outlook

restate_app = typer.Typer(
    name="restate",
    help="Correct stored readings; see what was restated.\n\nExample: hardiot restate list",
    no_args_is_help=True,
)

FileArgument = Annotated[
    Path,
    typer.Argument(
        dir_okay=False,
        help="CSV or .parquet with the columns facility, gateway, sensor, time, value and, if you "
        "like, quality.",
    ),
]


@restate_app.command()
def correct(
    file: FileArgument,
    why: Annotated[
        str, typer.Option(help="What was wrong, for the audit; whoever looks later has only this.")
    ],
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; without it nothing changes.")
    ] = False,
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replace readings in table readings, make their minutes anew, and tell dashboards.

    Says what would change; with --apply it is done, and audited under your name. Each reading is
    one that is there, named by sensor and time. The same file again changes nothing.

    Example: hardiot restate correct calibration.csv --why "offset of 0.3 until 9:40" --apply
    """
    from jobs.lake.catalog import open_catalog
    from jobs.lake.corrections.corrector import Corrections
    from jobs.lake.corrections.file import read

    if not why.strip():
        raise HardiotError("--why is empty: say what was wrong with these readings")
    corrections = read(file)
    lake = find_lake()
    with open_catalog(lake) as catalog:
        desk = Corrections(catalog, lake)
        if apply:
            found = _make(desk, file, corrections, why, find_bootstrap(bootstrap))
        else:
            found = desk.look(file, corrections)
    show_item(_told(len(corrections), found), output)
    log.print("done" if apply else "nothing was changed; --apply does it")


def _make(desk: Corrections, file: Path, corrections: Any, why: str, bootstrap: str) -> Outlook:
    from kafka.errors import KafkaError

    from jobs.common.catalogues import TopicCatalogues
    from jobs.common.tail import no_answer
    from jobs.lake.compaction.topic import TopicRollups

    try:
        catalogues = TopicCatalogues(bootstrap)
    except KafkaError as error:
        raise no_answer(bootstrap, error) from None
    publish = TopicRollups(bootstrap).publish
    return desk.make(file, corrections, _why(why), catalogues.find, publish)


def _why(text: str) -> Why:
    from jobs.lake.compaction.changes import Why

    return Why(text.strip(), getpass.getuser(), time.time_ns() // 1_000_000)


def _told(lines: int, found: Outlook) -> dict[str, int]:
    return {
        "corrections": lines,
        "readings that differ": found.readings,
        "sensor minutes that change": found.sensor_minutes,
        "gateway minutes that change": found.gateway_minutes,
    }


@restate_app.command("list")
def list_restatements(
    facility: Annotated[str, typer.Option(help="Only this facility.")] = "",
    days: Annotated[int, typer.Option(min=1, help="Restated in the last so many days.")] = 7,
    limit: Annotated[int, typer.Option(min=1, help="Rows, the newest first.")] = 50,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the audit: which sensor minutes were changed, when, by whom, why, before and after.

    Example: hardiot restate list --facility plant-0001 --days 30
    """
    from jobs.lake.audit import newest

    lake = find_lake()
    since = datetime.now().astimezone() - timedelta(days=days)
    rows = newest(lake, facility, since, limit)
    show_rows(rows if output is Format.JSON else list(map(_row, rows)), output, "restatements")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What fits on a line of a terminal; --output json has the rest."""
    return {
        "restated": f"{row['restated']:%Y-%m-%d %H:%M}",
        "sensor": f"{row['facility']}/{row['gateway']}/{row['sensor']}",
        "minute": f"{row['minute']:%Y-%m-%d %H:%M}",
        "mean": f"{_mean(row, 'before')} > {_mean(row, 'after')}",
        "by": row["author"],
        "why": row["reason"],
    }


def _mean(row: dict[str, Any], when: str) -> str:
    count = row[f"count_{when}"]
    return f"{row[f'sum_{when}'] / count:.6g}" if count else "none"
