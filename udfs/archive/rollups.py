"""Rollups of what is stored, equal to the bit to those that were published as it came.

    rollup = roll_up(chunks)                                   # of one gateway minute
    rollup = roll_up_readings(unpack(rows), minute_ms, ...)    # the same from table `readings`

Both fold `udfs.minute.Minute`, as rollup_readings does: the order of a floating-point sum decides
its last bits, so there is one place that adds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.chunk import Chunk
from udfs.archive.repeats import repeats
from udfs.archive.rows import SensorHours
from udfs.batch import usable
from udfs.coverage import MINUTE_MS
from udfs.losses import Position
from udfs.minute import Minute, Part
from udfs.rollup import MinuteRollup

TICK_MS = 1000

Slots = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Qualities = npt.NDArray[np.uint8] | None
Columns = tuple[Floats, Slots | None, Bools | None]


def roll_up(chunks: Sequence[Chunk]) -> MinuteRollup:
    """The rollup of one gateway minute, its batches folded in the order of their numbers.

    Args: chunks: all revisions of the minute, in any order; what a later one repeats is left out.
    Returns: with the revision, `complete` and `missing` of the highest revision.
    Raises: ValueError: no chunks, or of several gateway minutes.
    """
    if len({(chunk.facility, chunk.gateway, chunk.minute_ms) for chunk in chunks}) != 1:
        raise ValueError("a rollup is made from the chunks of one gateway minute")
    chunks = _without_repeats(sorted(chunks, key=lambda chunk: chunk.revision))
    last, parts = chunks[-1], [part for chunk in chunks for part in _parts(chunk)]
    minute = Minute(last.minute_ms)
    for part in sorted(parts, key=lambda part: part.position):
        minute.fold(part)
    return minute.rollup(last.facility, last.gateway, last.revision, last.complete, last.missing)


def _without_repeats(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks without the readings that one of a lower revision has."""
    if len(chunks) == 1:
        return chunks
    lengths = [len(chunk) for chunk in chunks]
    again = repeats(
        np.repeat(np.arange(len(chunks)), lengths),
        np.concatenate([chunk.sensor for chunk in chunks]),
        np.concatenate([chunk.times_ms() for chunk in chunks]),
        np.concatenate([chunk.value.view(np.int64) for chunk in chunks]),
        np.concatenate([_qualities(chunk) for chunk in chunks]),
    )
    kept = np.split(~again, np.cumsum(lengths)[:-1])
    return [_only(chunk, where) for chunk, where in zip(chunks, kept, strict=True)]


def _qualities(chunk: Chunk) -> npt.NDArray[np.uint8]:
    return np.zeros(len(chunk), np.uint8) if chunk.quality is None else chunk.quality


def _only(chunk: Chunk, where: Bools) -> Chunk:
    if where.all():
        return chunk
    return replace(
        chunk,
        sensor=chunk.sensor[where],
        batch=chunk.batch[where],
        value=chunk.value[where],
        offset_ms=None if chunk.offset_ms is None else chunk.offset_ms[where],
        quality=None if chunk.quality is None else chunk.quality[where],
    )


def _parts(chunk: Chunk) -> Iterator[Part]:
    """The chunk's batches again, those without readings too."""
    batches = chunk.batches
    columns = _by_batch(chunk.sensor, chunk.batch, len(batches), chunk.value, chunk.quality)
    for row, (value, sensor, good) in enumerate(columns):
        position = Position(int(batches.epoch[row]), int(batches.sequence[row]))
        newest, trace = int(batches.catalogue[row]), batches.traceparent[row]
        yield Part(position, value, sensor, good, newest, trace)


def _by_batch(
    sensor: Slots, batch: Numbers, batches: int, value: Floats, quality: Qualities
) -> Iterator[Columns]:
    """(values, slots, which are good) of each batch, of readings by slot, then batch."""
    good = usable(value, quality)
    table = None if good is not None else _table(sensor, batch, batches, value)
    if table is not None:
        yield from ((each, None, None) for each in table)
        return
    order = np.argsort(batch, kind="stable")
    sensor, value = sensor[order], value[order]
    good = None if good is None else good[order]
    sizes = np.bincount(batch, minlength=batches)
    ends = np.cumsum(sizes)
    for start, end in zip(ends - sizes, ends, strict=True):
        inside = slice(start, end)
        some = None if good is None or good[inside].all() else good[inside]
        yield value[inside], sensor[inside], some


def _table(sensor: Slots, batch: Numbers, batches: int, value: Floats) -> Floats | None:
    """Values by batch and slot, where each batch has slots 0, 1, 2, ... once: the usual minute."""
    if not len(value) or len(value) % batches:
        return None
    shape = (len(value) // batches, batches)
    if (batch.reshape(shape) != np.arange(batches)).any():
        return None
    if (sensor.reshape(shape) != np.arange(shape[0])[:, None]).any():
        return None
    return np.ascontiguousarray(value.reshape(shape).T)


def roll_up_readings(
    hours: SensorHours,
    minute_ms: int,
    revision: int,
    complete: bool,
    missing: int,
    catalogue: int = 0,
) -> MinuteRollup:
    """The rollup of one minute of a gateway hour whose batches are not known any more.

    It folds tick by tick, so it is that of `roll_up` to the bit where a batch was a tick of 1 s.

    Args: hours: of one gateway hour, one part each, ascending by slot; `unpack` of `merge`.
        revision, complete, missing, catalogue: what the rollup is to say.
    Returns: with the ticks that had a reading as `batches`; epoch 0, no traceparent.
    Raises: ValueError: no hours, of several gateway hours, or not ascending by slot.
    """
    facility, gateway, hour_ms = _one_hour(hours)
    since_ms = minute_ms - hour_ms
    places = np.flatnonzero((hours.time_ms >= since_ms) & (hours.time_ms < since_ms + MINUTE_MS))
    slots = hours.keys["slot"].to_numpy().astype(np.uint32)
    sensor = np.repeat(slots, hours.counts)[places]
    ticks, tick = np.unique((hours.time_ms[places] - since_ms) // TICK_MS, return_inverse=True)
    quality = None if hours.quality is None else hours.quality[places]
    minute = Minute(minute_ms)
    columns = _by_batch(sensor, tick.astype(np.uint16), len(ticks), hours.value[places], quality)
    for number, (value, some, good) in enumerate(columns):
        minute.fold(Part(Position(0, number), value, some, good, catalogue, ""))
    return minute.rollup(facility, gateway, revision, complete, missing)


def _one_hour(hours: SensorHours) -> tuple[str, str, int]:
    """Facility, gateway and start of the hour."""
    names = hours.keys.select(["facility", "gateway", "hour"])
    distinct = names.group_by(names.column_names).aggregate([])
    if len(distinct) != 1:
        raise ValueError(f"a rollup is made from one gateway hour, not from {len(distinct)}")
    if (np.diff(hours.keys["slot"].to_numpy()) <= 0).any():
        raise ValueError("one part a sensor hour, ascending by slot: `merge` them first")
    hour_ms = int(distinct["hour"].cast(pa.int64())[0].as_py()) // 1000
    return distinct["facility"][0].as_py(), distinct["gateway"][0].as_py(), hour_ms
