"""Which readings a batch holds: sensors may be faster or slower than the tick, or sample late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError
from edge.simulator.signals import Behaviour, Signal, Slots, generator


@dataclass(frozen=True, slots=True)
class Due:
    """The readings of a tick, n of them, ascending by slot, then time.

    slots: shape (n,). offset_ms: int32, shape (n,), or None when all are 0.
    every_slot: whether each slot is there exactly once, so that the batch needs no sensor column.
    """

    slots: Slots
    offset_ms: npt.NDArray[np.int32] | None
    signal: Signal
    every_slot: bool


class Timetable:
    """What is due in each tick of one gateway. Few different ticks exist; each is made once."""

    def __init__(self, behaviour: Behaviour, signal: Signal, tick_ms: int, key: int) -> None:
        """Raises: EdgeError: a period neither divides the tick nor is a multiple of it."""
        self._tick_ms = tick_ms
        self._period_ms = behaviour.period_ms.astype(np.int64)
        self._signal = signal
        self._late_ms = _late_ms(behaviour, tick_ms, key)
        self._slow = sorted({int(p) for p in self._period_ms if p > tick_ms})
        self._made: dict[tuple[bool, ...], Due] = {}
        _check_periods(np.unique(self._period_ms), tick_ms)

    def due(self, time_ms: int) -> Due:
        """What is due in the tick that starts at that time."""
        which = tuple(time_ms % period < self._tick_ms for period in self._slow)
        found = self._made.get(which)
        if found is None:
            found = self._made[which] = self._make(time_ms)
        return found

    def _make(self, time_ms: int) -> Due:
        sensors = np.flatnonzero(time_ms % self._period_ms < self._tick_ms)
        times = np.maximum(self._tick_ms // self._period_ms[sensors], 1)
        slots = np.repeat(sensors, times).astype(np.uint32)
        nth = np.arange(len(slots)) - np.repeat(np.cumsum(times) - times, times)
        offset_ms = (nth * self._period_ms[slots] + self._late_ms[slots]).astype(np.int32)
        return Due(
            slots=slots,
            offset_ms=offset_ms if offset_ms.any() else None,
            signal=self._signal.take(slots),
            every_slot=len(slots) == len(self._period_ms) == len(sensors),
        )


def _late_ms(behaviour: Behaviour, tick_ms: int, key: int) -> npt.NDArray[np.int64]:
    """How late in its period each sensor samples; inside the tick, so all stay in the batch."""
    most = np.minimum(behaviour.clock_offset_ms, tick_ms - 1)
    late: npt.NDArray[np.int64] = (most * generator(key).uniform(0, 1, len(most))).astype(np.int64)
    return late


def _check_periods(periods: npt.NDArray[np.int64], tick_ms: int) -> None:
    odd = [int(p) for p in periods if p % tick_ms and tick_ms % p]
    if odd:
        raise EdgeError(
            f"period_ms {odd}: each must divide tick_ms ({tick_ms}) or be a multiple of it"
        )
