"""New files of rows that come as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.files import discard, write_parquet
from jobs.lake.maintain.layout import Layout


def write(table: Table, rows: Iterator[pa.Table], layout: Layout, rows_each: int) -> list[DataFile]:
    """Files of about so many rows each. What was written is deleted when anything fails."""
    blocks = regroup(rows, layout.row_group_rows)
    made: list[DataFile] = []
    try:
        for first in blocks:
            rest = _take(blocks, rows_each - len(first))
            made.append(write_parquet(table, chain([first], rest), **layout.parquet))
    except BaseException:
        discard(table, made)
        raise
    return made


def regroup(rows: Iterator[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of a multiple of so many, but for the last."""
    waiting: list[pa.Table] = []
    count = 0
    for table in rows:
        waiting.append(table)
        count += len(table)
        if count >= size:
            whole = pa.concat_tables(waiting)
            full = count // size * size
            yield whole.slice(0, full)
            waiting, count = [whole.slice(full)], count - full
    if count:
        yield pa.concat_tables(waiting)


def _take(blocks: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    while rows > 0 and (block := next(blocks, None)) is not None:
        rows -= len(block)
        yield block
