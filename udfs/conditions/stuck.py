"""A value that does not move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import NEVER, Found, Number, Readings, State, Whole, pick


@dataclass(frozen=True, eq=False)
class Stuck(Columns):
    """A value that stays within `tolerance` of the first of its run for `for_ms`.

    for_ms: a slow sensor needs longer than the rule says.
    Readings that the edge flagged as stuck count as evidence; onset is the first of the run.
    """

    columns = "for_ms", "tolerance"

    for_ms: Whole
    tolerance: Number = 0.0
    view: View = View.SIGNAL
    unit: str = "{}"

    def start(self, entries: int) -> State:
        """No run yet, 25 bytes an entry."""
        run = {"run": np.full(entries, np.nan), "run_ms": np.full(entries, NEVER, np.int64)}
        return latch.start(entries) | run

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Continue or begin each entry's run of equal values."""
        at, run, run_ms = readings.at, state["run"], state["run_ms"]
        same = np.abs(readings.value - run[at]) <= pick(self.tolerance, at)
        if readings.restart is not None:
            latch.restart(state, readings)
            run_ms[readings.restart] = NEVER
        begins = ~same | (run_ms[at] == NEVER)
        run[at] = np.where(same, run[at], readings.value)
        run_ms[at] = np.where(begins, readings.time, run_ms[at])
        hot = same & (readings.time - run_ms[at] >= pick(self.for_ms, at))
        touched = latch.touch(state, readings, hot)
        if touched is None:
            return []
        limit, onset = pick(self.tolerance, touched.entry), run_ms[touched.entry]
        return latch.step(state, touched, ~same[touched.at], limit, 0, onset)
