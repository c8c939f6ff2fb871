"""When a pause between two readings of a sensor is a gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.conditions.latch import Ints

# Longer than this is a gap: a few sampling periods, and for fast sensors a few ticks.
GAP_PERIODS = 3
_FLOOR_MS = 3000


def longest_pause_ms(period_ms: npt.NDArray[Any]) -> Ints:
    """The longest pause that is no gap, of sensors with these sampling periods."""
    longest: Ints = np.maximum(period_ms.astype(np.int64) * GAP_PERIODS, _FLOOR_MS)
    return longest
