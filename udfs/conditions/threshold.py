"""A value beyond a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import Found, Number, Readings, State, Whole, pick


@dataclass(frozen=True, eq=False)
class Threshold(Columns):
    """A value beyond a limit for `for_ms`, until it is back on the other side of `clear`.

    limit, clear: in the sensor's unit; clear None means back at the limit or better.
    """

    columns = "limit", "clear", "for_ms"

    limit: Number
    above: bool
    clear: Number | None = None
    for_ms: Whole = 0
    view: View = View.GOOD
    unit: str = "{}"

    def __post_init__(self) -> None:
        if self.clear is None:
            # the next number past the limit: on its other side is the limit itself
            past = np.nextafter(self.limit, np.inf if self.above else -np.inf)
            object.__setattr__(self, "clear", past)

    def start(self, entries: int) -> State:
        """Nothing pending, 9 bytes an entry."""
        return latch.start(entries)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Hold each reading against the limit."""
        value, limit = readings.value, pick(self.limit, readings.at)
        latch.drop_pending(state, readings)
        hot = value > limit if self.above else value < limit
        if latch.quiet(state, hot):
            return []
        clear = pick(self.clear, readings.at)
        cool = value < clear if self.above else value > clear
        return latch.step(state, readings, hot, cool, limit, self.for_ms)
