"""A value that moves too fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.batch import Floats
from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import NEVER, Found, Readings, State

# A reading is kept every quarter of the window, so the one that the newest is compared with is
# between one window and a window and a quarter old, for 80 bytes a sensor whatever the window.
_KEPT_A_WINDOW = 4


@dataclass(frozen=True)
class RateOfChange:
    """A change by more than `per_s` per second, between now and about `window_ms` ago.

    The reference is the youngest kept reading that is at least `window_ms` old; one is kept every
    quarter window. per_s: in units per second, positive. direction: up, down or either.
    """

    per_s: float
    window_ms: int
    direction: str = "either"
    clear_per_s: float | None = None
    for_ms: int = 0
    view: View = View.GOOD
    unit: str = "{}/s"

    def start(self, sensors: int) -> State:
        """No reading kept yet, 89 bytes a sensor."""
        shape = (_KEPT_A_WINDOW + 1, sensors)
        kept = {"kept_ms": np.full(shape, NEVER, np.int64), "kept": np.full(shape, np.nan)}
        return latch.start(sensors) | kept

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Compare each reading with the one a window ago."""
        if readings.restart is not None:
            latch.drop_pending(state, readings)
            state["kept_ms"][:, readings.restart] = NEVER
            state["kept"][:, readings.restart] = np.nan
        rate = self._rate(state, readings)
        self._keep(state, readings)
        size = self._size(rate)
        hot = size > self.per_s
        if latch.quiet(state, hot):
            return []
        cool = size <= self.per_s if self.clear_per_s is None else size < self.clear_per_s
        return latch.step(state, readings, hot, cool, self.per_s, self.for_ms, value=rate)

    def _size(self, rate: Floats) -> Floats:
        if self.direction == "up":
            return rate
        return -rate if self.direction == "down" else np.abs(rate)

    def _rate(self, state: State, readings: Readings) -> Floats:
        """Units per second, shape (k,); NaN until a reading is a window old."""
        kept_ms, kept = state["kept_ms"][:, readings.at], state["kept"][:, readings.at]
        # rows are newest first, so the number of too young ones is the row that is wanted
        young = (readings.time - kept_ms < self.window_ms).sum(axis=0)
        place = np.minimum(young, _KEPT_A_WINDOW), np.arange(len(young))
        elapsed_ms = readings.time - kept_ms[place]
        change = readings.value - kept[place]
        # a reference that is too young (all are) must not count; neither may a division by zero
        usable = elapsed_ms >= self.window_ms
        rate: Floats = np.where(usable, change * 1000.0 / np.where(usable, elapsed_ms, 1), np.nan)
        return rate

    def _keep(self, state: State, readings: Readings) -> None:
        """Keep the readings of sensors whose newest kept one is a quarter window old."""
        kept_ms, kept = state["kept_ms"], state["kept"]
        due = readings.time - kept_ms[0, readings.at] >= self.window_ms // _KEPT_A_WINDOW
        chosen = np.flatnonzero(due)
        if not len(chosen):
            return
        slot = chosen if isinstance(readings.at, slice) else readings.at[chosen]
        kept_ms[1:, slot], kept[1:, slot] = kept_ms[:-1, slot], kept[:-1, slot]
        kept_ms[0, slot] = (
            readings.time if isinstance(readings.time, int) else readings.time[chosen]
        )
        kept[0, slot] = readings.value[chosen]
