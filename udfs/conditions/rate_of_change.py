"""A value that moves too fast."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from udfs.batch import Bools, Floats
from udfs.conditions import latch
from udfs.conditions.latch import NEVER, Found, Number, Readings, Slots, State, Whole, pick
from udfs.conditions.latched import Latched

# A reading is kept every quarter of the window, so the one that the newest is compared with is
# between one window and a window and a quarter old, and at most four are younger than a window.
_KEPT_A_WINDOW = 4


@dataclass(frozen=True, eq=False)
class RateOfChange(Latched):
    """A change by more than `per_s` per second, between now and about `window_ms` ago.

    The reference is the youngest kept reading that is at least `window_ms` old; one is kept every
    quarter window. per_s, clear_per_s: in units per second, positive; clear_per_s None means back
    at `per_s` or less. direction: up, down or either.

    State: kept, kept_ms: rows of kept readings, the newest first; reference: the one of them that
    serves; wake_ms: when another is to be kept or to serve. Until then a step need not look at the
    rows.
    """

    columns = (*Latched.columns, "per_s", "window_ms", "clear_per_s")

    per_s: Number
    window_ms: Whole
    direction: str = "either"
    clear_per_s: Number | None = None
    unit: str = field(default="{}/s", kw_only=True)

    def __post_init__(self) -> None:
        if self.clear_per_s is None:
            object.__setattr__(self, "clear_per_s", np.nextafter(self.per_s, np.inf))

    def start(self, entries: int) -> State:
        """No reading kept yet, 104 bytes an entry and the latch."""
        shape = (_KEPT_A_WINDOW + 1, entries)
        return super().start(entries) | {
            "kept_ms": np.full(shape, NEVER, np.int64),
            "kept": np.full(shape, np.nan),
            "wake_ms": np.full(entries, NEVER, np.int64),
            "reference_ms": np.full(entries, NEVER, np.int64),
            "reference": np.full(entries, np.nan),
        }

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Compare each reading with the one a window ago."""
        self._restart(state, readings)
        if readings.restart is not None:
            state["kept_ms"][:, readings.restart] = state["wake_ms"][readings.restart] = NEVER
            state["kept"][:, readings.restart] = np.nan
        self._wake(state, readings)
        at = readings.at
        rate = (readings.value - state["reference"][at]) * 1000.0
        rate /= readings.time - state["reference_ms"][at]  # NaN without a reference
        hot = self._size(rate) > pick(self.per_s, at)
        touched = latch.touch(state, readings, hot)
        if touched is None:
            return []
        touched = touched._replace(value=rate[touched.at])
        limit, clear = (pick(each, touched.entry) for each in (self.per_s, self.clear_per_s))
        return self._move(state, touched, self._size(touched.value) < clear, limit)

    def _size(self, rate: Floats) -> Floats:
        if self.direction == "up":
            return rate
        return -rate if self.direction == "down" else np.abs(rate)

    def _wake(self, state: State, readings: Readings) -> None:
        """Move the references on and keep readings, where it is time to."""
        woken = readings.time >= state["wake_ms"][readings.at]
        if woken.all():
            self._turn(state, readings.at, readings.time, readings.value)
        elif woken.any():
            places = np.flatnonzero(woken)
            entry = latch.entries(readings.at, places)
            self._turn(state, entry, pick(readings.time, places), readings.value[places])

    def _turn(self, state: State, at: slice | Slots, time: Whole, value: Floats) -> None:
        """Find the reference anew: the youngest that is a window old. Keep what is due."""
        window_ms = pick(self.window_ms, at)
        every_ms = -(-window_ms // _KEPT_A_WINDOW)
        # stays so only where the window was made longer meanwhile, and no kept one is old enough
        reference_ms, reference = np.full(len(value), NEVER), np.full(len(value), np.nan)
        oldest_ms: Whole = time  # of those that are too young yet
        for row in range(_KEPT_A_WINDOW, -1, -1):
            kept_ms = state["kept_ms"][row][at]
            old = time - kept_ms >= window_ms
            reference_ms = np.where(old, kept_ms, reference_ms)
            reference = np.where(old, state["kept"][row][at], reference)
            oldest_ms = np.where(old, time, np.minimum(oldest_ms, kept_ms))
        state["reference_ms"][at], state["reference"][at] = reference_ms, reference
        _keep(state, at, time, value, time - kept_ms >= every_ms)
        newest_ms = state["kept_ms"][0][at]
        state["wake_ms"][at] = np.minimum(newest_ms + every_ms, oldest_ms + window_ms)


def _keep(state: State, at: slice | Slots, time: Whole, value: Floats, due: Bools) -> None:
    """Put the readings that are due in front."""
    kept_ms, kept = state["kept_ms"], state["kept"]
    if not due.all():
        places = np.flatnonzero(due)
        at, time, value = latch.entries(at, places), pick(time, places), value[places]
    for row in range(_KEPT_A_WINDOW, 0, -1):
        kept_ms[row, at], kept[row, at] = kept_ms[row - 1, at], kept[row - 1, at]
    kept_ms[0, at], kept[0, at] = time, value
