"""How rows lie in the files that maintenance writes: their order, row groups and encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs.lake.compaction.piles import READINGS_PARQUET
from jobs.lake.compaction.rewrite import ROLLUPS_PARQUET
from jobs.lake.spec import TableSpec

_TEXTS = ["facility", "gateway", "sensor", "asset", "kind", "unit"]


@dataclass(frozen=True)
class Layout:
    """order: columns by which rows are sorted, none: as they came. rows_at_once: how many are in
    memory, of all files together. parquet: options of `write_parquet`."""

    order: tuple[str, ...]
    rows_at_once: int
    parquet: Mapping[str, Any]

    @property
    def row_group_rows(self) -> int:
        return int(self.parquet["row_group_rows"])


# rows of `readings` take some 15 kB in memory, those of rollups 250 bytes, and some copies of both
_READINGS = Layout(
    ("gateway", "slot", "hour", "part"),
    1 << 11,
    # some ten sensors of a day: the footers of 90 days are half of what one sensor's readings cost
    READINGS_PARQUET | {"row_group_rows": 256},
)
_ROLLUPS = Layout(("gateway", "slot", "minute", "source", "revision"), 1 << 17, ROLLUPS_PARQUET)
_COARSER = Layout(
    ("gateway", "slot", "time"),
    1 << 17,
    {"row_group_rows": 100_000, "compression_level": 3, "use_dictionary": _TEXTS},
)
_EVENTS = Layout((), 1 << 13, {"row_group_rows": 1 << 16, "compression_level": 3})
_LAYOUTS = {
    "readings": _READINGS,
    "rollups": _ROLLUPS,
    "rollups_hour": _COARSER,
    "rollups_day": _COARSER,
}


def layout_of(spec: TableSpec) -> Layout:
    """The layout of a table."""
    return _LAYOUTS.get(spec.name, _EVENTS)
