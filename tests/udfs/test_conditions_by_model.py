"""Every condition finds what its slow model finds, whatever comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs import slow_conditions as slow
from tests.udfs.plant import T0, batch, catalogue, rule
from udfs.batch import Batch
from udfs.watch.watch import Watch

NAN = math.nan

CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    "threshold": (
        "threshold: {above: 3, clear_below: 2, for_s: 2}",
        lambda: slow.SlowThreshold(for_ms=2000, above=3, clear_below=2),
    ),
    "threshold, times": (
        "threshold: {above: 3, clear_below: 2, times: {at_least: 2, of: 5}}",
        lambda: slow.SlowThreshold(at_least=2, of=5, above=3, clear_below=2),
    ),
    "band": (
        "band: {low: 1.5, high: 4.5, clear_margin: 0.6, for_s: 1}",
        lambda: slow.SlowBand(for_ms=1000, low=1.5, high=4.5, margin=0.6),
    ),
    "band, times": (
        "band: {low: 1.5, high: 4.5, times: {at_least: 3, of: 64}}",
        lambda: slow.SlowBand(at_least=3, of=64, low=1.5, high=4.5),
    ),
    "quality": (
        "quality: {is: [bad, uncertain], for_s: 1}",
        lambda: slow.SlowQuality(for_ms=1000, qualities=(slow.BAD, slow.UNCERTAIN)),
    ),
    "quality, times": (
        "quality: {is: stuck, times: {at_least: 1, of: 4}}",
        lambda: slow.SlowQuality(at_least=1, of=4, qualities=(slow.STUCK,)),
    ),
    "rate_of_change, times": (
        "rate_of_change: {per_s: 0.6, window_s: 4, times: {at_least: 3, of: 6}}",
        lambda: slow.SlowRate(at_least=3, of=6, per_s=0.6, window_ms=4000),
    ),
    "ewma, times": (
        "ewma: {z: 4, half_life_s: 8, warm_up: 10, min_sigma: 0.2, times: {at_least: 2, of: 4}}",
        lambda: slow.SlowEwma(at_least=2, of=4, min_sigma=0.2),
    ),
    "baseline": (
        "baseline: {by: 1.5, by_percent: 40, half_life_s: 8, warm_up: 10, for_s: 1}",
        lambda: slow.SlowBaseline(for_ms=1000, by=1.5, share=0.4),
    ),
    "rate_of_change": (
        "rate_of_change: {per_s: 0.6, window_s: 4, for_s: 1}",
        lambda: slow.SlowRate(for_ms=1000, per_s=0.6, window_ms=4000),
    ),
    "stuck": ("stuck: {for_s: 3}", lambda: slow.SlowStuck(stuck_ms=3000)),
    "ewma": (
        "ewma: {z: 4, half_life_s: 8, warm_up: 10, min_sigma: 0.2, for_s: 1}",
        lambda: slow.SlowEwma(for_ms=1000, min_sigma=0.2),
    ),
    "no_data": ("no_data: {for_s: 5, of: sensor}", slow.SlowNoData),
}
SENSORS = 3

Tick = tuple[int, list[tuple[int, int, float, int]]]  # second; slot, offset, value, quality


def stream(random: Random) -> Iterator[Tick]:
    """Batches with all that may happen: gaps, silent sensors, several readings, bad ones."""
    second, level = 0, 2.0
    silent: set[int] = set()
    while second < 90:
        second += random.choices((1, 2, 3, 4, 7, 20), (40, 3, 2, 2, 1, 1))[0]
        silent ^= {random.randrange(SENSORS)} if random.random() < 0.1 else set()
        if random.random() < 0.2:
            level = random.choice((1.0, 2.0, 2.0, 4.0, 40.0))
        if random.random() < 0.6 and not silent:
            yield second, [(slot, 0, level + slot % 2, 0) for slot in range(SENSORS)]
            continue
        slots = [slot for slot in range(SENSORS) if slot not in silent]
        slots += random.choices(slots, k=random.choice((0, 0, 3))) if slots else []
        yield second, sorted(_reading(random, slot, level) for slot in slots)


def _reading(random: Random, slot: int, level: float) -> tuple[int, int, float, int]:
    quality = random.choices(range(5), (20, 1, 1, 3, 1))[0]
    value = random.choice((level, level, level, level, level, 2.5, 8.0, NAN))
    return slot, random.randrange(0, 1000, 100), value, quality


def compare(name: str, random: Random) -> int:
    """Hold the condition against its model. Returns: how many events both gave."""
    condition, make = CASES[name]
    watch = Watch([rule(condition)], catalogue(["flow"] * SENSORS))
    models = [make() for _ in range(SENSORS)]
    count = 0
    for sequence, (second, readings) in enumerate(stream(random)):
        expected = []
        for slot, offset, value, quality in readings:
            told = models[slot].feed(T0 + second * 1000 + offset, value, quality)
            expected += [(f"s{slot}", *each) for each in told]
        for slot, model in enumerate(models):
            if name == "no_data":
                expected += [(f"s{slot}", *each) for each in model.tick(T0 + second * 1000)]
        events = watch.on_batch(_batch(readings, second, sequence), 0)
        found = [(e.subject, e.status == "firing", e.onset_ms, e.event_ms) for e in events]
        assert sorted(found) == sorted(expected)
        count += len(found)
    return count


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(CASES)))
def test_equals_the_slow_model(random: Random, name: str) -> None:
    compare(name, random)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_comparison_with_the_slow_model_has_something_to_compare(name: str) -> None:
    assert sum(compare(name, Random(seed)) for seed in range(40)) > 20


def _batch(readings: list[tuple[int, int, float, int]], second: int, sequence: int) -> Batch:
    if [r[:2] for r in readings] == [(slot, 0) for slot in range(SENSORS)]:
        return batch([r[2] for r in readings], second, sequence, quality=[r[3] for r in readings])
    columns = list(zip(*readings, strict=True)) or [(), (), (), ()]
    return batch(columns[2], second, sequence, columns[0], columns[1], columns[3])
