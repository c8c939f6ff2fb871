"""A slow, obvious model of coverage and rollups, one Python number at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from udfs.batch import Batch
from udfs.rollup import MinuteRollup

MINUTE_MS = 60_000


@dataclass
class Row:
    """What the model says of one sensor minute."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    first: float = math.nan
    last: float = math.nan
    bad: int = 0

    def add(self, value: float, good: bool) -> None:
        if not good:
            self.bad += 1
            return
        if not self.count:
            self.first = value
        self.count += 1
        self.total += value
        self.squares += value * value
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.last = value


def expected_minutes(batches: list[Batch]) -> dict[int, dict[int, Row]]:
    """Rows by minute and sensor of batches that hold at most one reading a sensor."""
    minutes: dict[int, dict[int, Row]] = {}
    for batch in sorted(batches, key=lambda b: (b.epoch, b.sequence)):
        for i, value in enumerate(batch.value.tolist()):
            offset = 0 if batch.offset_ms is None else int(batch.offset_ms[i])
            quality = 0 if batch.quality is None else int(batch.quality[i])
            sensor = i if batch.sensor is None else int(batch.sensor[i])
            minute = (batch.time_ms + offset) // MINUTE_MS * MINUTE_MS
            row = minutes.setdefault(minute, {}).setdefault(sensor, Row())
            row.add(value, quality in (0, 4) and math.isfinite(value))
    return minutes


def rows_of(rollup: MinuteRollup) -> dict[int, Row]:
    """A rollup in the shape of the model, NaN where it has no good reading."""
    slots = range(len(rollup.count)) if rollup.sensor is None else rollup.sensor.tolist()
    columns = ("count", "sum", "sum_sq", "min", "max", "first", "last", "bad")
    values = zip(*(getattr(rollup, name).tolist() for name in columns), strict=True)
    rows = {slot: Row(*row) for slot, row in zip(slots, values, strict=True)}
    for row in rows.values():
        if not row.count:
            row.low, row.high = math.inf, -math.inf
    return rows


def complete_minutes(
    times: dict[tuple[int, int], int], gone: set[tuple[int, int]], margin_ms: int
) -> set[int]:
    """Minutes that are whole, of one epoch, by counting: every number from before to past it."""
    known = sorted(set(times) | gone)
    whole: set[int] = set()
    runs: list[list[tuple[int, int]]] = []
    for position in known:
        if runs and position[1] == runs[-1][-1][1] + 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    for run in runs:
        stamps = [times[p] for p in run if p in times]
        if not stamps:
            continue
        from_start = run[0][1] == 0
        # what began with losses has minutes before its first batch, whole for want of anything else
        earliest = min(stamps) // MINUTE_MS - (60 if from_start else 0)
        for minute in range(earliest, max(stamps) // MINUTE_MS + 1):
            start = minute * MINUTE_MS
            if stamps[-1] >= start + MINUTE_MS and (from_start or stamps[0] <= start - margin_ms):
                whole.add(start)
    return whole
