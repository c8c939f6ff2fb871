"""Rows that are written to files of a table when there are enough of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.compaction.rewrite import write_rollups
from jobs.lake.files import discard, write_parquet

# some 300 kB a row group: a sensor's hour is found without reading the rest of the file, and the
# footer stays small; what is asked for often lies in the merged files of a day
READINGS_PARQUET: dict[str, Any] = {
    "row_group_rows": 128,
    "compression_level": 3,
    "use_dictionary": ["facility", "gateway", "sensor", "asset", "kind", "unit", "minutes"],
    "column_encoding": {
        "slot": "DELTA_BINARY_PACKED",
        "times_ms.list.element": "DELTA_BINARY_PACKED",
        "values.list.element": "DELTA_BINARY_PACKED",
        "qualities.list.element": "DELTA_BINARY_PACKED",
    },
}
ROLLUP_ROWS = 1_000_000


class Pile:
    """Tables of rows, written a file at a time. limit: weight from which on a file is written."""

    def __init__(
        self, table: Table, limit: int, write: Callable[[Table, list[pa.Table]], list[DataFile]]
    ) -> None:
        self._table, self._limit, self._write = table, limit, write
        self._rows: list[pa.Table] = []
        self._weight = 0
        self._files: list[DataFile] = []

    def add(self, rows: pa.Table, weight: int) -> None:
        """Further rows, in the order of the table."""
        if len(rows):
            self._rows.append(rows)
            self._weight += weight
        if self._weight >= self._limit:
            self._flush()

    def close(self) -> list[DataFile]:
        """Write what is left. Returns: all files, in no snapshot yet."""
        self._flush()
        return self._files

    def discard(self) -> None:
        """Delete the files that were written."""
        discard(self._table, self._files)

    def _flush(self) -> None:
        if self._rows:
            self._files += self._write(self._table, self._rows)
        self._rows, self._weight = [], 0


def rollups_pile(table: Table) -> Pile:
    """For rows of table `rollups` of one facility hour; the weight is rows."""
    return Pile(table, ROLLUP_ROWS, write_rollups)


def readings_pile(table: Table, readings: int) -> Pile:
    """For rows of table `readings` of one facility hour; the weight is readings."""
    return Pile(table, readings, _write_readings)


def _write_readings(table: Table, rows: list[pa.Table]) -> list[DataFile]:
    return [write_parquet(table, pa.concat_tables(rows).combine_chunks(), **READINGS_PARQUET)]
