"""Rows of many sorted files as one sorted stream, whole sensors at a time, in bounded memory.

    for rows in stream(table, paths, window):     # ascending by gateway and slot
        ...

Each file is read once from its start to its end, some rows at a time; what the slowest file has
passed is sorted and given away. A file whose rows are in no order (somebody else wrote it) is read
as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

# what names a sensor in a facility: of equal ones no stream gives a part
SENSOR = ("gateway", "slot")


@dataclass(frozen=True, slots=True)
class Window:
    """Only rows whose time is at or after low_ms and before high_ms."""

    column: str
    low_ms: int
    high_ms: int

    def keep(self, rows: pa.Table) -> pa.Table:
        """The rows that are in it."""
        micros = rows[self.column].cast(pa.int64())
        inside = pc.and_(
            pc.greater_equal(micros, self.low_ms * 1000), pc.less(micros, self.high_ms * 1000)
        )
        return rows.filter(inside)

    def row_groups(self, file: pq.ParquetFile) -> list[int]:
        """Those that may have rows in it, by their statistics."""
        names = file.metadata.schema.to_arrow_schema().names if file.num_row_groups else []
        place = names.index(self.column) if names else 0
        return [n for n in range(file.num_row_groups) if self._meets(file, n, place)]

    def _meets(self, file: pq.ParquetFile, number: int, place: int) -> bool:
        column = file.metadata.row_group(number).column(place)
        statistics = column.statistics if column.path_in_schema == self.column else None
        if statistics is None or not statistics.has_min_max:
            return True
        return bool(_ms(statistics.max) >= self.low_ms and _ms(statistics.min) < self.high_ms)


def stream(
    table: Table,
    paths: Sequence[str],
    order: Sequence[str],
    window: Window | None = None,
    rows: int = 1 << 20,
) -> Iterator[pa.Table]:
    """The rows of some files, ascending by `order`; no sensor is in two of the tables given.

    Args: paths: files of one facility. order: columns, of which the first are SENSOR. rows: how
        many are in memory at a time, of all files together, and those of one sensor at least.
    """
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    each = max(64, rows // max(1, len(paths)))
    with ExitStack() as stack:
        readers = []
        for path in paths:
            source = stack.enter_context(table.io.new_input(path).open())
            readers.append(_Reader(pq.ParquetFile(source), schema, window, each))
        yield from _merged(readers, schema, order)


def _merged(
    readers: Sequence[_Reader], schema: pa.Schema, order: Sequence[str]
) -> Iterator[pa.Table]:
    keys = [(name, "ascending") for name in order]
    for reader in readers:
        reader.fill()
    while any(len(reader.rows) for reader in readers):
        unread = [reader for reader in readers if not reader.ended]
        ends = {reader: reader.last() for reader in unread}
        bound = min(ends.values(), default=None)
        found = pa.concat_tables([schema.empty_table(), *(r.take_before(bound) for r in readers)])
        if len(found):
            found = found.take(pc.sort_indices(found, sort_keys=keys))
            yield found
        del found  # or it would be kept while the next are read
        for reader, end in ends.items():
            if end == bound:
                reader.fill()


class _Reader:
    """The rows of a file that were read and not given away yet, ascending by sensor."""

    def __init__(
        self, file: pq.ParquetFile, schema: pa.Schema, window: Window | None, size: int
    ) -> None:
        self._file, self._schema, self._window, self._size = file, schema, window, size
        groups = window.row_groups(file) if window else list(range(file.num_row_groups))
        self._groups = groups
        self.rows = schema.empty_table()
        self.ended = False
        self._batches = self._read() if self._is_sorted() else iter([self._sorted()])

    def fill(self) -> None:
        """Read on, past the sensor that is last so far; `ended` when there is no more."""
        before = self.last() if len(self.rows) else None
        while not self.ended and (not len(self.rows) or self.last() == before):
            more = next(self._batches, None)
            if more is None:
                self.ended = True
            else:
                self.rows = pa.concat_tables([self.rows, more])

    def last(self) -> tuple[str, int]:
        """The sensor of the last row."""
        gateway, slot = (self.rows[name][-1].as_py() for name in SENSOR)
        return gateway, slot

    def take_before(self, bound: tuple[str, int] | None) -> pa.Table:
        """Give away the rows of sensors before that one; all without a bound."""
        count = len(self.rows) if bound is None else _count_before(self.rows, bound)
        taken, self.rows = self.rows.slice(0, count), self.rows.slice(count)
        return taken

    def _read(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        for batch in self._file.iter_batches(self._size, self._groups, columns):
            found = pa.Table.from_batches([batch])
            found = self._window.keep(found) if self._window else found
            if len(found):
                yield found if columns else _conform(found, self._schema)

    def _is_sorted(self) -> bool:
        time = [self._window.column] if self._window else []
        last = None
        for rows in self._read([*SENSOR, *time]):
            if last is not None and _count_before(rows, last):
                return False
            gateway, slot = (rows[name].combine_chunks() for name in SENSOR)
            same = pc.equal(gateway[1:], gateway[:-1])
            steps = pc.or_(
                pc.greater(gateway[1:], gateway[:-1]),
                pc.and_(same, pc.greater_equal(slot[1:], slot[:-1])),
            )
            if not pc.all(steps, min_count=0).as_py():
                return False
            last = gateway[-1].as_py(), slot[-1].as_py()
        return True

    def _sorted(self) -> pa.Table:
        found = pa.concat_tables([self._schema.empty_table(), *self._read()])
        return found.sort_by([(name, "ascending") for name in SENSOR])


def _count_before(rows: pa.Table, bound: tuple[str, int]) -> int:
    """How many rows, which are sorted, are of sensors before that one."""
    gateway, slot = bound
    before = pc.or_(
        pc.less(rows["gateway"], gateway),
        pc.and_(pc.equal(rows["gateway"], gateway), pc.less(rows["slot"], slot)),
    )
    return int(pc.sum(before, min_count=0).as_py())


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """All columns of the table; those that the file is too old to have are empty."""
    columns = [
        rows[field.name].cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _ms(time: datetime | int) -> int:
    """A time of Parquet's statistics, in ms rounded down."""
    if isinstance(time, int):
        return time // 1000
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 // 1)
