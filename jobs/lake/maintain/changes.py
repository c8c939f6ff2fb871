"""Which facility hours (or days) of a table have other rows than in an earlier snapshot.

What was only merged into other files is no change: rows are added up as numbers, those that went
with a minus, and where nothing is left, nothing changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from jobs.lake.maintain.live import Live, live_in, manifests, time_column
from jobs.lake.spec import TableSpec

Words = npt.NDArray[np.uint64]
Changes = Mapping[str, set[int]]

_ROWS = 1 << 18
_ODD = np.uint64(0x9E3779B97F4A7C15)


def changed_files(
    table: Table, spec: TableSpec, before: Snapshot | None, after: Snapshot | None
) -> tuple[list[Live], list[Live]]:
    """Files that are live after and were not before, and the other way; manifests that both
    snapshots have are not read."""
    old = {each.manifest_path: each for each in manifests(table, before)}
    new = {each.manifest_path: each for each in manifests(table, after)}
    gone, come = (
        {live.path: live for path in has.keys() - other for live in live_in(table, spec, has[path])}
        for has, other in ((old, new), (new, old))
    )
    return _without(come, gone), _without(gone, come)


def _without(files: Mapping[str, Live], others: Mapping[str, Live]) -> list[Live]:
    return [files[path] for path in sorted(files.keys() - others.keys())]


def touched(
    table: Table,
    spec: TableSpec,
    come: Iterable[Live],
    gone: Iterable[Live],
    unit_ms: int,
    columns: Sequence[str],
) -> Changes:
    """By facility, the starts (UTC epoch ms) of the units whose rows differ.

    Args: columns: numbers, of which any changed row changes one.
    """
    sums: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for files, sign in ((come, 1), (gone, -1)):
        for live in files:
            of_facility = sums[live.facility or ""]
            for units, words in _words(table, spec, live, unit_ms, columns):
                for unit, word in zip(units.tolist(), words.tolist(), strict=True):
                    of_facility[unit] += sign * word
    return {
        facility: {unit * unit_ms for unit, total in units.items() if total % (1 << 64)}
        for facility, units in sums.items()
    }


def _words(
    table: Table, spec: TableSpec, live: Live, unit_ms: int, columns: Sequence[str]
) -> Iterator[tuple[npt.NDArray[np.int64], Words]]:
    """Numbers of units that a file has rows of, with the sum of what the rows say."""
    time = time_column(spec)
    with table.io.new_input(live.path).open() as source:
        file = pq.ParquetFile(source)
        for batch in file.iter_batches(_ROWS, columns=[time, "slot", *columns]):
            units = batch[time].cast(pa.int64()).to_numpy() // (unit_ms * 1000)
            order = np.argsort(units, kind="stable")
            starts = np.flatnonzero(np.diff(units[order], prepend=units[order[:1]] - 1))
            words = _row_words(batch, columns)[order]
            yield units[order][starts], np.add.reduceat(words, starts)


def _row_words(batch: pa.RecordBatch, columns: Sequence[str]) -> Words:
    """A number a row; overflow is meant."""
    words = np.ones(batch.num_rows, np.uint64)
    for name in columns:
        column = batch[name].fill_null(0)
        value = column.to_numpy(zero_copy_only=False)
        bits = value.view(np.uint64) if value.dtype == np.float64 else value.astype(np.uint64)
        words = words * _ODD + bits
    slot = batch["slot"].to_numpy().astype(np.uint64)
    mixed: Words = words * (slot * np.uint64(2) + np.uint64(1))
    return mixed
