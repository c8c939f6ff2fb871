"""A sensor that is silent while its gateway reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import NEVER, Found, Ints, Phase, Readings, State


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
