"""Rows of table `rollups` replaced in the files that have them: copy on write, by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.compaction_stored import read_file, row_groups
from jobs.lake.files import write_parquet
from udfs.archive.rollup_rows import CLOUD

# a row group of 5,000 sensors' hour is some MB; texts are few, sums are all different
ROLLUPS_PARQUET: dict[str, Any] = {
    "row_group_rows": 300_000,
    "compression_level": 3,
    "use_dictionary": ["facility", "gateway", "sensor", "asset", "kind", "unit", "source"],
}

Longs = npt.NDArray[np.int64]


class Replacement:
    """New rows for those of equal gateway, slot and minute, wherever these are.

    rows: columns of table `rollups`, of the cloud, of one facility, each key once.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._gateways = pc.unique(rows["gateway"])
        self._minutes = np.unique(_micros(rows))
        keys = self._keys(rows)
        self._order = np.argsort(keys)
        self._sorted = keys[self._order]
        self._rows = rows
        self._used = np.zeros(len(rows), np.bool_)

    def concerns(self, table: Table, file: DataFile) -> bool:
        """Whether the file has a row that is to be replaced."""
        columns = ("gateway", "slot", "minute", "source")
        return bool(np.isin(self._keys(read_file(table, file, columns)), self._sorted).any())

    def rewrite(self, table: Table, file: DataFile) -> DataFile:
        """The file's rows, the replaced ones in the places of the old ones, as a new file."""
        return write_parquet(table, self._replaced(table, file), **ROLLUPS_PARQUET)

    def rest(self) -> pa.Table:
        """The rows that no file had: of sensors that had not reported in their minute."""
        return self._rows.filter(pa.array(~self._used))

    def _replaced(self, table: Table, file: DataFile) -> Iterator[pa.Table]:
        for group in row_groups(table, file):
            rows = group.select(self._rows.column_names).cast(self._rows.schema)
            keys = self._keys(rows)
            place = np.searchsorted(self._sorted, keys)
            place[place == len(self._sorted)] = 0
            found = self._sorted[place] == keys
            new = self._order[place[found]]
            self._used[new] = True
            which = np.arange(len(rows))
            which[found] = len(rows) + new
            yield pa.concat_tables([rows, self._rows]).take(which) if len(new) else rows

    def _keys(self, rows: pa.Table) -> Longs:
        """A number a row, equal for equal keys; -1 for rows of other gateways or sources."""
        gateway = pc.fill_null(pc.index_in(rows["gateway"], self._gateways), -1).to_numpy()
        micros = _micros(rows)
        minute = np.searchsorted(self._minutes, micros)
        minute[minute == len(self._minutes)] = 0
        keys = (gateway.astype(np.int64) * len(self._minutes) + minute) << 32
        keys += rows["slot"].to_numpy()
        mine = (gateway >= 0) & (self._minutes[minute] == micros)
        mine &= pc.equal(rows["source"], CLOUD).to_numpy()
        return np.where(mine, keys, -1)


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


def _micros(rows: pa.Table) -> Longs:
    micros: Longs = rows["minute"].cast(pa.int64()).to_numpy()
    return micros
