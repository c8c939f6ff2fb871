"""Rollups of longer times from those of minutes: a quarter of an hour, a day.

    buckets = Buckets(every_ms)
    for rows in ...: buckets.add(rows)         # columns of table `rollups`, in any order
    done = buckets.take(before_ms)             # BUCKETS_SCHEMA, by gateway, slot and time

Neighbours of one bucket are put together as they come, so what is kept is a row a bucket and part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.archive.rollup_rows import EDGE
from udfs.archive.schemas import TEXTS

Columns = dict[str, npt.NDArray[Any]]
Rows = npt.NDArray[np.intp]

_CODES = pa.dictionary(pa.int32(), pa.string())
_NAMES = ("facility", "gateway", *TEXTS)
_TIME = pa.timestamp("us", tz="UTC")

# first_us, last_us: the minutes of `first` and `last`, where count is not 0
BUCKETS_SCHEMA = pa.schema(
    [
        *(pa.field(name, _CODES) for name in _NAMES),
        pa.field("slot", pa.int32()),
        pa.field("time_us", pa.int64()),
        pa.field("minutes", pa.int32()),
        pa.field("edge", pa.int32()),
        pa.field("complete", pa.bool_()),
        pa.field("missing", pa.int64()),
        pa.field("revision", pa.int32()),
        pa.field("count", pa.int64()),
        pa.field("bad", pa.int64()),
        *(pa.field(n, pa.float64()) for n in ("sum", "sum_sq", "min", "max", "first", "last")),
        pa.field("first_us", pa.int64()),
        pa.field("last_us", pa.int64()),
    ]
)

_ADDED = ("minutes", "edge", "missing", "count", "bad", "sum", "sum_sq")
_UNKNOWN = ("min", "max", "first", "last")
_NEVER = np.iinfo(np.int64).max


def from_minutes(rows: pa.Table, every_ms: int) -> pa.Table:
    """Rows of table `rollups`, each as a bucket of its own."""
    minute_us = rows["minute"].cast(pa.int64()).to_numpy()
    edge = pc.equal(rows["source"], EDGE)
    columns: dict[str, Any] = {name: _coded(rows[name]) for name in _NAMES}
    columns |= {name: rows[name] for name in ("slot", "complete", "revision", *_ADDED[2:])}
    columns |= {"time_us": minute_us // (every_ms * 1000) * (every_ms * 1000)}
    columns |= {"minutes": np.ones(len(rows), np.int32), "edge": edge.cast(pa.int32())}
    columns |= {name: pc.fill_null(rows[name], np.nan) for name in _UNKNOWN}
    columns |= {"first_us": minute_us, "last_us": minute_us}
    return pa.table(columns).select(BUCKETS_SCHEMA.names).cast(BUCKETS_SCHEMA)


def from_prepared(rows: pa.Table, every_ms: int) -> pa.Table:
    """Rows of table `rollups_hour` or `rollups_day`, each as a bucket of its own."""
    time_us = rows["time"].cast(pa.int64()).to_numpy()
    columns: dict[str, Any] = {name: _coded(rows[name]) for name in _NAMES}
    columns |= {name: rows[name] for name in ("slot", "minutes", "complete", *_ADDED[3:])}
    columns |= {"time_us": time_us // (every_ms * 1000) * (every_ms * 1000)}
    columns |= {name: np.zeros(len(rows), np.int32) for name in ("edge", "missing", "revision")}
    columns |= {name: pc.fill_null(rows[name], np.nan) for name in _UNKNOWN}
    columns |= {"first_us": time_us, "last_us": time_us}
    return pa.table(columns).select(BUCKETS_SCHEMA.names).cast(BUCKETS_SCHEMA)


def once(rows: pa.Table) -> pa.Table:
    """The same, where a minute that cloud and edge have rolled up counts as one.

    Args: rows: of `from_minutes`, in order.
    """
    code = _coded(rows["gateway"]).combine_chunks().indices.to_numpy()
    keys = (rows["first_us"].to_numpy(), rows["slot"].to_numpy(), code)
    again = np.zeros(len(rows), np.bool_)
    again[1:] = np.logical_and.reduce([key[1:] == key[:-1] for key in keys])
    if not again.any():
        return rows
    minutes = pa.array((~again).astype(np.int32))
    return rows.set_column(rows.column_names.index("minutes"), "minutes", minutes)


class Buckets:
    """Buckets of one facility in the making. every_ms: how long one is."""

    def __init__(self, every_ms: int) -> None:
        self._every_us = every_ms * 1000
        self._parts: list[pa.Table] = []

    def add(self, part: pa.Table) -> None:
        """More rows, as `joined` gives them."""
        self._parts.append(part)

    def take(self, before_ms: int) -> pa.Table:
        """The buckets that end before or at that time; they are no longer kept."""
        parts = pa.concat_tables([BUCKETS_SCHEMA.empty_table(), *self._parts]).unify_dictionaries()
        whole = joined(in_order(parts))
        done = whole["time_us"].to_numpy() + self._every_us <= before_ms * 1000
        rest = whole.filter(pa.array(~done))
        self._parts = [rest] if len(rest) else []
        return whole.filter(pa.array(done))


def in_order(rows: pa.Table) -> pa.Table:
    """By gateway, slot and time. rows: BUCKETS_SCHEMA, of one facility."""
    names = ["gateway", "slot", "time_us", "first_us"]
    keys = rows.select(names)
    keys = keys.set_column(0, "gateway", keys["gateway"].cast(pa.string()))
    return rows.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in names]))


def joined(rows: pa.Table) -> pa.Table:
    """Neighbours of one gateway, slot and time made one. rows: BUCKETS_SCHEMA, of one facility."""
    starts = _starts(rows)
    if len(starts) == len(rows):
        return rows
    old = {f.name: rows[f.name].to_numpy() for f in rows.schema if f.name not in _NAMES}
    new: Columns = {name: np.add.reduceat(old[name], starts) for name in _ADDED}
    new |= {name: old[name][starts] for name in ("slot", "time_us")}
    none = bool((old["count"] == 0).any())
    new["complete"] = np.logical_and.reduceat(old["complete"], starts)
    new["revision"] = np.maximum.reduceat(old["revision"], starts)
    new["min"] = np.fmin.reduceat(old["min"], starts)
    new["max"] = np.fmax.reduceat(old["max"], starts)
    for end, reduce, never in (("first", np.minimum, _NEVER), ("last", np.maximum, -_NEVER)):
        time_us = old[f"{end}_us"]
        time_us = np.where(old["count"] == 0, never, time_us) if none else time_us
        new[f"{end}_us"] = reduce.reduceat(time_us, starts)
        chosen = np.repeat(new[f"{end}_us"], np.diff(starts, append=len(rows)))
        new[end] = old[end][_where(time_us == chosen, starts)]
    names = rows.select(_NAMES).take(starts)
    columns = [names[n] if n in _NAMES else pa.array(new[n]) for n in BUCKETS_SCHEMA.names]
    return pa.table(columns, names=BUCKETS_SCHEMA.names).cast(BUCKETS_SCHEMA)


def _starts(rows: pa.Table) -> Rows:
    """Rows that have another key than the one before."""
    code = _coded(rows["gateway"]).combine_chunks().indices.to_numpy()
    keys = (rows["time_us"].to_numpy(), rows["slot"].to_numpy(), code)
    changes = np.ones(len(rows), np.bool_)
    changes[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(changes)


def _where(flags: npt.NDArray[np.bool_], starts: Rows) -> Rows:
    """The first place of each part at which there is a flag; there is one in each."""
    places = np.flatnonzero(flags)
    return places[np.searchsorted(places, starts)]


def _coded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.unify_dictionaries()
