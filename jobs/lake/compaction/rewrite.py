"""Rows of a table replaced in the files that have them: copy on write, by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.compaction.stored import read_file, row_groups
from jobs.lake.files import write_parquet

# a row group of 5,000 sensors' hour is some MB; texts are few and decimals recur, sums do not
ROLLUPS_PARQUET: dict[str, Any] = {
    "row_group_rows": 300_000,
    "compression_level": 3,
    "use_dictionary": [
        "facility", "gateway", "sensor", "asset", "kind", "unit", "source", "min", "max", "first",
        "last",
    ],
    "column_encoding": {"slot": "DELTA_BINARY_PACKED", "sum_sq": "BYTE_STREAM_SPLIT"},
}  # fmt: skip
ROLLUP_KEY = ("gateway", "slot", "minute", "source")
READING_KEY = ("gateway", "slot", "hour", "part")

Longs = npt.NDArray[np.int64]


class Replacement:
    """New rows for those of equal key, wherever these are.

    rows: columns of the table, of one facility, each key once. key: names of the other columns
    that name a row. parquet: options of `write_parquet`.
    """

    def __init__(self, rows: pa.Table, key: Sequence[str], parquet: dict[str, Any]) -> None:
        self._rows, self._key, self._parquet = rows, key, parquet
        self._known = {name: pc.unique(rows[name]) for name in key}
        keys = self._keys(rows)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        self._used = np.zeros(len(rows), np.bool_)

    def concerns(self, table: Table, file: DataFile) -> bool:
        """Whether the file has a row that is to be replaced."""
        return bool(self._find(read_file(table, file, self._key))[1].any())

    def rewrite(self, table: Table, file: DataFile) -> DataFile:
        """The file's rows, the replaced ones in the places of the old ones, as a new file."""
        return write_parquet(table, self._replaced(table, file), **self._parquet)

    def rest(self) -> pa.Table:
        """The rows that no file had: of sensors that had not reported in their minute."""
        return self._rows.filter(pa.array(~self._used))

    def _replaced(self, table: Table, file: DataFile) -> Iterator[pa.Table]:
        for group in row_groups(table, file):
            rows = group.select(self._rows.column_names).cast(self._rows.schema)
            place, found = self._find(rows)
            new = self._order[place[found]]
            self._used[new] = True
            which = np.arange(len(rows))
            which[found] = len(rows) + new
            yield pa.concat_tables([rows, self._rows]).take(which) if len(new) else rows

    def _find(self, rows: pa.Table) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        """Where in the sorted keys each row's is, and whether it is there."""
        keys = self._keys(rows)
        place = np.searchsorted(self._sorted, keys)
        place[place == len(self._sorted)] = 0
        return place, self._sorted[place] == keys

    def _keys(self, rows: pa.Table) -> Longs:
        """A number a row, equal for equal keys; -1 where a part of the key is of no new row."""
        keys = np.zeros(len(rows), np.int64)
        strange = np.zeros(len(rows), np.bool_)
        for name, known in self._known.items():
            code = pc.index_in(rows[name].cast(known.type), known)
            strange |= code.is_null().to_numpy()
            keys = keys * len(known) + pc.fill_null(code, 0).to_numpy()
        return np.where(strange, -1, keys)


def by_month(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows of each month, for each is a partition of its own."""
    month = pc.strftime(rows["minute"], "%Y-%m")
    for value in pc.unique(month):
        yield rows.filter(pc.equal(month, value))


def write_rollups(table: Table, rows: Sequence[pa.Table]) -> list[DataFile]:
    """New files of rows of one facility, sorted by gateway, slot and minute."""
    whole = pa.concat_tables(rows)
    whole = whole.sort_by([(name, "ascending") for name in ("gateway", "slot", "minute")])
    return [write_parquet(table, part, **ROLLUPS_PARQUET) for part in by_month(whole)]
