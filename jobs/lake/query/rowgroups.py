"""Row groups of data files: which may hold what is asked for, by their statistics.

groups = find(open_file(io, path), scope, "hour")      # nothing but the file's footer is read
for piece in pieces(groups): rows = read(io, piece, scope, "hour", columns)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io import FileIO

from jobs.common.history import EVER_MS
from jobs.lake.query.scope import Mask, QueryError, Scope

Key = tuple[str, int]  # gateway, slot

LEAST: Key = ("", -1)
MOST: Key = ("\U0010ffff", 2**31)
# texts of few different words
TEXTS = ("facility", "gateway", "sensor", "asset", "kind", "unit", "source")


@dataclass(frozen=True)
class Footer:
    """What a file says of itself. columns: places of the columns, by path."""

    path: str
    metadata: pq.FileMetaData
    columns: dict[str, int]


class Group(NamedTuple):
    """A row group: rows from key `first` to `last` and from `low_ms` to `high_ms`, at most."""

    footer: Footer
    number: int
    low_ms: int
    high_ms: int
    first: Key
    last: Key


class Piece(NamedTuple):
    """Rows of keys from `first` to before `end`, of row groups that overlap in time."""

    first: Key
    end: Key
    groups: list[Group]


def open_file(io: FileIO, path: str, footer: Footer | None = None) -> pq.ParquetFile:
    """A data file; with its footer, texts are read as dictionaries.

    Raises: QueryError: it is gone.
    """
    try:
        source = io.new_input(path).open()
        if footer is None:
            return pq.ParquetFile(source, pre_buffer=True)
        texts = [name for name in TEXTS if name in footer.columns]
        return pq.ParquetFile(
            source, metadata=footer.metadata, read_dictionary=texts, pre_buffer=True
        )
    except FileNotFoundError:
        raise QueryError(
            f"{path} is gone: the table was maintained meanwhile; ask again, and if it is gone "
            "still, restore the file"
        ) from None


def read_footer(io: FileIO, path: str) -> Footer:
    """What a file says of its row groups."""
    with open_file(io, path) as file:
        schema = file.metadata.schema
        columns = {schema.column(n).path: n for n in range(file.metadata.num_columns)}
        return Footer(path, file.metadata, columns)


def find(footer: Footer, scope: Scope, time: str, grain_ms: int) -> list[Group]:
    """The row groups that may hold rows of the scope."""
    low_ms, high_ms = scope.span(grain_ms)
    limits = [(footer.columns[name], *ends) for name, ends in scope.limits().items()]
    # a sensor is in few of them, its facility in all
    limits.sort(key=lambda limit: limit[1] != limit[2])
    found = []
    for index in range(footer.metadata.num_row_groups):
        part = footer.metadata.row_group(index)
        if all(_may_hold(part, *limit) for limit in reversed(limits)):
            group = _group(footer, index, part, time)
            if group.low_ms < high_ms and group.high_ms >= low_ms:
                found.append(group)
    return found


def _may_hold(part: Any, column: int, least: str, most: str) -> bool:
    found = part.column(column).statistics
    return found is None or not found.has_min_max or (found.min <= most and found.max >= least)


def _group(footer: Footer, index: int, part: Any, time: str) -> Group:
    def ends(name: str, least: Any, most: Any) -> tuple[Any, Any]:
        found = part.column(footer.columns[name]).statistics
        known = found is not None and found.has_min_max
        return (found.min, found.max) if known else (least, most)

    slots, gateways = ends("slot", LEAST[1], MOST[1]), ends("gateway", LEAST[0], MOST[0])
    if gateways[0] != gateways[1]:  # slots of one, then of the next
        slots = LEAST[1], MOST[1]
    low, high = ends(time, None, None)
    times = (-EVER_MS, EVER_MS) if low is None else (_ms(low), _ms(high))
    first, last = zip(gateways, slots, strict=True)
    return Group(footer, index, *times, first, last)


def _ms(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", "UTC")).value) // 1000


def pieces(groups: Sequence[Group], cuts: Sequence[Key] = ()) -> Iterator[Piece]:
    """All keys in order, about a row group of the largest file at a time.

    Args: cuts: where pieces are to begin if there is no row group.
    """
    largest = max(_by_file(groups).values(), key=len, default=[])
    cuts = sorted({group.first for group in largest}) or cuts
    waiting = sorted(groups, key=lambda group: group.first, reverse=True)
    begun: list[Group] = []
    for first, end in pairwise([LEAST, *cuts[1:], MOST]):
        begun = [group for group in begun if group.last >= first]
        while waiting and waiting[-1].first < end:
            begun.append(waiting.pop())
        yield Piece(first, end, list(begun))


def _by_file(groups: Iterable[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.footer.path, []).append(group)
    return found


def read(
    io: FileIO, piece: Piece, scope: Scope, time: str, grain_ms: int, columns: Sequence[str]
) -> list[pa.Table]:
    """The rows of a piece that match, a table a file.

    Only where a row matches is more read than what the rows are judged by.
    """
    found = []
    for path, groups in _by_file(piece.groups).items():
        with open_file(io, path, groups[0].footer) as file:
            numbers = sorted(group.number for group in groups)
            judged = {*scope.globs, "facility", "gateway", "slot", time}
            keys = file.read_row_groups(numbers, columns=list(judged), use_threads=False)
            mask = scope.rows(keys) & _times(keys[time], scope, grain_ms)
            if any(group.first < piece.first or group.last >= piece.end for group in groups):
                mask &= between(keys, piece)
            if mask.any():
                rest = [name for name in columns if name not in judged]
                table = file.read_row_groups(numbers, columns=rest, use_threads=False)
                for name in judged.intersection(columns):
                    table = table.append_column(name, keys[name])
                found.append(_picked(table.select(columns), mask))
    return found


def _times(column: pa.ChunkedArray, scope: Scope, grain_ms: int) -> Mask:
    low_ms, high_ms = scope.span(grain_ms)
    time_us = column.cast(pa.int64()).to_numpy()
    inside: Mask = (time_us >= low_ms * 1000) & (time_us < high_ms * 1000)
    return inside


def between(keys: pa.Table, piece: Piece) -> Mask:
    """Which rows have a key of the piece, shape (n,)."""
    names = keys["gateway"].combine_chunks().dictionary_encode()
    slot = keys["slot"].to_numpy()
    mask = np.zeros(len(slot), np.bool_)
    code = np.asarray(names.indices)
    for number, name in enumerate(names.dictionary.to_pylist()):
        low = piece.first[1] if name == piece.first[0] else LEAST[1]
        high = piece.end[1] if name == piece.end[0] else MOST[1]
        if piece.first[0] <= name <= piece.end[0]:
            mask |= (code == number) & (slot >= low) & (slot < high)
    return mask


def _picked(table: pa.Table, mask: Mask) -> pa.Table:
    """The rows of a mask; neighbours are not copied."""
    rows = np.flatnonzero(mask)
    if len(rows) == rows[-1] - rows[0] + 1:
        return table.slice(rows[0], len(rows))
    return table.filter(pa.array(mask)) if len(rows) > len(mask) // 2 else table.take(rows)


def decoded(table: pa.Table) -> pa.Table:
    """The table with its texts written out."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = pc.cast(table[index], field.type.value_type)
            table = table.set_column(index, field.with_type(plain.type), plain)
    return table
