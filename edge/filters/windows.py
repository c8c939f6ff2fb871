"""Readings of fast sensors collected over a window, and sent as the features of it.

Windows begin at whole multiples of their length since 1970. A window's features carry the time of
its last millisecond. A window that misses more than a tenth of its readings is not told: its
spectrum would be another one. The same goes for the window in which the gateway was restarted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge.block import Floats, Slots, Times
from edge.errors import EdgeError
from edge.filters.columns import Columns, Stateless, extended
from edge.filters.settings import Chosen, FeatureSettings
from edge.filters.vibration import derived, features
from edge.registry import Sensor
from udfs.batch import Quality

_NEEDED = 0.9
MIN_SAMPLES = 8
# of one window of all sensors; 64 MB
MAX_SAMPLES = 4_000_000

Slot = Callable[[Sensor], int | None]


class Windows(Stateless):
    """State: the readings of the windows that are open; not kept over a restart."""

    def __init__(self, slot: Slot) -> None:
        """slot: gives a derived sensor its slot."""
        self._slot = slot
        self._plans: dict[FeatureSettings, _Window] = {}
        self._plan = np.empty(0, np.int32)  # by slot: place in _plans, -1 for none

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors; the sensors of their features get slots."""
        start = len(self._plan)
        plans = []
        for at, (sensor, choice) in enumerate(zip(sensors, chosen, strict=True)):
            how = choice.features
            if how is None:
                plans.append(-1)
                continue
            plan = self._plans.get(how)
            if plan is None:
                plan = self._plans[how] = _Window(how)
            window_ms = round(how.window_s * 1000)
            plan.add(start + at, sensor, [self._slot(s) for s in derived(sensor, how, window_ms)])
            plans.append(list(self._plans).index(how))
        self._plan = extended(self._plan, plans)

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """Collect; add the features of the windows that end with this tick."""
        if not self._plans:
            return columns
        plan_of = columns.at(self._plan)
        keep = plan_of < 0
        told = []
        for number, plan in enumerate(self._plans.values()):
            mine = plan_of == number
            if mine.any():
                plan.collect(columns.keep(mine), counts)
                keep |= mine & plan.settings.keep
            if not columns.late:
                told.append(plan.end(columns.end_ms, counts))
        counts["windowed"] += int((~keep).sum())
        columns = columns if keep.all() else columns.keep(keep)
        return _merged(columns, [rows for rows in told if rows is not None])


def check_window(settings: FeatureSettings, tick_ms: int) -> None:
    """Raises: EdgeError: the window is not a multiple of the tick, and would end inside one."""
    if round(settings.window_s * 1000) % tick_ms:
        raise EdgeError(
            f"features: window_s {settings.window_s:g} is not a multiple of the tick, {tick_ms} ms"
        )


class _Window:
    """One window length and choice of bands, for all its sensors."""

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings
        self._window_ms = round(settings.window_s * 1000)
        self._period_ms: dict[int, int] = {}
        self._derived: dict[int, list[int | None]] = {}
        self._parts: list[Columns] = []
        self._samples = 0

    def add(self, slot: int, sensor: Sensor, slots: list[int | None]) -> None:
        self._period_ms[slot] = sensor.period_ms
        self._derived[slot] = slots

    def collect(self, columns: Columns, counts: Counter[str]) -> None:
        good = columns.good()
        if columns.late or self._samples + len(columns) > MAX_SAMPLES:
            counts["not_in_window"] += len(columns)
            return
        counts["not_in_window"] += len(columns) - int(good.sum())
        self._parts.append(columns.keep(good))
        self._samples += len(columns)

    def end(self, end_ms: int, counts: Counter[str]) -> tuple[Any, ...] | None:
        """Features of the window that ends at `end_ms`: columns slot, time_ms, value, quality."""
        if end_ms % self._window_ms or not self._parts:
            return None
        parts, self._parts, self._samples = self._parts, [], 0
        slot = np.concatenate([part.slot for part in parts])
        time_ms = np.concatenate([part.time_ms for part in parts])
        order = np.argsort(slot, kind="stable")
        inside = order[time_ms[order] >= end_ms - self._window_ms]  # not from before a long pause
        value = np.concatenate([part.value for part in parts])[inside]
        slot, time_ms = slot[inside], time_ms[inside]
        edges = np.flatnonzero(np.diff(slot)) + 1
        rows: list[tuple[int, float]] = []
        for at in np.split(np.arange(len(slot)), edges):
            rows += self._tell(slot[at], time_ms[at], value[at], counts)
        return _rows(rows, end_ms - 1) if rows else None

    def _tell(
        self, slot: Slots, time_ms: Times, value: Floats, counts: Counter[str]
    ) -> list[tuple[int, float]]:
        if not len(slot):
            return []
        source, n = int(slot[0]), len(slot)
        needed = max(_NEEDED * self._window_ms / self._period_ms[source], MIN_SAMPLES)
        if n < needed:
            counts["window_incomplete"] += 1
            return []
        period_s = float(time_ms[-1] - time_ms[0]) / (n - 1) / 1000
        found = features(value[np.newaxis], period_s, self.settings.bands_hz)[0]
        pairs = zip(self._derived[source], found.tolist(), strict=True)
        return [(at, number) for at, number in pairs if at is not None]


def _rows(rows: list[tuple[int, float]], time_ms: int) -> tuple[Any, ...]:
    slot = np.array([at for at, _ in rows], np.uint32)
    value = np.array([number for _, number in rows])
    quality = np.where(np.isfinite(value), Quality.GOOD, Quality.BAD).astype(np.uint8)
    return slot, np.full(len(rows), time_ms), value, quality


def _merged(columns: Columns, rows: list[tuple[Any, ...]]) -> Columns:
    """The columns and the rows, in order of slot; a derived sensor has one reading a window."""
    if not rows:
        return columns
    own = (columns.slot, columns.time_ms, columns.value, columns.quality)
    slot, time_ms, value, quality = (
        np.concatenate(parts) for parts in zip(own, *rows, strict=True)
    )
    order = np.argsort(slot, kind="stable")
    return replace(
        columns,
        slot=slot[order],
        time_ms=time_ms[order],
        value=value[order],
        quality=quality[order],
    )
