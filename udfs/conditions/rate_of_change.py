"""A value that moves too fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.batch import Floats
from udfs.conditions import latch
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import NEVER, Found, Number, Readings, State, Whole, pick

# A reading is kept every quarter of the window, so the one that the newest is compared with is
# between one window and a window and a quarter old, for 80 bytes an entry whatever the window.
_KEPT_A_WINDOW = 4


@dataclass(frozen=True, eq=False)
class RateOfChange(Columns):
    """A change by more than `per_s` per second, between now and about `window_ms` ago.

    The reference is the youngest kept reading that is at least `window_ms` old; one is kept every
    quarter window. per_s, clear_per_s: in units per second, positive; clear_per_s None means back
    at `per_s` or less. direction: up, down or either.
    """

    columns = "per_s", "window_ms", "clear_per_s", "for_ms"

    per_s: Number
    window_ms: Whole
    direction: str = "either"
    clear_per_s: Number | None = None
    for_ms: Whole = 0
    view: View = View.GOOD
    unit: str = "{}/s"

    def __post_init__(self) -> None:
        if self.clear_per_s is None:
            object.__setattr__(self, "clear_per_s", np.nextafter(self.per_s, np.inf))

    def start(self, entries: int) -> State:
        """No reading kept yet, 89 bytes an entry."""
        shape = (_KEPT_A_WINDOW + 1, entries)
        kept = {"kept_ms": np.full(shape, NEVER, np.int64), "kept": np.full(shape, np.nan)}
        return latch.start(entries) | kept

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Compare each reading with the one a window ago."""
        if readings.restart is not None:
            latch.drop_pending(state, readings)
            state["kept_ms"][:, readings.restart] = NEVER
            state["kept"][:, readings.restart] = np.nan
        rate = self._rate(state, readings)
        self._keep(state, readings)
        size = self._size(rate)
        limit = pick(self.per_s, readings.at)
        hot = size > limit
        if latch.quiet(state, hot):
            return []
        cool = size < pick(self.clear_per_s, readings.at)
        return latch.step(state, readings, hot, cool, limit, self.for_ms, value=rate)

    def _size(self, rate: Floats) -> Floats:
        if self.direction == "up":
            return rate
        return -rate if self.direction == "down" else np.abs(rate)

    def _rate(self, state: State, readings: Readings) -> Floats:
        """Units per second, shape (k,); NaN until a reading is a window old."""
        kept_ms, kept = state["kept_ms"][:, readings.at], state["kept"][:, readings.at]
        window_ms = pick(self.window_ms, readings.at)
        # rows are newest first, so the number of too young ones is the row that is wanted
        young = (readings.time - kept_ms < window_ms).sum(axis=0)
        place = np.minimum(young, _KEPT_A_WINDOW), np.arange(len(young))
        elapsed_ms = readings.time - kept_ms[place]
        change = readings.value - kept[place]
        # a reference that is too young (all are) must not count; neither may a division by zero
        usable = elapsed_ms >= window_ms
        rate: Floats = np.where(usable, change * 1000.0 / np.where(usable, elapsed_ms, 1), np.nan)
        return rate

    def _keep(self, state: State, readings: Readings) -> None:
        """Keep the readings of entries whose newest kept one is a quarter window old."""
        kept_ms, kept = state["kept_ms"], state["kept"]
        every_ms = pick(self.window_ms, readings.at) // _KEPT_A_WINDOW
        due = readings.time - kept_ms[0, readings.at] >= every_ms
        chosen = np.flatnonzero(due)
        if not len(chosen):
            return
        slot = chosen if isinstance(readings.at, slice) else readings.at[chosen]
        kept_ms[1:, slot], kept[1:, slot] = kept_ms[:-1, slot], kept[:-1, slot]
        kept_ms[0, slot] = (
            readings.time if isinstance(readings.time, int) else readings.time[chosen]
        )
        kept[0, slot] = readings.value[chosen]
