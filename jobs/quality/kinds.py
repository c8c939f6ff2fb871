"""How many readings of each kind and hour are usable, and inside the range of their sensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.rows import SensorHours
from udfs.batch import usable

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

# (low, high) of slots with these kinds, shape (n,); infinite where there is none
Range = Callable[[Longs, list[str]], tuple[Floats, Floats]]


@dataclass
class Tally:
    """One kind in one hour. ranged: usable readings of sensors with a valid range. worst_*: the
    sensor with the most of it, and how many.
    """

    readings: int = 0
    usable: int = 0
    ranged: int = 0
    outside: int = 0
    worst_outside: tuple[int, str] = (0, "")
    worst_unusable: tuple[int, str] = (0, "")


class Kinds:
    """Of one gateway day. tallies: by hour of the day and kind."""

    def __init__(self, ranges: Range) -> None:
        self._ranges = ranges
        self.tallies: dict[tuple[int, str], Tally] = {}

    def add(self, hours: SensorHours, rows: pa.Table, hour: Longs) -> None:
        """Sensor hours, with the rows that they are of, and which hour of the day each is."""
        kinds, names = rows["kind"].to_pylist(), rows["sensor"].to_pylist()
        good = usable(hours.value, hours.quality)
        starts = hours.starts()
        many = hours.counts if good is None else np.add.reduceat(good, starts, dtype=np.int64)
        low, high = self._ranges(rows["slot"].to_numpy(), kinds)
        ranged = np.where(np.isfinite(low) | np.isfinite(high), many, 0)
        outside = _outside(hours, good, low, high)
        columns = zip(hour.tolist(), kinds, names, hours.counts.tolist(), many.tolist(),
                      ranged.tolist(), outside.tolist(), strict=True)  # fmt: skip
        for at, kind, name, count, fine, held, out in columns:
            tally = self.tallies.setdefault((at, kind), Tally())
            tally.readings += count
            tally.usable += fine
            tally.ranged += held
            tally.outside += out
            tally.worst_outside = max(tally.worst_outside, (out, name if out else ""))
            bad = count - fine
            tally.worst_unusable = max(tally.worst_unusable, (bad, name if bad else ""))


def _outside(hours: SensorHours, good: Any, low: Floats, high: Floats) -> npt.NDArray[np.int64]:
    """Usable readings out of range by row; only rows whose extremes are, are looked at."""
    value = hours.value if good is None else np.where(good, hours.value, np.nan)
    starts, found = hours.starts(), np.zeros(len(low), np.int64)
    least, most = np.fmin.reduceat(value, starts), np.fmax.reduceat(value, starts)
    out = (least < low) | (most > high)
    if out.any():
        some, counts = value[np.repeat(out, hours.counts)], hours.counts[out]
        beyond = (some < np.repeat(low[out], counts)) | (some > np.repeat(high[out], counts))
        found[out] = np.add.reduceat(beyond, np.cumsum(counts) - counts, dtype=np.int64)
    return found
