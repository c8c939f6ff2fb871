"""hardiot query: readings, rollups, alerts and the ledger from the archive, as table or file."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.output import Format, log, show_rows
from jobs.cli.where import BootstrapOption, find_bootstrap, find_lake
from jobs.common.errors import HardiotError

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.lake.query import Lake, Result

query_app = typer.Typer(
    name="query",
    help="Ask the archive. Data go to stdout or to a file; times are UTC.",
    no_args_is_help=True,
)

_TABLE_ROWS = 20  # unless --limit says more: nobody reads a million


class QueryFormat(StrEnum):
    """How rows are written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


FacilityOption = Annotated[str, typer.Option(help='Whose: a name, or "*" for all.')]
SensorOption = Annotated[str | None, typer.Option(help='Glob of sensors, as in "pump-*.flow".')]
AssetOption = Annotated[str | None, typer.Option(help="Glob of machines.")]
GatewayOption = Annotated[str | None, typer.Option(help="Glob of gateways.")]
KindOption = Annotated[str | None, typer.Option(help="Kind of sensor, such as temperature.")]
SinceOption = Annotated[
    str | None, typer.Option(help="From when: 2026-12-24 or 2026-12-24T06:00 (UTC), or epoch ms.")
]
UntilOption = Annotated[
    str | None, typer.Option(help="Before when; a date alone is in it to its end.")
]
FormatOption = Annotated[
    QueryFormat,
    typer.Option("--output", "-o", help="table for people; json is an object a line."),
]
FileOption = Annotated[Path | None, typer.Option("--file", help="Write there, not to stdout.")]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help=f"Rows at most; of a table {_TABLE_ROWS} unless given.")
]

# what of a row fits on a line of a terminal; all formats but table have every column
_SHOWN = {
    "readings": ("time", "gateway", "sensor", "value", "unit", "quality"),
    "rollups": ("time", "gateway", "sensor", "count", "mean", "min", "max", "unit", "complete"),
    "alerts": ("event_time", "status", "severity", "subject", "value", "id"),
    "ledger": ("time", "gateway", "epoch", "sent_through", "readings", "lost", "pending"),
    "counted": ("time", "gateway", "epoch", "readings", "missing", "declared_lost", "late"),
    "restatements": (
        "restated", "minute", "sensor", "reason", "revision", "count_before", "count_after",
        "sum_before", "sum_after",
    ),
    "dead_letters": ("received", "reason", "gateway", "source_topic", "source_offset", "detail"),
}  # fmt: skip


@query_app.command()
def readings(
    facility: FacilityOption,
    sensor: SensorOption = None,
    asset: AssetOption = None,
    gateway: GatewayOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    quality: Annotated[
        list[str] | None, typer.Option(help="good, uncertain, bad, stuck or clock_repaired.")
    ] = None,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
    bootstrap: BootstrapOption = None,
) -> None:
    """Readings as they were taken, those of a sensor in the order of time.

    Example: hardiot query readings --facility plant-07 --sensor "pump-3.*" --since 2026-12-24
    """
    with _lake(bootstrap) as lake:
        asked = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        found = lake.readings(facility, **asked, since=since, until=until, quality=quality or None)
        _write("readings", found, output, file, limit)


@query_app.command()
def rollups(
    facility: FacilityOption,
    sensor: SensorOption = None,
    asset: AssetOption = None,
    gateway: GatewayOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    every: Annotated[str, typer.Option(help="Length of a row: 1m, 15m, 1h, 1d, ...")] = "1m",
    prepared: Annotated[
        bool, typer.Option(help="Hours and days as maintenance made them last: years in a second.")
    ] = False,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
    bootstrap: BootstrapOption = None,
) -> None:
    """Minute rollups, or those of longer times.

    Example: hardiot query rollups --facility plant-07 --kind temperature --every 1h
    """
    with _lake(bootstrap) as lake:
        asked = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        found = lake.rollups(
            facility, **asked, since=since, until=until, every=every, prepared=prepared
        )
        _write("rollups", found, output, file, limit)


