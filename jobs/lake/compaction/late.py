"""Late chunks of minutes that table `readings` holds already: their rows, and the minutes anew.

Sensors with late readings are made from all their raw readings; of the others what was said stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.lake.compaction.changes import Change, Minutes, Slots, change_of, only, overlaid
from udfs.archive.chunk import Chunk
from udfs.archive.hour_columns import Catalogues
from udfs.archive.hours import merge, sensor_hours
from udfs.archive.repeats import repeats
from udfs.archive.rollups import roll_up_readings
from udfs.archive.rows import SensorHours, pack, unpack
from udfs.minute import Minute
from udfs.rollup import MinuteRollup

# sensors whose whole hours are in memory at a time
GROUP_SLOTS = 2_000

ReadRows = Callable[[Slots], pa.Table]


@dataclass
class Late:
    """rows: for table `readings`, without what was there; changes: one a minute."""

    rows: list[pa.Table] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def add_late(
    chunks: Sequence[Chunk], read: ReadRows, stored: Minutes, catalogues: Catalogues, part: int
) -> Late:
    """What late chunks of one gateway hour add and change.

    Args: read: the rows of table `readings` of some slots of that hour, by part. stored: the
        minutes as table `rollups` has them. part: of the new rows.
    """
    late, made = Late(), {ms: _empty(found) for ms, found in _by_minute(chunks).items()}
    for slots in _groups(chunks):
        have = read(slots)
        new = sensor_hours([between(c, slots[0], slots[-1]) for c in chunks], catalogues, part)
        whole = merge([have, new])
        late.rows.append(_fresh(have, new, whole))
        for minute_ms, found in _by_minute(chunks).items():
            sums = _sums(whole, made[minute_ms], _slots(found, slots))
            made[minute_ms] = overlaid(made[minute_ms], sums) if sums else made[minute_ms]
    for minute_ms, after in made.items():
        before = stored.get((after.gateway, minute_ms))
        late.changes.append(change_of(before, overlaid(before, after), before is not None))
    return late


def between(chunk: Chunk, low: int, high: int) -> Chunk:
    """The chunk's readings of slots from `low` to `high`, copied: the others can be let go."""
    first, end = np.searchsorted(chunk.sensor, np.array([low, high + 1], np.uint32))
    return replace(
        chunk,
        sensor=chunk.sensor[first:end].copy(),
        batch=chunk.batch[first:end].copy(),
        value=chunk.value[first:end].copy(),
        offset_ms=None if chunk.offset_ms is None else chunk.offset_ms[first:end].copy(),
        quality=None if chunk.quality is None else chunk.quality[first:end].copy(),
    )


def _by_minute(chunks: Sequence[Chunk]) -> dict[int, list[Chunk]]:
    """The chunks of each minute, the highest revision last."""
    found: dict[int, list[Chunk]] = {}
    for chunk in sorted(chunks, key=lambda c: (c.minute_ms, c.revision)):
        found.setdefault(chunk.minute_ms, []).append(chunk)
    return found


def _groups(chunks: Sequence[Chunk]) -> Iterator[Slots]:
    """The slots with late readings, some at a time."""
    slots = np.unique(np.concatenate([chunk.sensor for chunk in chunks])).astype(np.int64)
    for start in range(0, len(slots), GROUP_SLOTS):
        yield slots[start : start + GROUP_SLOTS]


def _slots(chunks: Sequence[Chunk], among: Slots) -> Slots:
    """Those of `among` of which there are late readings in the minute."""
    touched = np.concatenate([chunk.sensor for chunk in chunks])
    return among[np.isin(among, touched)]


def _empty(chunks: Sequence[Chunk]) -> MinuteRollup:
    """The minute without a sensor, as its last chunk speaks of it."""
    last, batches = chunks[-1], [chunk.batches for chunk in chunks]
    made = Minute(last.minute_ms).rollup(
        last.facility, last.gateway, last.revision, last.complete, last.missing
    )
    return replace(
        made,
        epoch=max(int(b.epoch.max(initial=0)) for b in batches),
        catalogue=max(int(b.catalogue.max(initial=0)) for b in batches),
        traceparent=next((b.traceparent[-1] for b in batches if len(b)), ""),
    )


def _sums(whole: pa.Table, like: MinuteRollup, slots: Slots) -> MinuteRollup | None:
    """The minute of these sensors, from their hours; None when there are none."""
    if not len(slots):
        return None
    made = roll_up_readings(
        unpack(whole), like.minute_ms, like.revision, like.complete, like.missing, like.catalogue
    )
    return replace(only(made, slots), epoch=like.epoch, traceparent=like.traceparent)


def _fresh(have: pa.Table, new: pa.Table, whole: pa.Table) -> pa.Table:
    """The new rows without the readings that are there; `whole` is both, without them."""
    counts = [rows["readings"].to_numpy().sum() for rows in (have, new, whole)]
    if counts[0] + counts[1] == counts[2]:
        return new
    old, late = unpack(have), unpack(new)
    columns = [np.concatenate(pair) for pair in zip(_columns(old), _columns(late), strict=True)]
    part = np.repeat([0, 1], [len(old.time_ms), len(late.time_ms)])
    kept = np.flatnonzero(~repeats(part, *columns)[len(old.time_ms) :])
    left = late.take(kept, np.bincount(late.row()[kept], minlength=len(late)))
    some = left.counts > 0
    keys, minutes = left.keys.filter(pa.array(some)), new["minutes"].filter(pa.array(some))
    left = replace(left, keys=keys, counts=left.counts[some])
    part_of = new["part"][0].as_py()
    return pack(left, part_of, minutes.to_pylist())


def _columns(hours: SensorHours) -> list[npt.NDArray[Any]]:
    """What makes readings of a gateway hour equal: slot, time, value bits and quality."""
    quality = hours.quality
    if quality is None:
        quality = np.zeros(len(hours.time_ms), np.uint8)
    slot = np.repeat(hours.keys["slot"].to_numpy(), hours.counts)
    return [slot, hours.time_ms, hours.value.view(np.int64), quality]
