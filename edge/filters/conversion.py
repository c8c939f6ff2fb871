"""Values from the unit in which a device reports to the one that is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.block import Floats
from edge.errors import EdgeError
from edge.filters.columns import Columns, Stateless, extended
from edge.filters.settings import Chosen
from edge.filters.units import conversion
from edge.registry import Sensor
from udfs.batch import Quality


class Conversion(Stateless):
    """A scale and a shift by slot. The registry knows the units over a restart, so no state."""

    def __init__(self) -> None:
        self._units: list[str] = []
        self._scale = np.empty(0)
        self._shift = np.empty(0)
        self._unknown = np.empty(0, np.bool_)
        self._idle = True

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors report in the unit that is sent."""
        self._units += [sensor.unit for sensor in sensors]
        self._scale = extended(self._scale, [1.0] * len(sensors))
        self._shift = extended(self._shift, [0.0] * len(sensors))
        self._unknown = extended(self._unknown, [False] * len(sensors))

    def set(self, slot: int, from_unit: str) -> bool:
        """From now on this sensor's device reports in that unit.

        Returns: whether there is a conversion. Without one values stay as they are and are flagged
        uncertain: nobody knows what they mean.
        """
        try:
            scale, shift = conversion(from_unit, self._units[slot])
            known = True
        except EdgeError:
            scale, shift, known = 1.0, 0.0, False
        self._scale[slot], self._shift[slot], self._unknown[slot] = scale, shift, not known
        plain = (self._scale == 1.0) & (self._shift == 0.0) & ~self._unknown
        self._idle = bool(plain.all())
        return known

    def samples(self, slot: int, samples: Floats) -> Floats:
        """Samples of one sensor in the unit that is sent."""
        converted: Floats = samples * self._scale[slot] + self._shift[slot]
        return converted

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """The readings in the units that are sent."""
        if self._idle or not len(columns):
            return columns
        value = columns.value * columns.at(self._scale) + columns.at(self._shift)
        columns = replace(columns, value=value)
        unknown = columns.at(self._unknown) & (columns.quality == Quality.GOOD)
        if unknown.any():
            counts["flagged_unknown_unit"] += int(unknown.sum())
            columns = columns.flagged(unknown, Quality.UNCERTAIN)
        return columns
