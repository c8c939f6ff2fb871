"""EWMA z-score: a reading far from its sensor's own recent mean, with gated learning.

Source: mean and variance by exponential weights as in Finch 2009, "Incremental calculation of
weighted mean and variance", section 9; the chart itself is Roberts 1959, "Control chart tests
based on geometric moving averages".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from udfs.batch import Bools, Floats
from udfs.conditions import latch
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import (
    Found,
    Ints,
    Number,
    Phase,
    Readings,
    Slots,
    State,
    Whole,
    pick,
)

_MOST_HALVINGS = 60.0  # worth less than any count can show


@dataclass(frozen=True, eq=False)
class Ewma(Columns):
    """|value - mean| beyond `z` standard deviations for `for_ms`, until it is within `clear_z`.

    z, clear_z: in standard deviations; of mean and variance as they were *before* the reading.
    half_life_ms: a reading's weight halves in this time. period_ms: shape (entries,). The weight is
        by the sampling period, not by the elapsed time, which would cost an exponential a reading;
        a gap ages what was learned in `_forget`.
    warm_up: readings from which an entry learns before it is judged.
    min_sigma: in the sensor's unit; a smaller deviation is taken as this, so that a very calm
        signal does not alarm on its resolution.

    Gated: no learning from a reading beyond the limit, nor while the entry is pending or firing.
    A detector that keeps learning in a fault takes the fault for normal and falls silent.
    """

    columns = "z", "half_life_ms", "period_ms", "warm_up", "min_sigma", "clear_z", "for_ms"

    z: Number
    half_life_ms: Whole
    period_ms: Floats
    warm_up: Whole
    min_sigma: Number
    clear_z: Number | None = None
    for_ms: Whole = 0
    view: View = View.GOOD
    unit: str = "{}"
    weight: Floats = field(init=False)
    memory: Ints = field(init=False)  # a larger count changes nothing

    def __post_init__(self) -> None:
        weight = 1 - np.exp2(-np.minimum(self.period_ms / self.half_life_ms, 1))
        memory = np.maximum(np.ceil(1 / weight).astype(np.int64), self.warm_up)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "memory", memory)
        if self.clear_z is None:
            object.__setattr__(self, "clear_z", self.z)

    def start(self, entries: int) -> State:
        """Nothing learned, 29 bytes an entry."""
        learned: State = {
            "mean": np.zeros(entries),
            "variance": np.zeros(entries),
            "count": np.zeros(entries, np.int32),
        }
        return latch.start(entries) | learned

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Score each reading against what was learned before it, then learn from the usual ones."""
        self._forget(state, readings)
        latch.drop_pending(state, readings)
        at = readings.at
        away = readings.value - state["mean"][at]
        square = away * away
        z, floor = pick(self.z, at), pick(self.min_sigma, at)
        variance = np.maximum(state["variance"][at], floor * floor)
        hot = square > z * z * variance
        warm = state["count"][at] >= pick(self.warm_up, at)
        all_warm = bool(warm.all())
        if not all_warm:
            hot &= warm
        if latch.quiet(state, hot) and all_warm:
            self._learn(state, at, away, square)
            return []
        found = self._latch(state, readings, away, variance, hot)
        usual = ~hot & (state["phase"][at] == Phase.IDLE) & np.isfinite(square)
        chosen = np.flatnonzero(usual)
        slots = chosen if isinstance(at, slice) else at[chosen]
        self._learn(state, slots, away[chosen], square[chosen])
        return found

    def _latch(
        self, state: State, readings: Readings, away: Floats, variance: Floats, hot: Bools
    ) -> list[Found]:
        at, sigma = readings.at, np.sqrt(variance)
        # who has to warm up anew after a gap cannot be judged, so its alarm ends
        unknown = state["count"][at] < pick(self.warm_up, at)
        cool = ((np.abs(away) <= pick(self.clear_z, at) * sigma) | unknown) & ~hot
        limit = state["mean"][at] + np.copysign(pick(self.z, at) * sigma, away)
        return latch.step(state, readings, hot, cool, limit, self.for_ms)

    def _learn(self, state: State, at: slice | Slots, away: Floats, square: Floats) -> None:
        """Move mean and variance towards these readings."""
        weight, memory, count = self.weight[at], self.memory[at], state["count"][at]
        if (count < memory).any():
            # the weight of a plain mean, until that of the half-life is larger
            weight = np.maximum(weight, 1.0 / (count + 1))
            state["count"][at] = np.minimum(count + 1, memory)
        state["mean"][at] += weight * away
        state["variance"][at] = (1 - weight) * (state["variance"][at] + weight * square)

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