@query_app.command()
def alerts(
    facility: FacilityOption,
    sensor: Annotated[str | None, typer.Option(help="Glob of sensors or assets.")] = None,
    asset: AssetOption = None,
    gateway: GatewayOption = None,
    kind: KindOption = None,
    rule: Annotated[str | None, typer.Option(help="Glob of rules.")] = None,
    severity: Annotated[str | None, typer.Option(help="info, warning or critical.")] = None,
    status: Annotated[str | None, typer.Option(help="firing, updated or resolved.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
) -> None:
    """Events of alerts, by event time; `hardiot trace ID` shows what belongs to one.

    Example: hardiot query alerts --facility plant-07 --severity critical --since 2026-12-24
    """
    with _lake(None, kafka=False) as lake:
        asked = {"subject": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        asked |= {"rule": rule, "severity": severity, "status": status}
        found = lake.alerts(facility, **asked, since=since, until=until)
        _write("alerts", found, output, file, limit)


@query_app.command()
def ledger(
    facility: FacilityOption,
    gateway: GatewayOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    counted: Annotated[bool, typer.Option(help="What the cloud counted, instead.")] = False,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
) -> None:
    """What gateways said they sent.

    Example: hardiot query ledger --facility plant-07 --gateway gw-1
    """
    with _lake(None, kafka=False) as lake:
        ask = lake.counted if counted else lake.ledger
        found = ask(facility, gateway=gateway, since=since, until=until)
        _write("counted" if counted else "ledger", found, output, file, limit)


@query_app.command()
def restatements(
    facility: FacilityOption,
    sensor: SensorOption = None,
    asset: AssetOption = None,
    gateway: GatewayOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
) -> None:
    """Sensor minutes that were changed: when, why, before and after.

    Example: hardiot query restatements --facility plant-07 --since 2026-12-24
    """
    with _lake(None, kafka=False) as lake:
        asked = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        found = lake.restatements(facility, **asked, since=since, until=until)
        _write("restatements", found, output, file, limit)


@query_app.command("dead-letters")
def dead_letters(
    facility: FacilityOption,
    gateway: GatewayOption = None,
    reason: Annotated[str | None, typer.Option(help="Glob of reasons.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
) -> None:
    """Refused records with their bytes, by when they came.

    Example: hardiot query dead-letters --facility "*" --reason late
    """
    with _lake(None, kafka=False) as lake:
        asked = {"gateway": gateway, "reason": reason}
        found = lake.dead_letters(facility, **asked, since=since, until=until)
        _write("dead_letters", found, output, file, limit)


@query_app.command()
def sql(
    query: Annotated[str, typer.Argument(help="Over readings, rollups, alerts, ledger, ...")],
    facility: FacilityOption,
    sensor: SensorOption = None,
    kind: KindOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    output: FormatOption = QueryFormat.TABLE,
    file: FileOption = None,
    limit: LimitOption = None,
    bootstrap: BootstrapOption = None,
) -> None:
    """Ask by SQL (DuckDB) over what the options choose; a WHERE makes the reading no less.

    Example: hardiot query sql "select sensor, max(value) from readings group by sensor"
    --facility plant-07 --since 2026-12-24
    """
    asked = {"sensor": sensor, "kind": kind, "since": since, "until": until}
    with _lake(bootstrap) as lake:
        given = {name: value for name, value in asked.items() if value is not None}
        _write("sql", lake.sql(query, facility, **given), output, file, limit)


@contextmanager
def _lake(bootstrap: str | None, kafka: bool = True) -> Iterator[Lake]:
    """The archive; with Kafka where one is given or up, for names of sensors that are new."""
    from jobs.lake.query import Lake

    try:
        broker = find_bootstrap(bootstrap) if kafka else None
    except HardiotError:
        broker = None
    with Lake.open(find_lake(), broker) as lake:
        yield lake


def _write(
    name: str, found: Result, output: QueryFormat, file: Path | None, limit: int | None
) -> None:
    """Write the rows, and say on stderr how many, or why there are none."""
    if output is QueryFormat.TABLE:
        count = _table(name, found, limit or _TABLE_ROWS, file)
    else:
        found = found if limit is None else found.limit(limit)
        count = _to_file(found, output, file)
    if not count:
        log.print(found.why_nothing(), style="yellow")
    elif file is not None:
        log.print(f"{count:,} rows in {file}")


def _to_file(found: Result, output: QueryFormat, file: Path | None) -> int:
    if output is QueryFormat.PARQUET and file is None:
        raise HardiotError("parquet is nothing for a terminal: give --file rows.parquet")
    place: Any = file or sys.stdout.buffer
    if output is QueryFormat.PARQUET:
        return found.to_parquet(place)
    if output is QueryFormat.CSV:
        return found.to_csv(place)
    if file is None:
        return _lines(found, sys.stdout)
    with file.open("w", encoding="utf-8") as stream:
        return _lines(found, stream)


def _lines(found: Result, stream: Any) -> int:
    """A JSON object a row."""
    count = 0
    for batch in found.batches():
        for row in batch.to_pylist():
            stream.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
        count += len(batch)
    return count


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: times as text, bytes as hex, and null for what is no number."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.hex()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(name: str, found: Result, rows: int, file: Path | None) -> int:
    if file is not None:
        raise HardiotError("a table is for a terminal: give --output csv, json or parquet")
    names = _SHOWN.get(name, found.schema.names)
    shown = found.limit(rows + 1).arrow().select(names).to_pylist()
    show_rows(_cells(shown[:rows]), Format.TABLE, title=name.replace("_", " "))
    if len(shown) > rows:
        log.print(
            f"these are the first {rows}; more by --limit, all by --output csv --file rows.csv"
        )
    return len(shown)


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for people: times without a zone, which is UTC, and in ms only where a row has them."""
    times = [value for row in rows for value in row.values() if isinstance(value, datetime)]
    fine = "milliseconds" if any(time.microsecond for time in times) else "seconds"
    return [{name: _cell(value, fine) for name, value in row.items()} for row in rows]


def _cell(value: Any, fine: str) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.replace(tzinfo=None).isoformat(" ", fine)
