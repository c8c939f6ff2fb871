"""Chunks whose readings no other table has yet: decoded, and only the sensors asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyiceberg.io import FileIO

from jobs.lake.query.rowgroups import decoded, open_file
from jobs.lake.query.scope import QueryError, Scope, matching
from jobs.lake.query.slices import ahead
from jobs.lake.query.view import View, files
from udfs.archive.chunk import Chunk, decode
from udfs.archive.hour_columns import texts
from udfs.catalogue import Catalogue
from udfs.coverage import MINUTE_MS

_KEYS = ["facility", "gateway", "minute", "revision"]


class Waiting(NamedTuple):
    """A row of table `chunks`: where it is, and what it is of."""

    path: str
    row: int
    facility: str
    gateway: str
    minute_ms: int
    revision: int


def find(view: View, scope: Scope) -> list[Waiting]:
    """All chunks of a facility and time, whether another table has them or not."""
    gateways = {name: glob for name, glob in scope.globs.items() if name == "gateway"}
    scope = replace(scope, globs=gateways)
    paths = [file.file_path for file in files(view.chunks, scope, "minute", MINUTE_MS)]
    keys = ahead(view.pool, partial(_keys, view.chunks.io, scope), paths, view.depth)
    return sorted((each for found in keys for each in found), key=lambda each: each[2:])


def named(view: View, waiting: list[Waiting]) -> list[Waiting]:
    """The same, once it is looked up what the slots of their gateways are called."""
    for facility in sorted({each.facility for each in waiting}):
        view.names.learn(facility)
    return waiting


def _keys(io: FileIO, scope: Scope, path: str) -> list[Waiting]:
    """The chunks of a file that are of the scope."""
    with open_file(io, path) as file:
        table = file.read(columns=_KEYS, use_threads=False)
    low_ms, high_ms = scope.span(MINUTE_MS)
    minutes = table["minute"].cast(pa.int64()).to_numpy() // 1000
    rows = np.flatnonzero(scope.rows(table) & (minutes >= low_ms) & (minutes < high_ms))
    table = decoded(table.take(rows))
    names = (table["facility"].to_pylist(), table["gateway"].to_pylist())
    numbers = (minutes[rows].tolist(), table["revision"].to_pylist())
    return [Waiting(path, *each) for each in zip(rows.tolist(), *names, *numbers, strict=True)]


def chunks(view: View, scope: Scope, waiting: Iterable[Waiting]) -> list[Chunk]:
    """The chunks with the sensors of the scope only; those without any are left out."""
    by_path: dict[str, list[int]] = {}
    for each in waiting:
        by_path.setdefault(each.path, []).append(each.row)
    found = []
    for path, rows in by_path.items():
        with open_file(view.chunks.io, path) as file:
            column = file.read(columns=["chunk"], use_threads=False)["chunk"]
        found += [_some(view, _decoded(column[row].as_py(), path), scope) for row in rows]
    return [chunk for chunk in found if len(chunk)]


def _decoded(data: bytes, path: str) -> Chunk:
    try:
        return decode(data)
    except ValueError as error:
        raise QueryError(
            f"{path}: {error}; the chunk's readings are lost to this question: leave its hour out "
            "with since and until, or restore the file"
        ) from None


def catalogue(view: View, found: Sequence[Chunk]) -> Catalogue:
    """One that knows the slots of all these chunks of a gateway."""
    return max((view.names.catalogue(chunk) for chunk in found), key=len)


def _some(view: View, chunk: Chunk, scope: Scope) -> Chunk:
    """The readings of sensors that match."""
    of_slot = texts(view.names.catalogue(chunk)) if len(chunk) else {}
    globs = {name: glob for name, glob in scope.globs.items() if name in of_slot}
    if not globs:
        return chunk
    wanted = np.logical_and.reduce([matching(of_slot[name], glob) for name, glob in globs.items()])
    inside = wanted[chunk.sensor]
    offset_ms = None if chunk.offset_ms is None else chunk.offset_ms[inside]
    quality = None if chunk.quality is None else chunk.quality[inside]
    return replace(
        chunk, sensor=chunk.sensor[inside], batch=chunk.batch[inside], value=chunk.value[inside],
        offset_ms=offset_ms, quality=quality,
    )  # fmt: skip
