"""Sensors that are faster than the tick: what is left of several readings in one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.block import Bools, Floats
from edge.filters.columns import Columns, Ints, Stateless, extended
from edge.filters.settings import Chosen
from edge.registry import Sensor

_MODES = {"off": 0, "last": 1, "mean": 2, "min_max": 3}
_LAST, _MEAN, _MIN_MAX = 1, 2, 3


class Downsample(Stateless):
    """How, by slot; no state."""

    def __init__(self) -> None:
        self._mode = np.empty(0, np.uint8)
        self._idle = True

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors."""
        modes = [_MODES[choice.downsample] for choice in chosen]
        self._mode = extended(self._mode, modes)
        self._idle = self._idle and not any(modes)

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """Of each such sensor's readings the last, their mean, or the least and the greatest.

        Mean, least and greatest are of the good readings; of a sensor without one the last stays.
        The mean has the time and the quality of the last good reading.
        """
        if self._idle or columns.single or not len(columns):
            return columns
        first = columns.firsts_in_ticks()
        groups = _Groups(columns, first)
        mode = self._mode[columns.slot[first]]
        keep = np.repeat(mode == 0, groups.sizes)
        keep[groups.last[(mode == _LAST) | (mode > _LAST) & ~groups.any_good]] = True
        mean = (mode == _MEAN) & groups.any_good
        keep[groups.last_good[mean]] = True
        value = columns.value
        if mean.any():
            value = value.copy()
            value[groups.last_good[mean]] = groups.means()[mean]
        extreme = (mode == _MIN_MAX) & groups.any_good
        for ends in (groups.least(), groups.greatest()) if extreme.any() else ():
            keep[ends[extreme]] = True
        counts["downsampled"] += len(columns) - int(keep.sum())
        left = replace(columns, value=value).keep(keep)
        return replace(left, single=bool((left.slot[1:] > left.slot[:-1]).all()))


class _Groups:
    """The readings of each sensor and tick: g groups, in arrays of shape (g,)."""

    def __init__(self, columns: Columns, first: Ints) -> None:
        n = len(columns)
        self._value, self._first = columns.value, first
        self.last = np.append(first[1:], n) - 1
        self.sizes = self.last - first + 1
        self._good = columns.good()
        place = np.where(self._good, np.arange(n), -1)
        self.last_good = np.maximum.reduceat(place, first)  # below the group's own where none is
        self.any_good = self.last_good >= first

    def means(self) -> Floats:
        """Mean of the good readings; as an offset from one of them, so that none overflows."""
        centre = np.repeat(self._value[np.maximum(self.last_good, 0)], self.sizes)
        with np.errstate(all="ignore"):  # groups without a good reading
            away = np.where(self._good, self._value - centre, 0.0)
            count = np.add.reduceat(self._good.astype(np.intp), self._first)
            mean: Floats = self._value[self.last_good] + np.add.reduceat(
                away, self._first
            ) / np.maximum(count, 1)
        return mean

    def least(self) -> Ints:
        """Position of the least good reading, the first of equals."""
        return self._position(np.where(self._good, self._value, np.inf), np.minimum)

    def greatest(self) -> Ints:
        """Position of the greatest good reading, the first of equals."""
        return self._position(np.where(self._good, self._value, -np.inf), np.maximum)

    def _position(self, value: Floats, extreme: np.ufunc) -> Ints:
        found = np.repeat(extreme.reduceat(value, self._first), self.sizes)
        hit: Bools = value == found
        place = np.where(hit & self._good, np.arange(len(value)), len(value) - 1)
        at: Ints = np.minimum.reduceat(place, self._first)
        return at
