"""Per-sensor conditions over whole batches: threshold, rate of change, stuck signal, no data.

    condition = Threshold(limit=80.0, above=True, clear=75.0, for_ms=10_000)
    state = condition.start(sensors)                  # named arrays, one place a sensor
    found = condition.step(state, readings)           # who began or ceased to fire

A step takes one usable reading a sensor at most (several of one sensor are several steps), changes
the state in place and costs a few passes over arrays when nothing happens. NaN never gets here.
Time is event time. A gap in the data restarts durations; see docs/rules.md for all semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from udfs import latch
from udfs.batch import Floats
from udfs.latch import NEVER, Found, Ints, Phase, Readings, State


class View(StrEnum):
    """Which readings a condition sees: good ones, these and flagged-as-stuck ones, or all."""

    GOOD = "good"
    SIGNAL = "signal"
    ANY = "any"


class Condition(Protocol):
    """A test of each sensor by itself. `unit`: of value and limit, "{}" is the sensor's own."""

    @property
    def view(self) -> View: ...
    @property
    def unit(self) -> str: ...
    def start(self, sensors: int) -> State: ...
    def step(self, state: State, readings: Readings) -> list[Found]: ...


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


@dataclass(frozen=True, eq=False)
class Stuck:
    """A value that stays within `tolerance` of the first of its run for `for_ms`.

    for_ms: int64, one a sensor (a slow sensor needs longer than the rule says).
    Readings that the edge flagged as stuck count as evidence; onset is the first of the run.
    """

    for_ms: Ints
    tolerance: float = 0.0
    view: View = View.SIGNAL
    unit: str = "{}"

    def start(self, sensors: int) -> State:
        """No run yet, 25 bytes a sensor."""
        run = {"run": np.full(sensors, np.nan), "run_ms": np.full(sensors, NEVER, np.int64)}
        return latch.start(sensors) | run

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Continue or begin each sensor's run of equal values."""
        at, run, run_ms = readings.at, state["run"], state["run_ms"]
        same = np.abs(readings.value - run[at]) <= self.tolerance
        if readings.restart is not None:
            latch.drop_pending(state, readings)
            run_ms[readings.restart] = NEVER
        begins = ~same | (run_ms[at] == NEVER)
        run[at] = np.where(same, run[at], readings.value)
        run_ms[at] = np.where(begins, readings.time, run_ms[at])
        hot = same & (readings.time - run_ms[at] >= self.for_ms[at])
        if latch.quiet(state, hot):
            return []
        return latch.step(state, readings, hot, ~same, self.tolerance, onset=run_ms[at])


@dataclass(frozen=True, eq=False)
class NoData:
    """A sensor from which nothing came for its `for_ms` while its gateway reported.

    for_ms: int64, one a sensor (a slow sensor needs longer than the rule says). since: time of the
    last reading; onset of an alarm.
    """

    for_ms: Ints
    view: View = View.ANY
    unit: str = "s"

    def start(self, sensors: int) -> State:
        """No sensor heard of yet, 9 bytes a sensor."""
        return latch.start(sensors)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Note who was heard; those that fired cease to."""
        phase, since = state["phase"], state["since"]
        found: list[Found] = []
        if phase.max():
            found = self._returned(state, readings)
            phase[readings.at] = Phase.IDLE
        since[readings.at] = readings.time
        return found

    def _returned(self, state: State, readings: Readings) -> list[Found]:
        heard = np.full(len(state["phase"]), NEVER, np.int64)
        heard[readings.at] = readings.time
        back = np.flatnonzero((state["phase"] == Phase.FIRING) & (heard != NEVER))
        return [self._told(state, slot, False, int(heard[slot])) for slot in map(int, back)]

    def resume(self, state: State, time_ms: int) -> None:
        """The gateway itself was away: its silence is not the sensors', they are counted anew."""
        idle = (state["phase"] == Phase.IDLE) & (state["since"] != NEVER)
        state["since"][idle] = time_ms

    def tick(self, state: State, time_ms: int, all_known: bool = True) -> list[Found]:
        """Find who was not heard for too long, at the gateway's own event time.

        Args: all_known: sensors that were never heard are counted from now on. False for batches
            that are older than the catalogue, in which new sensors cannot be.
        """
        phase, since = state["phase"], state["since"]
        oldest = int(since.min())
        if oldest == NEVER and all_known:
            since[since == NEVER] = time_ms
        if oldest != NEVER and time_ms - oldest < self.for_ms.min():
            return []
        missing = (time_ms - since >= self.for_ms) & (since != NEVER) & (phase == Phase.IDLE)
        slots = np.flatnonzero(missing)
        phase[slots] = Phase.FIRING
        return [self._told(state, slot, True, time_ms) for slot in map(int, slots)]

    def _told(self, state: State, slot: int, fires: bool, time_ms: int) -> Found:
        since = int(state["since"][slot])
        missing_s = (time_ms - since) / 1000
        return Found(slot, fires, since, time_ms, missing_s, float(self.for_ms[slot]) / 1000)
