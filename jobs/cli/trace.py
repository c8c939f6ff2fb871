"""hardiot trace: from an alert's id to its events, rule, readings, batch and trace."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.cli.output import Format, OutputOption, log, show_item, show_json, show_rows
from jobs.cli.query import plain
from jobs.cli.where import BootstrapOption, find_bootstrap, find_lake
from jobs.common.errors import HardiotError
from jobs.common.history import utc
from udfs.batch import Quality

if TYPE_CHECKING:  # PyIceberg takes two seconds, which no other command is to wait for
    from jobs.lake.trace import Trace

_NEAR = 10  # readings on each side of the onset that a table shows
_QUALITIES = {code: name.lower() for name, code in vars(Quality).items() if name.isupper()}
# HardiOT delivers no alerts yet; deliver_alerts will keep what it sent, and to whom
_NOT_DELIVERED = "not recorded: no job delivers alerts yet"


def trace(
    alert_id: Annotated[str, typer.Argument(help="Id of the alert, the same in all its events.")],
    facility: Annotated[
        str, typer.Option(help="Whose it is, if you know: the search is shorter.")
    ] = "*",
    bootstrap: BootstrapOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what belongs to an alert: events, rule as written, readings, batch, trace id.

    Example: hardiot trace 5f0e1d43-6d0a-5c0c-9a55-0b3f3c2a9f10

    From the archive, and from Kafka what is too new for it.
    """
    from jobs.lake.query import Lake
    from jobs.lake.trace import Tracer

    broker = _broker(bootstrap)
    with Lake.open(find_lake(), broker) as lake:
        found = Tracer(lake, broker).trace(alert_id, facility)
    if output is Format.JSON:
        show_json(_fields(found))
    else:
        _show(found)


def _broker(given: str | None) -> str | None:
    """Kafka, where one is given or up."""
    try:
        return find_bootstrap(given)
    except HardiotError:
        log.print("no Kafka is up or given: only what is archived is shown", style="yellow")
        return None


def _fields(found: Trace) -> dict[str, Any]:
    """Everything, for programs."""
    rule, book = found.rule, found.rule.rulebook if found.rule else None
    return {
        "alert": found.first.id,
        "events": [asdict(event) for event in found.events],
        "rule": None
        if rule is None
        else {
            "name": found.first.rule,
            "version": found.first.rule_version,
            "text": rule.text,
            "file": rule.file,
            "revision": book.revision if book else None,
            "author": book.author if book else None,
            "reason": book.reason if book else None,
        },
        "batch": asdict(found.batch) if found.batch else None,
        "trace_id": found.trace_id or None,
        "readings_from": found.readings_from or None,
        "readings": [plain(row) for row in found.readings.to_pylist()],
        "notifications": None,
        "notes": [*found.notes, f"notifications: {_NOT_DELIVERED}"],
    }


def _show(found: Trace) -> None:
    show_item(_summary(found), Format.TABLE, title=f"alert {found.first.id}")
    show_rows(
        [_event(found, number) for number in range(len(found.events))], Format.TABLE, "events"
    )
    if found.rule is not None:
        typer.echo(f"rule, from {_origin(found)}\n\n{found.rule.text}\n")
    if len(found.readings):
        title = f"readings around the onset, from {found.readings_from}"
        show_rows(_near(found), Format.TABLE, title)
    for note in found.notes:
        log.print(note, style="yellow")


def _summary(found: Trace) -> dict[str, Any]:
    event, last, batch = found.first, found.events[-1], found.batch
    of = "" if batch is None else f"epoch {batch.epoch}, sequence {batch.sequence}"
    lane = "" if batch is None else ", backlog" if batch.backlog else ", live"
    return {
        "text": event.text,
        "state": f"{last.status}, {last.severity}" + (", late" if event.late else ""),
        "place": f"{event.facility}/{event.gateway}, {event.asset or 'gateway'}",
        "subject": f"{event.subject} ({event.kind})",
        "value": f"{_number(event.value)} {event.unit}, limit {_number(event.limit)} {event.unit}",
        "onset": f"{utc(event.onset_ms)} UTC",
        "rule": f"{event.rule}, version {event.rule_version}",
        "batch": of + lane or "not known any more",
        "trace id": found.trace_id or "none",
        "notifications": _NOT_DELIVERED,
    }


def _event(found: Trace, number: int) -> dict[str, Any]:
    event = found.events[number]
    return {
        "event time": utc(event.event_ms),
        "status": event.status,
        "severity": event.severity,
        "told after s": round((event.created_ms - event.event_ms) / 1000, 1),
        "value": _number(event.value),
        "text": event.text,
    }


def _origin(found: Trace) -> str:
    rule = found.rule
    if rule is None or rule.rulebook is None:
        return f"{rule.file if rule else ''} (no rulebook was pushed)"
    book = rule.rulebook
    return (
        f"{rule.file} of revision {book.revision}, pushed {utc(book.created_ms)} UTC by "
        f"{book.author}: {book.reason}"
    )


def _near(found: Trace) -> list[dict[str, Any]]:
    """The readings next to the onset."""
    rows = found.readings.to_pylist()
    onset = datetime.fromtimestamp(found.first.onset_ms / 1000, UTC)
    at = sum(row["time"] < onset for row in rows)
    return [
        {
            "time": f"{row['time']:%H:%M:%S}.{row['time'].microsecond // 1000:03d}",
            "": "onset" if number == at else "",
            "sensor": row["sensor"],
            "value": row["value"],
            "unit": row["unit"],
            "quality": _QUALITIES.get(row["quality"], str(row["quality"])),
        }
        for number, row in enumerate(rows)
        if at - _NEAR <= number < at + _NEAR
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
