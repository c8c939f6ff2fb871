"""What a birth says of a device's metrics: which alias is which sensor, and how it is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.sparkplug.messages import DataType

# a metric that is no sensor (a text, a command, a date): known, and passed over
NO_SLOT = 0xFFFFFFFF

NUMERIC = frozenset(range(DataType.INT8, DataType.BOOLEAN + 1))
ARRAYS: dict[int, str] = {
    DataType.INT8_ARRAY: "<i1",
    DataType.INT16_ARRAY: "<i2",
    DataType.INT32_ARRAY: "<i4",
    DataType.INT64_ARRAY: "<i8",
    DataType.UINT8_ARRAY: "<u1",
    DataType.UINT16_ARRAY: "<u2",
    DataType.UINT32_ARRAY: "<u4",
    DataType.UINT64_ARRAY: "<u8",
    DataType.FLOAT_ARRAY: "<f4",
    DataType.DOUBLE_ARRAY: "<f8",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One metric. alias: None when data name it. period_ms: between samples, 0 when not said."""

    name: str
    alias: int | None
    datatype: int
    slot: int = NO_SLOT
    period_ms: float = 0.0


class Table:
    """The metrics of one device or edge node, as its last birth says. It never changes."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = tuple(entries)
        self.by_name = {entry.name: entry for entry in self.entries}
        self.by_alias = {e.alias: e for e in self.entries if e.alias is not None}
