"""A value beyond a limit."""

from __future__ import annotations

from dataclasses import dataclass

from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import Found, Readings, State


@dataclass(frozen=True)
class Threshold:
    """A value beyond a limit for `for_ms`, until it is back on the other side of `clear`.

    limit, clear: in the sensor's unit; clear None means back at the limit or better.
    """

    limit: float
    above: bool
    clear: float | None = None
    for_ms: int = 0
    view: View = View.GOOD
    unit: str = "{}"

    def start(self, sensors: int) -> State:
        """Nothing pending, 9 bytes a sensor."""
        return latch.start(sensors)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Hold each reading against the limit."""
        value = readings.value
        latch.drop_pending(state, readings)
        hot = value > self.limit if self.above else value < self.limit
        if latch.quiet(state, hot):
            return []
        if self.clear is None:
            cool = ~hot
        else:
            cool = value < self.clear if self.above else value > self.clear
        return latch.step(state, readings, hot, cool, self.limit, self.for_ms)
