"""Readings one a row, from tables `readings` and `chunks` as if they were one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from jobs.lake.query import waiting as chunk_rows
from jobs.lake.query.plan import Source, Work, bounds, works
from jobs.lake.query.rowgroups import decoded, open_file
from jobs.lake.query.scope import Scope
from jobs.lake.query.slices import Span, ahead, span_of
from jobs.lake.query.view import View, files
from jobs.lake.query.waiting import Waiting
from udfs.archive.explode import explode
from udfs.archive.held import Held
from udfs.archive.hours import merge, sensor_hours
from udfs.archive.schemas import HOUR_MS, READINGS_SCHEMA
from udfs.catalogue import Catalogue

_HELD = ["facility", "gateway", "hour", "minutes"]
_HELD_SCHEMA = pa.schema([READINGS_SCHEMA.field(name) for name in _HELD])
_LATER = 2**31 - 1  # the part of what comes from chunks: behind all parts of the table


def read_readings(view: View, scope: Scope, qualities: Sequence[int] = ()) -> Iterator[pa.Table]:
    """Tables of EXPLODED_SCHEMA: by facility and slice of time, then gateway, slot and time.

    Args: view: `made` is table `readings`. qualities: only readings of these codes; none: all.
    """
    found = works(view, scope, SOURCE, _not_held(view, scope))
    for tables in ahead(view.pool, partial(_read, view, scope, qualities), found, view.depth):
        yield from tables


def _not_held(view: View, scope: Scope) -> list[Waiting]:
    """The chunks that table `readings` does not hold."""
    found = chunk_rows.find(view, scope)
    if not found:
        return []
    hours = sorted({SOURCE.span(each) for each in found})
    low_ms, high_ms = (end(hour.low_ms for hour in hours) for end in (min, max))
    place = Scope(scope.facility, {}, low_ms, high_ms + HOUR_MS)
    paths = [
        file.file_path
        for file in files(view.made, place, "hour", HOUR_MS)
        if _meets(span_of(view.made, file, "hour"), hours)
    ]
    starts = pa.array([hour.low_ms * 1000 for hour in hours], _HELD_SCHEMA.field("hour").type)
    tables = ahead(view.pool, partial(_held, view, starts), paths, view.depth)
    held = Held.of(pa.concat_tables([_HELD_SCHEMA.empty_table(), *tables]))
    return chunk_rows.named(view, [each for each in found if not held.holds(*each[2:])])


def _meets(span: Span, hours: Iterable[Span]) -> bool:
    return any(
        span.facility == hour.facility and span.low_ms <= hour.low_ms <= span.high_ms
        for hour in hours
    )


def _held(view: View, hours: pa.Array, path: str) -> pa.Table:
    """What the rows of these hours in a file say that they hold."""
    with open_file(view.made.io, path) as file:
        rows = file.read(columns=_HELD, use_threads=False)
    rows = decoded(rows.filter(pc.is_in(rows["hour"], value_set=hours)))
    return rows.group_by(_HELD).aggregate([]).select(_HELD).cast(_HELD_SCHEMA)


def _rows(view: View, scope: Scope, waiting: Sequence[Waiting]) -> pa.Table:
    """Chunks as rows of table `readings`."""
    tables = [READINGS_SCHEMA.empty_table()]
    by_hour: dict[tuple[str, int], list[Waiting]] = {}
    for each in waiting:
        by_hour.setdefault((each.gateway, SOURCE.span(each).low_ms), []).append(each)
    for hour in by_hour.values():
        found = chunk_rows.chunks(view, scope, hour)
        if found:
            catalogue = chunk_rows.catalogue(view, found)
            tables.append(sensor_hours(found, partial(_same, catalogue), _LATER))
    return pa.concat_tables(tables)


def _same(catalogue: Catalogue, version: int) -> Catalogue:
    """It knows the slots of all versions."""
    return catalogue


SOURCE = Source("hour", HOUR_MS, READINGS_SCHEMA.names, _rows, lambda rows: rows["readings"])


def _read(view: View, scope: Scope, qualities: Sequence[int], work: Work) -> list[pa.Table]:
    """The readings of a piece."""
    found = work.tables(view, scope, SOURCE)
    tables = [decoded(table).cast(READINGS_SCHEMA) for table in found]
    if not tables:
        return []
    rows = tables[0] if len(tables) == 1 and _once(tables[0]) else merge(tables, 0, Held())
    ends = (scope.since_ms, scope.until_ms)
    return [
        _of_quality(explode(rows.slice(low, high - low), *ends), qualities)
        for low, high in pairwise(bounds(rows["readings"]))
    ]


def _once(rows: pa.Table) -> bool:
    """Whether rows, sorted as those of a file are, have each sensor hour once."""
    slot, hour = rows["slot"].to_numpy(), rows["hour"].cast(pa.int64()).to_numpy()
    return not bool(((slot[1:] == slot[:-1]) & (hour[1:] == hour[:-1])).any())


def _of_quality(table: pa.Table, qualities: Sequence[int]) -> pa.Table:
    if not qualities:
        return table
    return table.filter(pc.is_in(table["quality"], value_set=pa.array(qualities, pa.uint8())))
