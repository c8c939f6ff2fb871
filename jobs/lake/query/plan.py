"""What is to be read for a question, a piece at a time: row groups of a table beside chunks.

Chunks are put in the form of the table that will be made of them, so that whoever reads a piece
has rows of one kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyiceberg.manifest import DataFile

from jobs.lake.query.rowgroups import Group, Key, Piece, between, find, pieces, read, read_footer
from jobs.lake.query.scope import Scope
from jobs.lake.query.slices import Span, ahead, overlapping, span_of
from jobs.lake.query.view import View, files
from jobs.lake.query.waiting import Waiting

# of one table that is handed out, at 45 bytes a reading or 130 a rollup
BATCH_ROWS = 1_000_000


@dataclass(frozen=True)
class Source:
    """A table with what chunks have for it.

    time, grain_ms: its column of times, and how long a row is. columns: those to read.
    rows: chunks of one facility in the form of the table. weight: how much each of these is.
    """

    time: str
    grain_ms: int
    columns: Sequence[str]
    rows: Callable[[View, Scope, Sequence[Waiting]], pa.Table]
    weight: Callable[[pa.Table], pa.ChunkedArray]

    def span(self, each: Waiting) -> Span:
        """Where the rows of a chunk will be."""
        start_ms = each.minute_ms // self.grain_ms * self.grain_ms
        return Span(each.facility, start_ms, start_ms)


@dataclass(frozen=True)
class Work:
    """A piece of a slice that begins at `span.low_ms`, and the rows that chunks have for it."""

    span: Span
    piece: Piece
    from_chunks: pa.Table

    def tables(self, view: View, scope: Scope, source: Source) -> list[pa.Table]:
        """The rows that match: a table a file, and one of chunks, if there are such rows."""
        io, place = view.made.io, (source.time, source.grain_ms)
        tables = read(io, self.piece, scope, *place, source.columns)
        return tables + ([self.from_chunks] if len(self.from_chunks) else [])


def works(view: View, scope: Scope, source: Source, waiting: Sequence[Waiting]) -> Iterator[Work]:
    """All that is to be read, each once: by facility, slice of time, gateway and slot."""
    items: list[tuple[Span, DataFile | Waiting]] = [
        (span_of(view.made, file, source.time), file)
        for file in files(view.made, scope, source.time, source.grain_ms)
    ]
    items += [(source.span(each), each) for each in waiting]
    plans = ahead(view.pool, partial(_plan, view, scope, source), overlapping(items), view.depth)
    return (work for plan in plans for work in plan)


def _plan(
    view: View, scope: Scope, source: Source, part: tuple[Span, list[DataFile | Waiting]]
) -> list[Work]:
    """Row groups in place of files: a file of a month has slices of a day."""
    facility, items = part[0].facility, list[tuple[Span, Group | Waiting]]()
    for item in part[1]:
        if isinstance(item, Waiting):
            items.append((source.span(item), item))
        else:
            footer = read_footer(view.made.io, item.file_path)
            groups = find(footer, scope, source.time, source.grain_ms)
            items += [(Span(facility, group.low_ms, group.high_ms), group) for group in groups]
    return [
        work
        for span, together in overlapping(items)
        for work in _works(view, scope, source, span, together)
    ]


def _works(
    view: View, scope: Scope, source: Source, span: Span, together: Sequence[Group | Waiting]
) -> Iterator[Work]:
    groups = [item for item in together if isinstance(item, Group)]
    rows = source.rows(view, scope, [item for item in together if isinstance(item, Waiting)])
    for piece in pieces(groups, _cuts(rows, source)):
        yield Work(span, piece, rows.filter(pa.array(between(rows, piece))))


def _cuts(rows: pa.Table, source: Source) -> list[Key]:
    """Keys at which about BATCH_ROWS more readings or rollups begin."""
    keys = rows.select(["gateway", "slot"]).append_column("weight", source.weight(rows))
    keys = keys.group_by(["gateway", "slot"]).aggregate([("weight", "sum")])
    keys = keys.sort_by([("gateway", "ascending"), ("slot", "ascending")])
    taken = keys.take(pa.array(bounds(keys["weight_sum"])[:-1], pa.int64()))
    return list(zip(taken["gateway"].to_pylist(), taken["slot"].to_pylist(), strict=True))


def bounds(weights: pa.ChunkedArray) -> list[int]:
    """Where parts of about BATCH_ROWS begin and end, of rows with these weights."""
    number = np.cumsum(weights.to_numpy(), dtype=np.int64) // BATCH_ROWS
    ends = (np.flatnonzero(np.diff(number, append=-1)) + 1).tolist()
    return [0, *ends]
