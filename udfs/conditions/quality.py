"""The quality of readings rather than their values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from udfs.batch import Batch, Floats, Quality
from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import Found, Readings, State, Whole, pick
from udfs.conditions.latched import Latched


def quality_of(batch: Batch) -> Floats:
    """What View.QUALITY sees: the quality code of every reading, shape (n,).

    A value that is no number is bad, whatever was said of it.
    """
    unusable = ~np.isfinite(batch.value)
    if batch.quality is None:
        return np.where(unusable, float(Quality.BAD), float(Quality.GOOD))
    return np.where(unusable, Quality.BAD, batch.quality).astype(np.float64)


def codes(qualities: Iterable[int]) -> int:
    """A set of quality codes as bits."""
    return sum(1 << quality for quality in set(qualities))


@dataclass(frozen=True, eq=False, kw_only=True)
class QualityIs(Latched):
    """Readings of these qualities, until one of another quality comes.

    codes: bits, as of `codes`. Value of an alert is the quality code; it has no limit.
    """

    columns = (*Latched.columns, "codes")

    codes: Whole
    view: View = View.QUALITY
    unit: str = ""

    def step(self, state: State, readings: Readings) -> list[Found]:
        """Look each reading's quality up."""
        self._restart(state, readings)
        code = readings.value.astype(np.int64)
        hot = (pick(self.codes, readings.at) >> code) & 1 != 0
        touched = latch.touch(state, readings, hot)
        if touched is None:
            return []
        return self._move(state, touched, ~touched.hot, np.nan)
