"""What was published of a gateway: the rank of its minutes, and its sensors' last values.

Both are in memory only and bounded. After a restart nothing is known, and what is not known is
published: a point that is written again is the same point.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from jobs.influx.lines import Rows
from jobs.influx.policy import VALUES

MINUTES = 3 * 1440
"""Minutes of which a gateway's ranks are known: three days, 26 kB."""

_NEVER = np.iinfo(np.int64).min // 2

Floats = npt.NDArray[np.float64]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Ranks:
    """The highest rank of each of a gateway's last minutes; of one minute only the highest counts.

    A job that is set back to an old savepoint says old revisions again, behind the restated ones.
    """

    def __init__(self) -> None:
        self._minute = np.full(MINUTES, -1, np.int32)
        self._rank = np.zeros(MINUTES, np.uint16)

    def take(self, minute_ms: int, rank: int) -> bool:
        """Whether nothing higher is known of this minute; then it is what is known now."""
        minute = minute_ms // 60_000
        at = minute % MINUTES
        known = int(self._minute[at])
        if minute == known and rank < self._rank[at]:
            return False
        if minute >= known:
            self._minute[at], self._rank[at] = minute, min(rank, 65_535)
        return True


class Changes:
    """The values that were last published of a gateway's n sensors.

    values: of VALUES, in this order, NaN where there is no number; shape (n, 5).
    """

    def __init__(self, sensors: int) -> None:
        self._minute_ms = np.full(sensors, _NEVER, np.int64)
        self._value = np.full((sensors, len(VALUES)), np.nan)
        self._bad = np.zeros(sensors, np.uint32)

    def due(
        self,
        slots: Rows,
        minute_ms: int,
        values: Floats,
        bad: npt.NDArray[np.uint32],
        deadband: float,
        every_s: float,
    ) -> npt.NDArray[np.bool_]:
        """Which to publish: moved by more than the deadband, other bad readings, or long ago.

        Args: values, bad: of these slots, shapes (m, 5) and (m,). Returns: shape (m,).
        """
        before = self._value[slots]
        with np.errstate(invalid="ignore"):
            near = np.abs(values - before) <= deadband
        same = near | (values == before) | (np.isnan(values) & np.isnan(before))
        old = minute_ms - self._minute_ms[slots] >= every_s * 1000
        found: npt.NDArray[np.bool_] = ~same.all(axis=1) | (bad != self._bad[slots]) | old
        return found

    def published(
        self, slots: Rows, minute_ms: int, values: Floats, bad: npt.NDArray[np.uint32]
    ) -> None:
        """These were."""
        self._minute_ms[slots] = minute_ms
        self._value[slots] = values
        self._bad[slots] = bad

    def grown(self, sensors: int) -> Changes:
        """The same for a catalogue of more sensors: slots keep their meaning."""
        found = Changes(sensors)
        kept = min(sensors, len(self._bad))
        for name in ("_minute_ms", "_value", "_bad"):
            getattr(found, name)[:kept] = getattr(self, name)[:kept]
        return found

    def __len__(self) -> int:
        return len(self._bad)


class Newest(Generic[Key, Value]):
    """At most so many values by key; what was not used for longest goes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of this key, made if it is not known."""
        found = self._known.pop(key, None)
        self._known[key] = found = make() if found is None else found
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return found
