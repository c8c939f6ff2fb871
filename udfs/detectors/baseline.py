"""Deviation from a sensor's own learned mean, by an amount or a share of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from udfs.batch import Floats
from udfs.conditions import latch
from udfs.conditions.latch import Found, Number, Readings, Slots, State, Touched, pick
from udfs.detectors.learned import Learned


@dataclass(frozen=True, eq=False, kw_only=True)
class Baseline(Learned):
    """|value - mean| beyond the larger of `by` and `share` of |mean|, until within the clear ones.

    by, clear_by: in the sensor's unit, 0 for none. share, clear_share: of the mean, 0 for none.
    The mean is the one of *before* the reading. clear_by, clear_share None: as by and share.
    """

    columns = (*Learned.columns, "by", "share", "clear_by", "clear_share")

    by: Number = 0.0
    share: Number = 0.0
    clear_by: Number | None = None
    clear_share: Number | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clear_by is None:
            object.__setattr__(self, "clear_by", self.by)
        if self.clear_share is None:
            object.__setattr__(self, "clear_share", self.share)

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Hold each reading against the mean of before it, then learn from the usual ones."""
        self._forget(state, readings)
        self._restart(state, readings)
        at, found = readings.at, list[Found]()
        away = readings.value - state["mean"][at]
        width = _width(state, at, self.by, self.share)
        hot = (np.abs(away) > width) & ~self._cold(state, at)
        usual = np.isfinite(away) & ~hot
        touched = latch.touch(state, readings, hot)
        if touched is not None:
            found = self._judge(state, touched, away[touched.at])
            usual &= ~self._held(state, at)
        if not usual.all():
            # not by a weight of 0: an infinite one times 0 is no number
            away = np.where(usual, away, 0.0)
        self._learn(state, at, away, usual)
        return found

    def _judge(self, state: State, touched: Touched, away: Floats) -> list[Found]:
        entry = touched.entry
        within = np.abs(away) <= _width(state, entry, self.clear_by, self.clear_share)
        # who has to warm up anew after a gap cannot be judged, so its alarm ends
        cool = (within | self._cold(state, entry)) & ~touched.hot
        width = _width(state, entry, self.by, self.share)
        limit = state["mean"][entry] + np.copysign(width, away)
        return self._move(state, touched, cool, limit)


def _width(state: State, at: slice | Slots, by: Any, share: Any) -> Any:
    """How far from the mean is too far, shape (k,)."""
    return np.maximum(pick(by, at), pick(share, at) * np.abs(state["mean"][at]))
