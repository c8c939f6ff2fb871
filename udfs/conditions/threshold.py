"""A value beyond a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.latch import Found, Number, Readings, State, pick
from udfs.conditions.latched import Latched


@dataclass(frozen=True, eq=False)
class Threshold(Latched):
    """A value beyond a limit, until it is back on the other side of `clear`.

    limit, clear: in the sensor's unit; clear None means back at the limit or better.
    """

    columns = (*Latched.columns, "limit", "clear")

    limit: Number
    above: bool
    clear: Number | None = None

    def __post_init__(self) -> None:
        if self.clear is None:
            # the next number past the limit: on its other side is the limit itself
            past = np.nextafter(self.limit, np.inf if self.above else -np.inf)
            object.__setattr__(self, "clear", past)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Hold each reading against the limit."""
        limit = pick(self.limit, readings.at)
        self._restart(state, readings)
        hot = readings.value > limit if self.above else readings.value < limit
        touched = latch.touch(state, readings, hot)
        if touched is None:
            return []
        limit, clear = (pick(each, touched.entry) for each in (self.limit, self.clear))
        cool = touched.value < clear if self.above else touched.value > clear
        return self._move(state, touched, cool, limit)
