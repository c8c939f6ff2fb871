"""EWMA z-score: a reading far from its sensor's own recent mean, with gated learning.

Source: mean and variance by exponential weights as in Finch 2009, "Incremental calculation of
weighted mean and variance", section 9; the chart itself is Roberts 1959, "Control chart tests
based on geometric moving averages".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from udfs.batch import Floats
from udfs.conditions import latch
from udfs.conditions.latch import Found, Number, Readings, State, Touched, pick
from udfs.detectors.learned import Learned


@dataclass(frozen=True, eq=False, kw_only=True)
class Ewma(Learned):
    """|value - mean| beyond `z` standard deviations, until it is within `clear_z`.

    z, clear_z: in standard deviations; of mean and variance as they were *before* the reading.
        clear_z None is z.
    min_sigma: in the sensor's unit; a smaller deviation is taken as this, so that a very calm
        signal does not alarm on its resolution.
    """

    columns = (*Learned.columns, "z", "min_sigma", "clear_z")

    z: Number
    min_sigma: Number
    clear_z: Number | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clear_z is None:
            object.__setattr__(self, "clear_z", self.z)

    def start(self, entries: int) -> State:
        """Nothing learned, 20 bytes an entry and the latch."""
        return super().start(entries) | {"variance": np.zeros(entries)}

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Score each reading against what was learned before it, then learn from the usual ones."""
        self._forget(state, readings)
        self._restart(state, readings)
        at, found = readings.at, list[Found]()
        away = readings.value - state["mean"][at]
        square = away * away
        z, floor = pick(self.z, at), pick(self.min_sigma, at)
        variance = np.maximum(state["variance"][at], floor * floor)
        hot = (square > z * z * variance) & ~self._cold(state, at)
        usual = np.isfinite(square) & ~hot
        touched = latch.touch(state, readings, hot)
        if touched is not None:
            found = self._judge(state, touched, away[touched.at], variance[touched.at])
            usual &= ~self._held(state, at)
        if not usual.all():
            # not by a weight of 0: an infinite one times 0 is no number
            away, square = np.where(usual, away, 0.0), np.where(usual, square, 0.0)
        weight = self._learn(state, at, away, usual)
        state["variance"][at] = (1 - weight) * (state["variance"][at] + weight * square)
        return found

    def _judge(self, state: State, touched: Touched, away: Floats, variance: Floats) -> list[Found]:
        entry, sigma = touched.entry, np.sqrt(variance)
        # who has to warm up anew after a gap cannot be judged, so its alarm ends
        within = np.abs(away) <= pick(self.clear_z, entry) * sigma
        cool = (within | self._cold(state, entry)) & ~touched.hot
        limit = state["mean"][entry] + np.copysign(pick(self.z, entry) * sigma, away)
        return self._move(state, touched, cool, limit)
