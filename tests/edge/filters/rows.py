"""Readings written as rows, for tests of one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edge.filters.columns import Columns, Step
from edge.filters.settings import Chosen, FilterSettings, choose
from edge.registry import Sensor

T0 = 1_700_000_000_000
Row = tuple[int, int, float] | tuple[int, int, float, int]


def columns(*rows: Row, start: int = 0, late: bool = False) -> Columns:
    """Rows of slot, ms after T0, value and perhaps quality; ascending."""
    slot = np.array([row[0] for row in rows], np.uint32)
    return Columns(
        start_ms=T0 + start,
        end_ms=T0 + start + 1000,
        late=late,
        single=bool((slot[1:] > slot[:-1]).all()),
        slot=slot,
        time_ms=np.array([row[1] for row in rows], np.int64) + T0,
        value=np.array([row[2] for row in rows], float),
        quality=np.array([row[3] if len(row) > 3 else 0 for row in rows], np.uint8),
    )


def rows(found: Columns) -> list[tuple[int, int, float, int]]:
    """The readings as rows of slot, ms after T0, value, quality."""
    return list(
        zip(
            found.slot.tolist(),
            (found.time_ms - T0).tolist(),
            found.value.tolist(),
            found.quality.tolist(),
            strict=True,
        )
    )


def chosen(**steps: object) -> Chosen:
    """What a filter with these steps means for any sensor."""
    settings = FilterSettings.model_validate({"filters": [steps]})
    return choose(settings.filters, Sensor("any"))


def grown(step: Step, *sensors: tuple[Sensor, Chosen]) -> Step:
    """The step, knowing these sensors."""
    step.grow([sensor for sensor, _ in sensors], [choice for _, choice in sensors])
    return step


def apply(step: Step, *ticks: Columns) -> tuple[list[list[tuple]], Counter[str]]:
    """What the step leaves of each tick, and what it counted."""
    counts: Counter[str] = Counter()
    left: Sequence[Columns] = [step.apply(tick, counts) for tick in ticks]
    return [rows(tick) for tick in left], +counts
