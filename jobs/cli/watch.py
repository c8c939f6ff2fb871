"""hardiot watch: alerts, rollups, ledger lines, dead letters, what conditions and SQL find."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from jobs.cli.output import Format, OutputOption, show_json
from jobs.cli.where import BootstrapOption, find_bootstrap
from jobs.common.tail import Message, Tail
from udfs import condition_events, rollup
from udfs.alerts import from_json
from udfs.detect_step import SENT_MS
from udfs.records import (
    ALERTS,
    CONDITION_EVENTS,
    COUNTED,
    DEAD_LETTERS,
    EDGE_ALERTS,
    PATTERN_MATCHES,
    ROLLUPS,
)


class Stream(StrEnum):
    """What can be watched."""

    ALERTS = "alerts"
    ROLLUPS = "rollups"
    LEDGER = "ledger"
    DEAD_LETTERS = "dead-letters"
    CONDITION_EVENTS = "condition-events"
    PATTERN_MATCHES = "pattern-matches"


def watch(
    stream: Annotated[Stream, typer.Argument(help="What to watch.")] = Stream.ALERTS,
    bootstrap: BootstrapOption = None,
    from_start: Annotated[bool, typer.Option(help="Everything that is there, too.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show a stream as it comes, one line a record (with --output json: one JSON object a line).

    Example: hardiot watch alerts --from-start
    """
    topics, families, read = _READERS[stream]
    console = Console(markup=False, highlight=False, soft_wrap=True)
    with Tail(find_bootstrap(bootstrap), topics, families, from_start) as tail:
        for message in tail.follow(seconds):
            row = read(message)
            if output is Format.JSON:
                show_json(row, indent=None)
            else:
                console.print(line(stream, row))


def read_alert(message: Message) -> dict[str, Any]:
    """An alert's fields, and how long after its batch left the gateway it was read here; of one
    that the gateway raised itself, after it did so."""
    event = from_json(message.value)
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    at_the_edge = message.topic.startswith(f"{EDGE_ALERTS}.")
    sent_ms = event.created_ms if at_the_edge else int(message.headers.get(SENT_MS, 0))
    latency_ms = round(message.read_s * 1000 - sent_ms, 1) if sent_ms else None
    return fields | {"latency_ms": latency_ms}


def read_rollup(message: Message) -> dict[str, Any]:
    """A rollup's header and the size of its columns."""
    item = rollup.decode(message.value)
    fields = {name: getattr(item, name) for name in rollup.HEADER[1:]}
    return fields | {"sensors": len(item.count), "readings": item.readings()}


def read_line(message: Message) -> dict[str, Any]:
    """A record that is one JSON object: a ledger line of the cloud, a match of SQL."""
    fields: dict[str, Any] = json.loads(message.value)
    return fields


def read_condition_event(message: Message) -> dict[str, Any]:
    """The fields of a condition event."""
    return asdict(condition_events.from_json(message.value))


def read_dead_letter(message: Message) -> dict[str, Any]:
    """Why and where a record was refused, and how long it is."""
    return {"key": message.key, **message.headers, "bytes": len(message.value)}


_READERS: dict[Stream, tuple[list[str], list[str], Callable[[Message], dict[str, Any]]]] = {
    Stream.ALERTS: ([ALERTS], [], read_alert),
    Stream.ROLLUPS: ([ROLLUPS], [], read_rollup),
    Stream.LEDGER: ([], [COUNTED], read_line),
    Stream.DEAD_LETTERS: ([DEAD_LETTERS], [], read_dead_letter),
    Stream.CONDITION_EVENTS: ([CONDITION_EVENTS], [], read_condition_event),
    Stream.PATTERN_MATCHES: ([PATTERN_MATCHES], [], read_line),
}


def line(stream: Stream, row: dict[str, Any]) -> str:
    """A record as one line for people."""
    if stream is Stream.ALERTS:
        late = " (late)" if row["late"] else ""
        return (
            f"{clock(row['event_ms'])}  {row['status']:8} {row['severity']:8} "
            f"{row['facility']}/{row['gateway']}  {row['text']}{late}"
        )
    if stream is Stream.ROLLUPS:
        state = "complete" if row["complete"] else f"{row['missing']} batches missing"
        return (
            f"{clock(row['minute_ms'])}  {row['facility']}/{row['gateway']}  revision "
            f"{row['revision']}  {row['sensors']:,} sensors  {row['readings']:,} readings  {state}"
        )
    if stream is Stream.LEDGER:
        return (
            f"{clock(row['counted_ms'])}  {row['facility']}/{row['gateway']}  through "
            f"{row['contiguous_through']:,}  {row['readings']:,} readings  {row['missing']} missing"
            f"  {row['duplicates']} duplicates  {row['refused']} refused"
        )
    if stream is Stream.CONDITION_EVENTS:
        name = f"{row['rule']}/{row['event']}" if row["event"] else row["rule"]
        value = "-" if row["value"] is None else f"{row['value']:.6g} {row['unit']}"
        late = " (late)" if row["late"] else ""
        return (
            f"{clock(row['time_ms'])}  {row['phase']:5}  {row['facility']}/{row['gateway']}  "
            f"{row['subject']}  {name}  {value}{late}"
        )
    if stream is Stream.PATTERN_MATCHES:
        return (
            f"{clock(row['end_ms'])}  {row['pattern']}  {row['facility']}/{row['gateway']}/"
            f"{row['asset']}  {row['text']}"
        )
    return f"{row['topic']}@{row['offset']}  {row['key']}  {row['reason']}: {row['detail']}"


def clock(at_ms: int) -> str:
    """A time as people read it, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")
