"""What detectors share: learning what is usual for each entry, from its usual readings only.

Gated: no learning from a reading beyond the limit, nor while the entry is pending or firing. A
detector that keeps learning in a fault takes the fault for normal and falls silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from udfs.batch import Bools, Floats
from udfs.conditions.latch import Readings, Slots, State, Whole, pick
from udfs.conditions.latched import Latched

_MOST_HALVINGS = 60.0  # worth less than any count can show


@dataclass(frozen=True, eq=False, kw_only=True)
class Learned(Latched):
    """A mean of each entry's own readings, and what to do about gaps and faults.

    half_life_ms: a reading's weight halves in this time. period_ms: shape (entries,). The weight is
        by the sampling period, not by the elapsed time, which would cost an exponential a reading;
        a gap ages what was learned in `_forget`.
    warm_up: readings from which an entry learns before it is judged.
    """

    columns = (*Latched.columns, "half_life_ms", "period_ms", "warm_up")

    half_life_ms: Whole
    period_ms: Floats
    warm_up: Whole
    weight: Floats = field(init=False)
    memory: npt.NDArray[np.int32] = field(init=False)  # a larger count changes nothing

    def __post_init__(self) -> None:
        weight = 1 - np.exp2(-np.minimum(self.period_ms / self.half_life_ms, 1))
        memory = np.maximum(np.ceil(1 / weight), self.warm_up)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "memory", memory.astype(np.int32))

    def start(self, entries: int) -> State:
        """Nothing learned, 12 bytes an entry and the latch."""
        learned: State = {"mean": np.zeros(entries), "count": np.zeros(entries, np.int32)}
        return super().start(entries) | learned

    def _cold(self, state: State, at: slice | Slots) -> Bools:
        """Who has not learned enough to be judged, shape (k,)."""
        cold: Bools = state["count"][at] < pick(self.warm_up, at)
        return cold

    def _learn(self, state: State, at: slice | Slots, away: Floats, usual: Bools) -> Floats:
        """Move the means towards the usual readings. away: from the mean, 0 where unusual.

        Returns: the weight of each reading, 0 where unusual.
        """
        weight, count = self.weight[at], state["count"][at]
        if (count < self.memory[at]).any():
            # the weight of a plain mean, until that of the half-life is larger
            weight = np.maximum(weight, 1.0 / (count + 1))
            state["count"][at] = np.minimum(count + usual, self.memory[at])
        if not usual.all():
            weight = np.where(usual, weight, 0.0)
        state["mean"][at] += weight * away
        return weight

    def _forget(self, state: State, readings: Readings) -> None:
        """What was learned before a gap is worth half after each half-life; then it warms up anew.

        Else the first reading after a long outage, at another time of the day, would alarm, and the
        gate would keep the detector from ever learning better.
        """
        if readings.restart is None or readings.gap_ms is None:
            return
        half_life_ms = pick(self.half_life_ms, readings.restart)
        halvings = np.minimum(readings.gap_ms / half_life_ms, _MOST_HALVINGS)
        count = state["count"][readings.restart] * np.exp2(-halvings)
        state["count"][readings.restart] = count.astype(np.int32)
