"""Rows of table `readings` from chunks, and several parts of them as one.

    rows = sensor_hours(chunks, catalogues)     # a gateway hour, sorted by slot
    rows = merge([rows, late_rows])             # one part a sensor hour

Nothing is lost but what is there already: a reading of a later part that an earlier part has, with
the same sensor, time, value bits and quality, is what somebody sent twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.archive.chunk import Chunk
from udfs.archive.held import Held, minutes_of
from udfs.archive.hour_columns import Catalogues, gather
from udfs.archive.repeats import repeats
from udfs.archive.rows import Bools, Counts, SensorHours, pack, slices, unpack
from udfs.archive.schemas import HOUR_MS, READINGS_SCHEMA

_ORDER = ["facility", "gateway", "slot", "hour"]


def sensor_hours(chunks: Sequence[Chunk], catalogues: Catalogues, part: int = 0) -> pa.Table:
    """The readings of chunks as rows of `READINGS_SCHEMA`, ascending by slot.

    Takes little more memory than the chunks and the result. No rows when no chunk has a reading.

    Args: chunks: of one gateway and one hour, in any order; several revisions of a minute are
        merged. catalogues: the catalogue of a version of that gateway. part: of the rows.
    Raises: ValueError: chunks of several gateway hours, one twice, or a slot that its catalogue
        has not.
    """
    hours = {(c.facility, c.gateway, c.minute_ms // HOUR_MS * HOUR_MS) for c in chunks}
    if len(hours) > 1:
        raise ValueError(f"chunks of several gateway hours: {sorted(hours)[:3]}")
    minutes = minutes_of(chunks)
    layers = [_rows(layer, catalogues, part, minutes) for layer in _layers(chunks)]
    return layers[0] if len(layers) == 1 else merge(layers, part)


def _layers(chunks: Sequence[Chunk]) -> list[list[Chunk]]:
    """The chunks so that a layer has a minute once: one layer, or one a revision."""
    if len({chunk.minute_ms for chunk in chunks}) == len(chunks):
        return [list(chunks)]
    layers: dict[int, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        layers[chunk.revision].append(chunk)
    if len({(chunk.minute_ms, chunk.revision) for chunk in chunks}) < len(chunks):
        raise ValueError("a revision of a gateway minute is there twice")
    return [layers[revision] for revision in sorted(layers)]


def _rows(chunks: Sequence[Chunk], catalogues: Catalogues, part: int, minutes: bytes) -> pa.Table:
    hours = gather(chunks, catalogues)
    tables = [pack(each, part, [minutes] * len(each.counts)) for each in hours]
    return pa.concat_tables([READINGS_SCHEMA.empty_table(), *tables])


def merge(rows: Sequence[pa.Table], part: int = 0, held: Held | None = None) -> pa.Table:
    """One row a sensor hour, sorted by facility, gateway, slot and hour.

    Rows that are alone are not unpacked. Others are: in the order of `part`, then of `rows`. What
    they say of themselves (asset, unit, ...) is what the last of them says.

    Args: rows: tables of `READINGS_SCHEMA`, one or more. part: of the result. held: where `rows`
        are some sensors only, what all of the gateway hours hold; else it is found in `rows`.
    """
    table = pa.concat_tables(rows)
    held = Held.of(table) if held is None else held
    keys = [(name, "ascending") for name in [*_ORDER, "part"]]
    table = table.take(pc.sort_indices(table, sort_keys=keys))  # stable
    first = _first_of_key(table)
    if not first.all():
        table = _joined(table, first)
    return _noted(table, part, held)


def _first_of_key(table: pa.Table) -> Bools:
    """Which rows have another key than the row before, shape (rows,)."""
    first = np.ones(len(table), np.bool_)
    changes = [pc.not_equal(table[n][1:], table[n][:-1]).to_numpy() for n in _ORDER]
    first[1:] = np.logical_or.reduce(changes)
    return first


def _joined(table: pa.Table, first: Bools) -> pa.Table:
    """Rows of one key made one; `table` is sorted by key."""
    places = np.flatnonzero(first)
    sizes = np.diff(places, append=len(first))
    several = sizes > 1
    alone = table.filter(pa.array(np.repeat(~several, sizes)))
    table = table.filter(pa.array(np.repeat(several, sizes)))
    joined = [_one_part(rows, which) for rows, which in _sliced(table, sizes[several])]
    whole = pa.concat_tables([alone, *joined])
    return whole.take(pc.sort_indices(whole, sort_keys=[(name, "ascending") for name in _ORDER]))


def _sliced(table: pa.Table, sizes: Counts) -> Iterator[tuple[pa.Table, Counts]]:
    """Rows of some keys at a time, and how many each key has, so that memory is bounded."""
    starts = np.cumsum(sizes) - sizes
    readings = np.add.reduceat(table["readings"].to_numpy(), starts, dtype=np.int64)
    for low, high in pairwise(slices(readings)):
        inside = sizes[low:high]
        yield table.slice(starts[low], inside.sum()), inside


def _one_part(rows: pa.Table, sizes: Counts) -> pa.Table:
    """The rows of each key (so many) joined, without what a later one repeats."""
    parts = unpack(rows)
    starts = np.cumsum(sizes) - sizes
    of_row = np.repeat(np.arange(len(sizes)), sizes)
    key = np.repeat(of_row, parts.counts)
    rank = np.repeat(np.arange(len(of_row)), parts.counts)
    order = np.lexsort((parts.time_ms, key))
    hours = SensorHours(
        parts.keys.take(starts + sizes - 1), np.bincount(key), parts.time_ms, parts.value,
        parts.quality,
    ).take(order, np.bincount(key))  # fmt: skip
    again = _sent_again(hours, key, rank[order])
    kept = np.flatnonzero(~again)
    hours = hours.take(kept, np.bincount(key[kept]))
    return pack(hours, 0, [b""] * len(hours.counts))


def _sent_again(hours: SensorHours, key: Counts, rank: Counts) -> Bools:
    """Which readings an earlier row of their key has, shape (n,); times are in order."""
    near = np.zeros(len(key), np.bool_)
    same = (key[1:] == key[:-1]) & (hours.time_ms[1:] == hours.time_ms[:-1])
    near[1:] |= same
    near[:-1] |= same
    at = np.flatnonzero(near)
    columns: list[npt.NDArray[Any]] = [key[at], hours.time_ms[at], hours.value.view(np.int64)[at]]
    columns += [] if hours.quality is None else [hours.quality[at]]
    near[at] = repeats(rank[at], *columns)
    return near


def _noted(table: pa.Table, part: int, held: Held) -> pa.Table:
    """The rows as that part, each with what its gateway hour holds."""
    hours = table["hour"].cast(pa.int64()).to_numpy() // 1000
    names = (table["facility"].to_pylist(), table["gateway"].to_pylist(), hours.tolist())
    minutes = pa.array([held.minutes(*hour) for hour in zip(*names, strict=True)], pa.binary())
    schema = table.schema
    table = table.set_column(schema.get_field_index("minutes"), schema.field("minutes"), minutes)
    parts = pa.array(np.full(len(table), part, np.int32))
    return table.set_column(schema.get_field_index("part"), schema.field("part"), parts)
