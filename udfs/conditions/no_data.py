"""A sensor that is silent while its gateway reports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from udfs.conditions import latch
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import NEVER, Found, Ints, Phase, Readings, State, Whole, pick


@dataclass(frozen=True, eq=False)
class NoData(Columns):
    """A sensor from which nothing came for its `for_ms` while its gateway reported.

    for_ms: a slow sensor needs longer than the rule says. State `since` is the time of the last
    reading, the onset of an alarm.
    """

    columns = ("for_ms",)

    for_ms: Whole
    view: View = View.ANY
    unit: str = "s"

    @cached_property
    def least_ms(self) -> int:
        """The shortest `for_ms` of an entry."""
        return int(np.min(self.for_ms))

    def start(self, entries: int) -> State:
        """Nobody heard of yet, 9 bytes an entry."""
        return latch.start(entries)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Note who was heard; those that fired cease to."""
        phase, since = state["phase"], state["since"]
        found: list[Found] = []
        if phase.max(initial=0):
            found = self._returned(state, readings)
            phase[readings.at] = Phase.IDLE
        since[readings.at] = readings.time
        return found

    def _returned(self, state: State, readings: Readings) -> list[Found]:
        back = np.flatnonzero(state["phase"][readings.at] == Phase.FIRING)
        slots = latch.entries(readings.at, back)
        times = np.broadcast_to(pick(readings.time, back), slots.shape)
        return [
            self._told(state, int(slot), False, int(time))
            for slot, time in zip(slots, times, strict=True)
        ]

    def resume(self, state: State, time_ms: int, paused_ms: int | None = None) -> None:
        """The gateway itself was away: its silence is not the sensors', they are counted anew.

        Args: paused_ms: for how long; concerns entries that it alone would let fire. None: all.
        """
        idle = (state["phase"] == Phase.IDLE) & (state["since"] != NEVER)
        if paused_ms is not None:
            idle &= self.for_ms <= paused_ms
        state["since"][idle] = time_ms

    def tick(self, state: State, horizon_ms: int, all_known: bool = True) -> list[Found]:
        """Find who was not heard for too long.

        Args: horizon_ms: event time up to which all readings have come. all_known: entries that
            were never heard are counted from now on. False for batches that are older than the
            catalogue, in which new sensors cannot be.
        """
        phase, since = state["phase"], state["since"]
        oldest = int(since.min())
        if oldest == NEVER and all_known:
            since[since == NEVER] = horizon_ms
        if oldest != NEVER and horizon_ms - oldest < self.least_ms:
            return []
        missing = (horizon_ms - since >= self.for_ms) & (since != NEVER) & (phase == Phase.IDLE)
        slots = np.flatnonzero(missing)
        phase[slots] = Phase.FIRING
        # told as of the deadline, not of the call: the same wherever and whenever it is found
        due_ms: Ints = state["since"] + self.for_ms
        return [self._told(state, slot, True, int(due_ms[slot])) for slot in map(int, slots)]

    def deadline_ms(self, state: State) -> int | None:
        """Event time at which the next one will be silent for too long; None if none can be."""
        waiting = (state["phase"] == Phase.IDLE) & (state["since"] != NEVER)
        due: Ints = (state["since"] + self.for_ms)[waiting]
        return int(due.min()) if len(due) else None

    def _told(self, state: State, slot: int, fires: bool, time_ms: int) -> Found:
        since = int(state["since"][slot])
        missing_s, limit_s = (time_ms - since) / 1000, float(pick(self.for_ms, slot)) / 1000
        return Found(slot, fires, since, time_ms, missing_s, limit_s)
