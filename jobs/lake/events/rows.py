"""Records of topics as rows of tables: alerts, words, counts, dead letters, edge rollups.

    for spec, rows in rows_of(record, find_catalogue): ...

What cannot be read as what its topic says becomes a row of `dead_letters`: nothing is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pyarrow as pa

from jobs.lake.spec import TableSpec
from jobs.lake.tables import ALERTS, COUNTED, DEAD_LETTERS, LEDGER, ROLLUPS
from udfs import records, rollup
from udfs.alerts import from_json
from udfs.archive.rollup_rows import EDGE, rollup_rows
from udfs.batch import Reason, Refused
from udfs.catalogue import Catalogue
from udfs.ledger import decode_word

JOB = "archive_events"
TOPICS = (records.ALERTS, records.DEAD_LETTERS)
FAMILIES = (records.LEDGER, records.COUNTED, records.EDGE_ROLLUPS, records.EDGE_DEAD_LETTERS)
# a catalogue comes before what needs it; a made-up version never comes
UNKNOWN_CATALOGUE, UNREADABLE = str(Reason.UNKNOWN_CATALOGUE), "unreadable"

Row = dict[str, Any]
Rows: TypeAlias = "list[Row] | pa.Table"
Find = Callable[[str, str, int], Catalogue | None]


@dataclass(frozen=True, slots=True)
class Came:
    """A record as Kafka gave it. received_ms: when Kafka took it in, UTC epoch ms."""

    topic: str
    partition: int
    offset: int
    received_ms: int
    key: str
    value: bytes
    headers: Mapping[str, str]

    @property
    def family(self) -> str:
        """The topic's name without its facility."""
        return self.topic.partition(".")[0]


def rows_of(came: Came, find: Find) -> tuple[TableSpec, Rows]:
    """The table that a record belongs to, and its rows there: one, or of a rollup one a sensor.

    Args: find: (facility, gateway, version) -> catalogue, None when there is none.
    """
    if came.family == records.EDGE_ROLLUPS:
        return _rollup(came, find)
    spec, make = _MAKERS[came.family]
    try:
        return spec, [make(came) | _kafka(came)]
    except (ValueError, Refused) as error:
        return _refused(came, UNREADABLE, str(error))


def _alert(came: Came) -> Row:
    event = from_json(came.value)
    names = (column.name for column in ALERTS.columns if hasattr(event, column.name))
    return {name: getattr(event, name) for name in names} | {"event_time": time_of(event.event_ms)}


def _word(came: Came) -> Row:
    word = decode_word(came.value)
    names = ("facility", "gateway", "epoch", "sent_through", "readings", "acknowledged_through")
    lost = sum(last - first + 1 for first, last in word.lost)
    time = time_of(word.sent_ms or came.received_ms)
    rest = {"time": time, "lost": lost, "pending": word.pending}
    return {name: getattr(word, name) for name in names} | rest


_LINE = (
    "facility", "gateway", "epoch", "batches", "readings", "epoch_readings", "bad_readings",
    "duplicates", "late", "refused", "missing", "declared_lost", "contiguous_through", "highest",
)  # fmt: skip
_LATER = ("verified_readings", "unaccounted_batches")


def _counted(came: Came) -> Row:
    try:
        line = json.loads(came.value)
        row = {name: line[name] for name in _LINE} | {name: line.get(name) for name in _LATER}
        return row | {"time": time_of(line["counted_ms"])}
    except (KeyError, TypeError) as error:
        raise ValueError(f"no line of the cloud's count: {error!r:.200}") from None


def _dead_letter(came: Came) -> Row:
    facility, _, gateway = came.key.partition("/")
    say = came.headers.get
    return {
        "facility": facility,
        "gateway": gateway,
        "reason": say("reason", ""),
        "detail": say("detail", ""),
        "job": say("job", ""),
        "refused": time_of(_number(say("refused_ms"), came.received_ms)),
        "source_topic": say("topic", ""),
        "source_partition": _number(say("partition"), -1),
        "source_offset": _number(say("offset"), -1),
    }


_MAKERS: dict[str, tuple[TableSpec, Callable[[Came], Row]]] = {
    records.ALERTS: (ALERTS, _alert),
    records.LEDGER: (LEDGER, _word),
    records.COUNTED: (COUNTED, _counted),
    records.DEAD_LETTERS: (DEAD_LETTERS, _dead_letter),
    records.EDGE_DEAD_LETTERS: (DEAD_LETTERS, _dead_letter),
}


def _rollup(came: Came, find: Find) -> tuple[TableSpec, Rows]:
    """A piece of a minute that a gateway with a full spool rolled up."""
    try:
        item = rollup.decode(came.value)
        catalogue = find(item.facility, item.gateway, item.catalogue)
        if catalogue is None:
            return _refused(came, UNKNOWN_CATALOGUE, f"version {item.catalogue}")
        return ROLLUPS, rollup_rows(item, catalogue, EDGE)
    except ValueError as error:
        return _refused(came, UNREADABLE, str(error))


def _refused(came: Came, reason: str, detail: str) -> tuple[TableSpec, Rows]:
    facility, _, gateway = came.key.partition("/")
    return DEAD_LETTERS, [
        {
            "facility": came.topic.partition(".")[2] or facility,
            "gateway": gateway,
            "reason": reason,
            "detail": detail[:500],
            "job": JOB,
            "refused": time_of(came.received_ms),
            "source_topic": came.topic,
            "source_partition": came.partition,
            "source_offset": came.offset,
            **_kafka(came),
        }
    ]


def _kafka(came: Came) -> Row:
    return {
        "topic": came.topic,
        "partition": came.partition,
        "offset": came.offset,
        "received": time_of(came.received_ms),
        "body": came.value,
    }


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.lstrip("-").isdigit() else otherwise


def time_of(time_ms: int) -> datetime:
    """UTC epoch milliseconds as the tables have times. Raises: ValueError: there is no such."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{time_ms} is no time: {error}") from None
