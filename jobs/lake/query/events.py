"""Rows of the tables of events: alerts, both sides of the ledger, dead letters, restatements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg import expressions
from pyiceberg.io.pyarrow import ArrowScan, schema_to_pyarrow
from pyiceberg.table import Table

from jobs.lake.query.columns import TIME
from jobs.lake.query.scope import Scope
from jobs.lake.query.slices import overlapping, span_of
from jobs.lake.spec import TableSpec
from jobs.lake.tables import ALERTS, COUNTED, DEAD_LETTERS, LEDGER, RESTATEMENTS


@dataclass(frozen=True)
class Events:
    """A table of events. time: the column that since and until are about. hidden: what of a row is
    of no use to whoever asks, or too large for it."""

    spec: TableSpec
    time: str
    hidden: Sequence[str] = ("topic", "partition", "offset", "received", "body")

    def schema(self) -> pa.Schema:
        """The columns that are given, each with its meaning."""
        plain = schema_to_pyarrow(self.spec.schema(), include_field_ids=False)
        fields = [field for field in plain if field.name not in self.hidden]
        return pa.schema([_shown(field) for field in fields])


EVENTS = {
    "alerts": Events(ALERTS, "event_time"),
    "ledger": Events(LEDGER, "time"),
    "counted": Events(COUNTED, "time"),
    "dead_letters": Events(DEAD_LETTERS, "received", hidden=()),
    "restatements": Events(RESTATEMENTS, "minute"),
}


def _shown(field: pa.Field) -> pa.Field:
    kind = TIME if pa.types.is_timestamp(field.type) else field.type
    kind = pa.string() if pa.types.is_large_string(kind) else kind
    kind = pa.binary() if pa.types.is_large_binary(kind) else kind
    said = (field.metadata or {}).get(b"doc", b"")
    return pa.field(field.name, kind, metadata={"description": said})


def read_events(events: Events, table: Table, scope: Scope) -> Iterator[pa.Table]:
    """Tables of `events.schema()`, by facility and time."""
    schema = events.schema()
    where = scope.expression(events.time, 1)
    scan = table.scan(row_filter=where, selected_fields=tuple(schema.names))
    spans = [(span_of(table, task.file, events.time), task) for task in scan.plan_files()]
    for _, tasks in overlapping(spans):
        reader = ArrowScan(table.metadata, table.io, scan.projection(), where)
        rows = reader.to_table(tasks).select(schema.names).cast(schema)
        rows = rows.filter(pa.array(scope.rows(rows)))
        yield rows.sort_by([(events.time, "ascending")])


def of_alert(table: Table, ident: str, facility: str) -> pa.Table:
    """All events of one alert, by time; any month may have some."""
    equal: Any = expressions.EqualTo
    where = expressions.And(equal("id", ident), Scope(facility).expression("event_time", 1))
    schema = EVENTS["alerts"].schema()
    rows = table.scan(row_filter=where, selected_fields=tuple(schema.names)).to_arrow()
    return rows.select(schema.names).cast(schema).sort_by([("event_time", "ascending")])
