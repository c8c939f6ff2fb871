"""A value that does not move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import NEVER, Found, Ints, Readings, State


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
