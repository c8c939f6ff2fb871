"""Rollups, from tables `rollups` and `chunks` as if they were one, by the minute or longer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import schema_to_pyarrow

from jobs.lake.query import waiting as chunk_rows
from jobs.lake.query.buckets import (
    BUCKETS_SCHEMA,
    Buckets,
    from_minutes,
    from_prepared,
    in_order,
    joined,
    once,
)
from jobs.lake.query.columns import ROLLUPS_COLUMNS, TIME
from jobs.lake.query.plan import Source, Work, works
from jobs.lake.query.rowgroups import decoded, find, open_file, read_footer
from jobs.lake.query.scope import QueryError, Scope
from jobs.lake.query.slices import ahead
from jobs.lake.query.view import View, files
from jobs.lake.query.waiting import Waiting
from jobs.lake.spec import TableSpec
from jobs.lake.tables import ROLLUPS_DAY, ROLLUPS_HOUR
from udfs.archive.rollup_rows import CLOUD, rollup_rows
from udfs.archive.rollups import roll_up
from udfs.archive.schemas import ROLLUPS_SCHEMA
from udfs.coverage import MINUTE_MS

_EVERY = re.compile(r"([1-9]\d{0,4})(m|h|d)")
_UNIT_MS = {"m": MINUTE_MS, "h": 60 * MINUTE_MS, "d": 1440 * MINUTE_MS}
_MINUTE = ["facility", "gateway", "minute"]
_END_MS = 2**52  # after all that anybody asks for


def every_ms(text: str) -> int:
    """Milliseconds of "1m", "15m", "1h", "1d". Raises: QueryError: no whole number of minutes."""
    found = _EVERY.fullmatch(text)
    if found is None:
        raise QueryError(f'every "{text}" is no whole number of minutes: write 1m, 15m, 1h or 1d')
    return int(found[1]) * _UNIT_MS[found[2]]


def read_rollups(view: View, scope: Scope, step_ms: int) -> Iterator[pa.Table]:
    """Tables of ROLLUPS_COLUMNS: by facility and slice of time, then gateway, slot and time.

    Args: view: `made` is table `rollups`. step_ms: how long a row is.
    """
    found = works(view, scope, SOURCE, _without_row(view, scope))
    parts = ahead(view.pool, partial(_read, view, scope, step_ms), found, view.depth)
    if step_ms == MINUTE_MS:
        yield from (finished(rows, step_ms) for _, rows in parts if len(rows))
        return
    yield from _longer(parts, step_ms)


def _longer(parts: Iterator[tuple[Work, pa.Table]], step_ms: int) -> Iterator[pa.Table]:
    """Buckets, as soon as no more can come for them."""
    buckets, place = Buckets(step_ms), None
    for work, rows in parts:
        if place is not None and work.span != place:
            same = work.span.facility == place.facility
            yield finished(buckets.take(work.span.low_ms if same else _END_MS), step_ms)
        place = work.span
        buckets.add(rows)
    yield finished(buckets.take(_END_MS), step_ms)


def _without_row(view: View, scope: Scope) -> list[Waiting]:
    """The chunks of minutes that table `rollups` does not have: no sensor of the gateway."""
    found = chunk_rows.find(view, scope)
    if not found:
        return []
    low_ms, high_ms = (end(each.minute_ms for each in found) for end in (min, max))
    place = Scope(scope.facility, {}, low_ms, high_ms + MINUTE_MS)
    paths = [file.file_path for file in files(view.made, place, "minute", MINUTE_MS)]
    have = {key for keys in ahead(view.pool, partial(_minutes, view, place), paths, view.depth)
            for key in keys}  # fmt: skip
    missing = [each for each in found if (each.facility, each.gateway, each.minute_ms) not in have]
    return chunk_rows.named(view, missing)


def _minutes(view: View, place: Scope, path: str) -> set[tuple[str, str, int]]:
    """The gateway minutes of which a file has rows of the cloud."""
    footer = read_footer(view.made.io, path)
    groups = [group.number for group in find(footer, place, "minute", MINUTE_MS)]
    if not groups:
        return set()
    with open_file(view.made.io, path, footer) as file:
        rows = file.read_row_groups(groups, columns=[*_MINUTE, "source"], use_threads=False)
    rows = rows.filter(pc.equal(rows["source"], CLOUD)).unify_dictionaries()
    distinct = decoded(rows.group_by(_MINUTE).aggregate([]))
    minutes = (distinct["minute"].cast(pa.int64()).to_numpy() // 1000).tolist()
    names = (distinct[name].to_pylist() for name in _MINUTE[:2])
    return set(zip(*names, minutes, strict=True))


def _rows(view: View, scope: Scope, waiting: Sequence[Waiting]) -> pa.Table:
    """Chunks as rows of table `rollups`, all revisions of a minute together."""
    tables = [ROLLUPS_SCHEMA.empty_table()]
    by_minute: dict[tuple[str, int], list[Waiting]] = {}
    for each in waiting:
        by_minute.setdefault((each.gateway, each.minute_ms), []).append(each)
    for minute in by_minute.values():
        found = chunk_rows.chunks(view, scope, minute)
        if found:
            tables.append(rollup_rows(roll_up(found), chunk_rows.catalogue(view, found)))
    return pa.concat_tables(tables)


def _each(rows: pa.Table) -> pa.ChunkedArray:
    return pa.chunked_array([np.ones(len(rows), np.int64)])


SOURCE = Source("minute", MINUTE_MS, ROLLUPS_SCHEMA.names, _rows, _each)


def _read(view: View, scope: Scope, step_ms: int, work: Work) -> tuple[Work, pa.Table]:
    """The rows of a piece as buckets; all that there is of a minute is in one piece."""
    parts = [from_minutes(rows, step_ms) for rows in work.tables(view, scope, SOURCE)]
    rows = pa.concat_tables([BUCKETS_SCHEMA.empty_table(), *parts])
    rows = in_order(rows.unify_dictionaries()) if len(parts) > 1 else rows
    return work, rows if step_ms == MINUTE_MS else joined(once(rows))


def read_prepared(view: View, scope: Scope, step_ms: int) -> Iterator[pa.Table]:
    """The same from table `rollups_hour` or `rollups_day`, as maintenance made it last.

    Args: view: `made` is the table that `prepared` says.
    """
    grain_ms = _DAY_MS if prepared(step_ms) is ROLLUPS_DAY else _HOUR_MS
    source = Source("time", grain_ms, _PREPARED, _none, _each)
    found = works(view, scope, source, [])
    read = partial(_read_prepared, view, scope, step_ms, source)
    for rows in _longer(ahead(view.pool, read, found, view.depth), step_ms):
        for name in ("edge", "missing", "revision"):
            unknown = pa.nulls(len(rows), rows.schema.field(name).type)
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), unknown)
        yield rows


def prepared(step_ms: int) -> TableSpec:
    """The table that has such times. Raises: QueryError: none has."""
    if step_ms % _HOUR_MS:
        raise QueryError("only hours and days are prepared: write every 1h, 6h, 1d, ...")
    return ROLLUPS_HOUR if step_ms % _DAY_MS else ROLLUPS_DAY


_HOUR_MS, _DAY_MS = _UNIT_MS["h"], _UNIT_MS["d"]
_PREPARED = [column.name for column in ROLLUPS_DAY.columns]


def _none(view: View, scope: Scope, waiting: Sequence[Waiting]) -> pa.Table:
    """Nothing of chunks is in it."""
    return schema_to_pyarrow(ROLLUPS_DAY.schema(), include_field_ids=False).empty_table()


def _read_prepared(
    view: View, scope: Scope, step_ms: int, source: Source, work: Work
) -> tuple[Work, pa.Table]:
    parts = [from_prepared(rows, step_ms) for rows in work.tables(view, scope, source)]
    return work, joined(pa.concat_tables([BUCKETS_SCHEMA.empty_table(), *parts]))


def finished(buckets: pa.Table, step_ms: int) -> pa.Table:
    """BUCKETS_SCHEMA as ROLLUPS_COLUMNS; what lacks a minute is not complete."""
    none = pc.equal(buckets["count"], 0)
    columns = {name: buckets[name] for name in buckets.column_names}
    whole = pc.equal(buckets["minutes"], step_ms // MINUTE_MS)
    columns["complete"] = pc.and_(buckets["complete"], whole)
    columns["time"] = pc.cast(pc.divide(buckets["time_us"], 1000), TIME)
    columns["mean"] = pc.divide(buckets["sum"], pc.cast(buckets["count"], pa.float64()))
    for name in ("mean", "min", "max", "first", "last"):
        columns[name] = pc.if_else(none, None, columns[name])
    return pa.table(columns).select(ROLLUPS_COLUMNS.names).cast(ROLLUPS_COLUMNS)
