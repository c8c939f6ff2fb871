"""Values that are no numbers or cannot be: outside the sensor's valid range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.block import Bools
from edge.filters.columns import Columns, Stateless, extended
from edge.filters.settings import Chosen
from edge.registry import Sensor
from udfs.batch import Quality

_MOST = np.finfo(np.float64).max
_FLAG, _DROP, _CLAMP = range(3)
_POLICIES = {"flag": _FLAG, "drop": _DROP, "clamp": _CLAMP, "off": _FLAG}


class Validity(Stateless):
    """Limits and what becomes of what is beyond them, by slot; no state."""

    def __init__(self) -> None:
        self._low = np.empty(0)
        self._high = np.empty(0)
        self._policy = np.empty(0, np.uint8)

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """Limits of new sensors. With `off`, and without a range, only infinity is beyond them."""
        off = [choice.validity == "off" for choice in chosen]
        low = np.where(off, -_MOST, [sensor.low for sensor in sensors])
        high = np.where(off, _MOST, [sensor.high for sensor in sensors])
        self._low = np.append(self._low, np.fmax(low, -_MOST))
        self._high = np.append(self._high, np.fmin(high, _MOST))
        self._policy = extended(self._policy, [_POLICIES[choice.validity] for choice in chosen])

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """Readings beyond their limits, or not a number: flagged bad, dropped or clamped."""
        low, high = columns.at(self._low), columns.at(self._high)
        inside = (columns.value >= low) & (columns.value <= high)  # false for NaN, too
        if inside.all():
            return columns
        policy = columns.at(self._policy)
        finite = np.isfinite(columns.value)
        clamp = ~inside & finite & (policy == _CLAMP)
        if clamp.any():
            counts["clamped"] += int(clamp.sum())
            clamped = np.clip(columns.value, low, high)
            columns = replace(columns, value=np.where(clamp, clamped, columns.value))
        beyond = ~inside & ~clamp
        return self._flag_or_drop(columns, beyond, finite, policy == _DROP, counts)

    def _flag_or_drop(
        self,
        columns: Columns,
        beyond: Bools,
        finite: Bools,
        dropping: Bools,
        counts: Counter[str],
    ) -> Columns:
        drop = beyond & dropping
        flag = beyond & ~dropping & (columns.quality != Quality.BAD)
        for mask, prefix in ((drop, ""), (flag, "flagged_")):
            numbers = int((mask & finite).sum())
            counts[prefix + "out_of_range"] += numbers
            counts[prefix + "not_finite"] += int(mask.sum()) - numbers
        columns = columns.flagged(flag, Quality.BAD)
        return columns.keep(~drop) if drop.any() else columns
