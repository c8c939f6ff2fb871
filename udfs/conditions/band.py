"""A value outside of a band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.latch import Found, Number, Readings, State, pick
from udfs.conditions.latched import Latched


@dataclass(frozen=True, eq=False)
class Band(Latched):
    """A value below `low` or above `high`, until it is inside of both by `margin`.

    low, high, margin: in the sensor's unit; margin 0 means back at a limit or better.
    """

    columns = (*Latched.columns, "low", "high", "margin")

    low: Number
    high: Number
    margin: Number = 0.0

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Hold each reading against both limits. The limit told is the one that is nearer."""
        self._restart(state, readings)
        value = readings.value
        hot = (value < pick(self.low, readings.at)) | (value > pick(self.high, readings.at))
        touched = latch.touch(state, readings, hot)
        if touched is None:
            return []
        value = touched.value
        low, high, margin = (pick(c, touched.entry) for c in (self.low, self.high, self.margin))
        cool = (value >= low + margin) & (value <= high - margin) & ~touched.hot
        # halves, because the sum of two large limits would overflow
        nearer = np.where(value > low / 2 + high / 2, high, low)
        return self._move(state, touched, cool, nearer)
