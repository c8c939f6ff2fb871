"""Sensor hours as plain columns, and packed as rows of table `readings`.

    hours = unpack(rows)
    rows = pack(hours, part=0, minutes=...)

Packed, an hour of even times is its first time and its step, decimals are whole numbers, and good
qualities are nothing at all. Both ways keep every bit of every value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from udfs.archive.scaled import from_scaled, to_scaled
from udfs.archive.schemas import KEYS, READINGS_SCHEMA

Ints = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

# readings that are worked on at a time: what they take stays in the processor's caches
SLICE_READINGS = 500_000

_MAX_INT = 2**31 - 1


@dataclass(frozen=True, eq=False, slots=True)
class SensorHours:
    """s sensor hours with n readings, those of an hour after each other.

    keys: what the hours are of, columns of `KEYS`, s rows. counts: readings of each, shape (s,).
    time_ms: int32, of the hour, shape (n,). value: float64, shape (n,). quality: uint8 `Quality`,
    shape (n,); None means all good.
    """

    keys: pa.Table
    counts: Counts
    time_ms: Ints
    value: npt.NDArray[np.float64]
    quality: npt.NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.counts)

    def starts(self) -> Counts:
        """Where each hour's readings begin, shape (s,)."""
        starts: Counts = np.cumsum(self.counts) - self.counts
        return starts

    def row(self) -> Places:
        """Which hour each reading is of, shape (n,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def in_time_order(self) -> SensorHours:
        """Times ascend in each hour; readings of one time stay in the order they are in."""
        falls = self.time_ms[1:] < self.time_ms[:-1]
        falls[self.starts()[1:] - 1] = False
        if not falls.any():
            return self
        return self.take(np.lexsort((self.time_ms, self.row())), self.counts)

    def take(self, places: Places, counts: Counts) -> SensorHours:
        """The readings at these places, which are in the order of the hours; `counts` of each."""
        quality = None if self.quality is None else self.quality[places]
        return SensorHours(self.keys, counts, self.time_ms[places], self.value[places], quality)


def slices(counts: npt.NDArray[Any]) -> list[int]:
    """Where slices of hours (or slots) with these counts of readings begin and end."""
    number = np.cumsum(counts, dtype=np.int64) // SLICE_READINGS
    return [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(counts)]


def pack(hours: SensorHours, part: int, minutes: Sequence[bytes]) -> pa.Table:
    """Rows of table `readings`, one an hour.

    Args: hours: times ascend, and none is without a reading. minutes: of each hour, s of them.
    """
    starts, rows = hours.starts(), len(hours)
    step, even = _grid(hours, starts)
    scale, ints = _scaled(hours, starts)
    decimal = scale >= 0
    columns = {
        **{name: hours.keys[name] for name in KEYS.names},
        "part": np.full(rows, part, np.int32),
        "minutes": pa.array(minutes, pa.binary()),
        "readings": hours.counts.astype(np.int32),
        "first_ms": hours.time_ms[starts],
        "step_ms": pa.array(step, mask=~even),
        "times_ms": _lists(hours.time_ms, hours.counts, ~even),
        "scale": pa.array(scale.astype(np.int32), mask=~decimal),
        "values": _lists(ints, hours.counts, decimal),
        "doubles": _lists(hours.value, hours.counts, ~decimal),
        "qualities": _qualities(hours, starts),
    }
    return pa.table(columns, schema=READINGS_SCHEMA)


def _grid(hours: SensorHours, starts: Counts) -> tuple[Ints, Bools]:
    """(distance of the first two times, whether all are that far apart) by hour, shape (s,)."""
    time = hours.time_ms
    step = np.zeros(len(starts), np.int32)
    several = hours.counts > 1
    step[several] = time[starts[several] + 1] - time[starts[several]]
    fits = np.empty(len(time), np.bool_)
    np.equal(time[1:] - time[:-1], np.repeat(step, hours.counts)[1:], out=fits[1:])
    fits[starts] = True
    return step, _all_of_each(fits, starts)


def _all_of_each(flags: Bools, starts: Counts) -> Bools:
    if flags.all():
        return np.ones(len(starts), np.bool_)
    whole: Bools = np.logical_and.reduceat(flags, starts)
    return whole


def _scaled(hours: SensorHours, starts: Counts) -> tuple[npt.NDArray[np.int8], Ints]:
    """Places by hour, -1 where doubles must be kept, and the whole numbers of all readings."""
    scale, ints = to_scaled(hours.value, starts)
    if len(ints) and max(ints.max(), -ints.min()) > _MAX_INT:
        scale[~_all_of_each(np.abs(ints) <= _MAX_INT, starts)] = -1
    return scale, ints.astype(np.int32)


def _qualities(hours: SensorHours, starts: Counts) -> pa.Array:
    if hours.quality is None:
        return pa.nulls(len(starts), READINGS_SCHEMA.field("qualities").type)
    good = _all_of_each(hours.quality == 0, starts)
    return _lists(hours.quality.astype(np.int32), hours.counts, ~good)


def _lists(column: npt.NDArray[Any], counts: Counts, wanted: Bools) -> pa.Array:
    """The readings of each wanted hour as its list; null for the others."""
    kind = pa.list_(pa.field("element", pa.from_numpy_dtype(column.dtype)))
    if not wanted.any():
        return pa.nulls(len(counts), kind)
    if not wanted.all():
        column = column[np.repeat(wanted, counts)]
    ends = np.cumsum(np.where(wanted, counts, 0))
    offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(column), kind, mask=pa.array(~wanted))


def unpack(rows: pa.Table) -> SensorHours:
    """The hours of rows of table `readings`, in the order of the rows."""
    counts = rows["readings"].to_numpy().astype(np.int64)
    quality = None
    if rows["qualities"].null_count < len(rows):
        quality = np.zeros(counts.sum(), np.uint8)
        _fill(quality, rows["qualities"], counts)
    keys = rows.select(KEYS.names)
    return SensorHours(keys, counts, _times(rows, counts), _values(rows, counts), quality)


def _times(rows: pa.Table, counts: Counts) -> Ints:
    """first + i * step where there is a step, else as they are listed."""
    step = pc.fill_null(rows["step_ms"], 0).to_numpy().astype(np.int64)
    first = rows["first_ms"].to_numpy() - (np.cumsum(counts) - counts) * step
    # modulo 2^32, in which the sum is right though the product may not be
    times = np.arange(counts.sum(), dtype=np.int32)
    times *= np.repeat(step.astype(np.int32), counts)
    times += np.repeat(first.astype(np.int32), counts)
    _fill(times, rows["times_ms"], counts)
    return times


def _values(rows: pa.Table, counts: Counts) -> npt.NDArray[np.float64]:
    scale = pc.fill_null(rows["scale"], 0).to_numpy().astype(np.int8)
    ints = np.zeros(counts.sum(), np.int64)
    _fill(ints, rows["values"], counts)
    values = from_scaled(scale, ints, np.cumsum(counts) - counts)
    _fill(values, rows["doubles"], counts)
    return values


def _fill(column: npt.NDArray[Any], lists: pa.ChunkedArray, counts: Counts) -> None:
    """Put the readings of the rows that have a list into their places of the column."""
    if lists.null_count == len(lists):
        return
    listed = np.concatenate([chunk.flatten().to_numpy() for chunk in lists.chunks])
    if not lists.null_count:
        column[:] = listed
    else:
        column[np.repeat(lists.is_valid().to_numpy(), counts)] = listed
