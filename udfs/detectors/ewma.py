"""EWMA z-score: a reading far from its sensor's own recent mean, with gated learning.

Source: mean and variance by exponential weights as in Finch 2009, "Incremental calculation of
weighted mean and variance", section 9; the chart itself is Roberts 1959, "Control chart tests
based on geometric moving averages".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from udfs.batch import Bools, Floats
from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import Found, Phase, Readings, Slots, State

_MOST_HALVINGS = 60.0  # worth less than any count can show


@dataclass(frozen=True, eq=False)
class Ewma:
    """|value - mean| beyond `z` standard deviations for `for_ms`, until it is within `clear_z`.

    z, clear_z: in standard deviations; of mean and variance as they were *before* the reading.
    half_life_ms: a reading's weight halves in this time. period_ms: float64, one a sensor. The
        weight is by the sampling period, not by the elapsed time, which would cost an exponential
        a reading; a gap ages what was learned in `_forget`.
    warm_up: readings from which a sensor learns before it is judged.
    min_sigma: in the sensor's unit; a smaller deviation is taken as this, so that a very calm
        signal does not alarm on its resolution.

    Gated: no learning from a reading beyond the limit, nor while the sensor is pending or firing.
    A detector that keeps learning in a fault takes the fault for normal and falls silent.
    """

    z: float
    half_life_ms: int
    period_ms: Floats
    warm_up: int
    min_sigma: float
    clear_z: float | None = None
    for_ms: int = 0
    view: View = View.GOOD
    unit: str = "{}"
    weight: Floats = field(init=False)
    memory: int = field(init=False)

    def __post_init__(self) -> None:
        weight = 1 - np.exp2(-np.minimum(self.period_ms / self.half_life_ms, 1))
        object.__setattr__(self, "weight", weight)
        longest = 1 / float(weight.min(initial=1.0))
        object.__setattr__(self, "memory", max(math.ceil(longest), self.warm_up))

    def start(self, sensors: int) -> State:
        """Nothing learned, 29 bytes a sensor."""
        learned: State = {
            "mean": np.zeros(sensors),
            "variance": np.zeros(sensors),
            "count": np.zeros(sensors, np.int32),
        }
        return latch.start(sensors) | learned

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Score each reading against what was learned before it, then learn from the usual ones."""
        self._forget(state, readings)
        latch.drop_pending(state, readings)
        at = readings.at
        away = readings.value - state["mean"][at]
        square = away * away
        variance = np.maximum(state["variance"][at], self.min_sigma**2)
        hot = square > self.z**2 * variance
        least = int(state["count"].min())
        if least < self.warm_up:
            hot &= state["count"][at] >= self.warm_up
        if latch.quiet(state, hot) and least >= self.warm_up:
            self._learn(state, at, away, square, least)
            return []
        found = self._latch(state, readings, away, variance, hot)
        usual = ~hot & (state["phase"][at] == Phase.IDLE) & np.isfinite(square)
        chosen = np.flatnonzero(usual)
        slots = chosen if isinstance(at, slice) else at[chosen]
        self._learn(state, slots, away[chosen], square[chosen], least)
        return found

    def _latch(
        self, state: State, readings: Readings, away: Floats, variance: Floats, hot: Bools
    ) -> list[Found]:
        sigma = np.sqrt(variance)
        clear = self.z if self.clear_z is None else self.clear_z
        # who has to warm up anew after a gap cannot be judged, so its alarm ends
        unknown = state["count"][readings.at] < self.warm_up
        cool = ((np.abs(away) <= clear * sigma) | unknown) & ~hot
        limit = state["mean"][readings.at] + np.copysign(self.z * sigma, away)
        return latch.step(state, readings, hot, cool, limit, self.for_ms)

    def _learn(
        self, state: State, at: slice | Slots, away: Floats, square: Floats, least: int
    ) -> None:
        """Move mean and variance towards these readings. least: the smallest count of a sensor."""
        weight = self.weight[at]
        if least < self.memory:
            # the weight of a plain mean, until that of the half-life is larger
            count = state["count"][at] + 1
            weight = np.maximum(weight, 1.0 / count)
            state["count"][at] = np.minimum(count, self.memory)
        state["mean"][at] += weight * away
        state["variance"][at] = (1 - weight) * (state["variance"][at] + weight * square)

    def _forget(self, state: State, readings: Readings) -> None:
        """What was learned before a gap is worth half after each half-life; then it warms up anew.

        Else the first reading after a long outage, at another time of the day, would alarm, and the
        gate would keep the detector from ever learning better.
        """
        if readings.restart is None or readings.gap_ms is None:
            return
        halvings = np.minimum(readings.gap_ms / self.half_life_ms, _MOST_HALVINGS)
        count = state["count"][readings.restart] * np.exp2(-halvings)
        state["count"][readings.restart] = count.astype(np.int32)
