"""Waveforms that came in a message, as readings: one of each feature, of the waveform's time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edge.block import Block, Waveform
from edge.filters.conversion import Conversion
from edge.filters.settings import Chosen, FeatureSettings
from edge.filters.vibration import derived, features
from edge.filters.windows import MIN_SAMPLES, Slot
from edge.registry import Sensor
from udfs.batch import Quality

_PLAIN = FeatureSettings()


class Waveforms:
    """Which features, by slot; no state."""

    def __init__(self, slot: Slot) -> None:
        """slot: gives a derived sensor its slot."""
        self._slot = slot
        self._sensors: list[Sensor] = []
        self._settings: dict[int, FeatureSettings] = {}
        self._derived: dict[int, list[int | None]] = {}

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors."""
        for slot, choice in enumerate(chosen, start=len(self._sensors)):
            if choice.features is not None:
                self._settings[slot] = choice.features
        self._sensors += sensors

    def add(self, block: Block, conversion: Conversion, counts: Counter[str]) -> Block:
        """The block with the features of its waveforms among its readings."""
        rows: list[tuple[int, int, float, int]] = []
        for waveform in block.waveforms:
            rows += self._rows(waveform, conversion, counts)
        slots, times, values, qualities = zip(*rows, strict=True) if rows else ((), (), (), ())
        return replace(
            block,
            slot=np.append(block.slot, np.array(slots, np.uint32)),
            time_ms=np.append(block.time_ms, np.array(times, np.int64)),
            value=np.append(block.value, np.array(values, np.float64)),
            quality=np.append(block.quality, np.array(qualities, np.uint8)),
            waveforms=(),
        )

    def _rows(
        self, waveform: Waveform, conversion: Conversion, counts: Counter[str]
    ) -> list[tuple[int, int, float, int]]:
        samples = waveform.samples
        if len(samples) < MIN_SAMPLES or not np.isfinite(samples).all():
            counts["waveform_unusable"] += 1
            return []
        slots = self._slots(waveform)
        how = self._settings.get(waveform.slot, _PLAIN)
        found = features(
            conversion.samples(waveform.slot, samples)[np.newaxis],
            waveform.period_ms / 1000,
            how.bands_hz if waveform.period_ms > 0 else (),  # without a period no frequencies
        )[0].tolist()
        counts["waveforms"] += 1
        return [
            (slot, waveform.time_ms, value, _quality(value, waveform.quality))
            for slot, value in zip(slots, found, strict=False)
            if slot is not None
        ]

    def _slots(self, waveform: Waveform) -> list[int | None]:
        slots = self._derived.get(waveform.slot)
        if slots is None:
            how = self._settings.get(waveform.slot, _PLAIN)
            window_ms = max(round(len(waveform.samples) * waveform.period_ms), 1000)
            sensors = derived(self._sensors[waveform.slot], how, window_ms)
            slots = self._derived[waveform.slot] = [self._slot(sensor) for sensor in sensors]
        return slots


def _quality(value: float, quality: int) -> int:
    return quality if np.isfinite(value) else Quality.BAD
