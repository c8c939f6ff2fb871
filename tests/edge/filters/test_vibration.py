"""Features against signals whose features are known."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge.block import Block, Waveform
from edge.filters.conversion import Conversion
from edge.filters.settings import FeatureSettings
from edge.filters.vibration import derived, features, source_name
from edge.filters.waveforms import Waveforms
from edge.filters.windows import Windows
from edge.registry import Sensor
from tests.edge.filters.rows import T0, apply, chosen, columns, grown

BANDS = ((0.0, 40.0), (40.0, 60.0), (60.0, 600.0))


def sine(amplitude: float, hz: float, n: int = 1000, rate: float = 1000, mean: float = 0):
    return mean + amplitude * np.sin(2 * np.pi * hz * np.arange(n) / rate + 0.3)


def test_a_sine():
    found = features(sine(4, 50, mean=9.81)[np.newaxis], 0.001, BANDS)[0]
    rms, peak, crest, kurtosis, low, middle, high = found
    assert rms == pytest.approx(4 / np.sqrt(2))
    assert peak == pytest.approx(4, rel=0.01)
    assert crest == pytest.approx(np.sqrt(2), rel=0.01)
    assert kurtosis == pytest.approx(1.5)
    assert middle == pytest.approx(8)
    assert [low, high] == pytest.approx([0, 0], abs=1e-9)


def test_two_sines_share_the_energy():
    found = features((sine(3, 20) + sine(1, 200))[np.newaxis], 0.001, BANDS)[0]
    assert found[4:].tolist() == pytest.approx([4.5, 0, 0.5], abs=1e-9)


@pytest.mark.parametrize("n", [1000, 1001, 4096])
def test_bands_that_cover_everything_sum_up_to_the_square_of_the_rms(n: int):
    noise = np.random.default_rng(7).normal(0, 2, (8, n))
    found = features(noise, 0.001, ((0, 100), (100, 350), (350, 501)))
    assert found[:, 4:].sum(axis=1) == pytest.approx(found[:, 0] ** 2, rel=0.12)
    assert found[:, 3] == pytest.approx(3, abs=0.6)
    # on average the window takes nothing away
    assert found[:, 4:].sum() == pytest.approx((found[:, 0] ** 2).sum(), rel=0.03)


def test_half_the_sampling_rate_has_no_twin():
    alternating = np.tile([1.0, -1.0], 64)[np.newaxis]
    assert features(alternating, 0.001, ((480, 501),))[0, 4] == pytest.approx(1)


def test_shocks_show_in_crest_and_kurtosis():
    signal = np.random.default_rng(7).normal(0, 1, 2000)
    signal[::400] += 15
    *_, crest, kurtosis = features(signal[np.newaxis], 0.001, ())[0]
    assert crest > 8
    assert kurtosis > 15


def test_a_constant_signal_has_no_crest():
    assert str(features(np.full((1, 100), 5.0), 0.001, ())[0].tolist()) == "[0.0, 0.0, nan, nan]"


def test_derived_sensors():
    sensor = Sensor("p.vib", "mm/s", "vibration", "p", low=-45, high=40, period_ms=1)
    found = derived(sensor, FeatureSettings(bands_hz=((10, 100.5),)), 1000)
    assert [(s.name, s.unit, s.kind, s.low, s.high) for s in found] == [
        ("p.vib.rms", "mm/s", "vibration", 0, 45),
        ("p.vib.peak", "mm/s", "vibration", 0, 90),
        ("p.vib.crest", "1", "", 0, np.inf),
        ("p.vib.kurtosis", "1", "", 0, np.inf),
        ("p.vib.band-10-100.5", "(mm/s)2", "", 0, np.inf),
    ]
    assert {(s.asset, s.period_ms) for s in found} == {("p", 1000)}
    assert [source_name(s.name) for s in found] == ["p.vib"] * 5
    assert source_name("p.vib") is None


def windows(**settings: object) -> tuple[Windows, dict[str, int]]:
    slots: dict[str, int] = {}

    def slot(sensor: Sensor) -> int:
        return slots.setdefault(sensor.name, 2 + len(slots))

    step = Windows(slot)
    fast = Sensor("vib", "mm/s", "vibration", period_ms=10)
    grown(step, (fast, chosen(features=settings)), (Sensor("slow"), chosen()))
    return step, slots


def second(start: int, n: int = 100) -> list[tuple[int, int, float]]:
    times = range(start * 1000, start * 1000 + n * 10, 10)
    return [(0, t, 4 * np.sin(2 * np.pi * 0.01 * t)) for t in times]


def test_readings_of_a_window_become_its_features():
    step, slots = windows(window_s=2, bands_hz=[[8, 12]])
    assert list(slots) == ["vib.rms", "vib.peak", "vib.crest", "vib.kurtosis", "vib.band-8-12"]
    ticks = [columns(*second(s), (1, s * 1000, 7), start=s * 1000) for s in range(4)]
    left, counts = apply(step, *ticks)
    assert left[0] == [(1, 0, 7, 0)]
    slot, time, value, quality = zip(*left[1], strict=True)
    assert slot == (1, 2, 3, 4, 5, 6)
    assert time == (1000, *[1999] * 5)
    assert value[1] == pytest.approx(4 / np.sqrt(2))
    assert value[4:] == pytest.approx((1.5, 8))
    assert set(quality) == {0}
    assert [len(tick) for tick in left] == [1, 6, 1, 6]
    assert counts == {"windowed": 400}


def test_single_readings_can_be_kept():
    step, _ = windows(keep=True)
    left, counts = apply(step, columns(*second(0)))
    assert len(left[0]) == 104
    assert counts == {}


def test_a_window_with_holes_is_not_told():
    step, _ = windows()
    left, counts = apply(step, columns(*second(0, 89)), columns(*second(1, 90), start=1000))
    assert [len(tick) for tick in left] == [0, 4]
    assert counts == {"windowed": 179, "window_incomplete": 1}


def test_late_and_bad_readings_are_in_no_window_and_a_pause_ends_it():
    step, _ = windows(window_s=2)
    bad = [(0, 5, 1.0, 2)]
    left, counts = apply(
        step,
        columns(*second(0), start=0),
        columns(*second(-9), start=-9000, late=True),
        columns(*bad, start=60_000),
        columns(*second(61), start=61_000),  # the first half of its window is missing
    )
    assert left == [[], [], [], []]
    assert counts == {"windowed": 301, "not_in_window": 101, "window_incomplete": 1}


def waveform_block(samples: np.ndarray, period_ms: float) -> Block:
    return Block(
        np.array([0], np.uint32), np.array([T0]), np.array([7.0]), np.zeros(1, np.uint8),
        waveforms=(Waveform(0, T0 + 5, samples, period_ms, 1),),
    )  # fmt: skip


def test_waveforms_become_readings_in_the_unit_that_is_sent():
    slots: dict[str, int] = {}
    step = Waveforms(lambda sensor: slots.setdefault(sensor.name, 10 + len(slots)))
    step.grow([Sensor("vib", "mm/s")], [chosen(features={"bands_hz": [[40, 60]]})])
    conversion = grown(Conversion(), (Sensor("vib", "mm/s"), chosen()))
    conversion.set(0, "in/s")  # type: ignore[attr-defined]
    counts: Counter[str] = Counter()
    found = step.add(waveform_block(sine(1, 50), 1.0), conversion, counts)  # type: ignore[arg-type]
    assert found.slot.tolist() == [0, 10, 11, 12, 13, 14]
    assert (found.time_ms - T0).tolist() == [0, 5, 5, 5, 5, 5]
    assert found.value[1] == pytest.approx(25.4 / np.sqrt(2))
    assert found.value[5] == pytest.approx(25.4**2 / 2)
    assert found.quality.tolist() == [0, 1, 1, 1, 1, 1]
    assert found.waveforms == ()
    assert counts == {"waveforms": 1}


def test_waveforms_that_are_none():
    step = Waveforms(lambda sensor: None if sensor.name.endswith("peak") else 5)
    step.grow([Sensor("vib")], [chosen()])
    conversion = grown(Conversion(), (Sensor("vib"), chosen()))
    counts: Counter[str] = Counter()
    for samples in (np.empty(0), np.ones(7), np.full(100, np.nan)):
        assert len(step.add(waveform_block(samples, 1.0), conversion, counts)) == 1  # type: ignore[arg-type]
    assert counts == {"waveform_unusable": 3}
    # nobody said the period, and the registry is full for one of the features
    assert len(step.add(waveform_block(sine(1, 50), 0), conversion, counts)) == 4  # type: ignore[arg-type]
