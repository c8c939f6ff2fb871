"""The EWMA detector: finds the unusual, learns the usual, and not from what it alarms on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.udfs.plant import T0, batch, catalogue, feed, rule, run, seen
from udfs.conditions.latch import Readings
from udfs.detectors.ewma import Ewma
from udfs.watch.watch import Watch

CONDITION = "ewma: {z: 6, half_life_s: 60, warm_up: 30, min_sigma: 0.1}"


def noise(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(20, 0.5, n)


def detector(half_life_s: int = 60, warm_up: int = 10) -> Ewma:
    return _ewma(4, half_life_s, warm_up, 0.1)


def _ewma(z: float, half_life_s: int, warm_up: int, min_sigma: float) -> Ewma:
    return Ewma(
        z=z,
        half_life_ms=half_life_s * 1000,
        period_ms=np.array([1000.0]),
        warm_up=warm_up,
        min_sigma=min_sigma,
    )


def learn(values: np.ndarray, ewma: Ewma) -> dict[str, np.ndarray]:
    state = ewma.start(1)
    for second, value in enumerate(values):
        ewma.step(state, Readings(slice(None), np.array([value]), T0 + second * 1000))
    return state


def test_a_jump_fires_and_its_end_resolves() -> None:
    values = np.concatenate([noise(100), noise(10, 2) + 8, noise(10, 3)])
    events = run(CONDITION, values)
    assert seen(events) == [("s0", "firing", 100, 100), ("s0", "resolved", 100, 110)]
    assert events[0].limit == pytest.approx(20 + 6 * 0.5, abs=0.5)


def test_noise_slow_drift_and_a_daily_cycle_stay_quiet() -> None:
    second = np.arange(6000)
    values = noise(6000) + second * 2e-4 + 3 * np.sin(second / 86_400 * 2 * np.pi)
    assert run(CONDITION, values) == []


def test_nothing_is_judged_during_the_warm_up() -> None:
    assert run(CONDITION, [20.0] * 29 + [80.0]) == []
    assert len(run(CONDITION, [20.0] * 30 + [80.0])) == 1


def test_learning_is_gated_so_a_long_fault_keeps_its_alarm() -> None:
    fault = np.concatenate([noise(100), noise(2000, 2) + 8])
    assert [event.status for event in run(CONDITION, fault)] == ["firing"]
    gated = learn(fault, detector(warm_up=30))
    assert gated["mean"][0] == pytest.approx(20, abs=0.2)
    ungated = learn(fault, detector(warm_up=5000))
    assert ungated["mean"][0] == pytest.approx(28, abs=0.3)


def test_no_learning_while_pending_either() -> None:
    condition = "ewma: {z: 6, half_life_s: 60, warm_up: 30, min_sigma: 0.1, for_s: 50}"
    events = run(condition, np.concatenate([noise(100), noise(60, 2) + 8]))
    assert seen(events) == [("s0", "firing", 100, 150)]


def test_during_warm_up_mean_and_variance_are_the_plain_ones() -> None:
    values = noise(40)
    state = learn(values, detector(half_life_s=3600, warm_up=40))
    assert state["mean"][0] == pytest.approx(values.mean(), rel=1e-12)
    assert state["variance"][0] == pytest.approx(values.var(), rel=1e-9)
    assert state["count"][0] == 40


def test_a_reading_is_worth_half_after_a_half_life() -> None:
    # 400 readings of 0 are more than the memory of this half-life, then one of 1
    ewma = _ewma(1e6, 60, 10, 1.0)
    state = learn(np.array([0.0] * 400 + [1.0]), ewma)
    before = state["mean"][0]
    for second in range(401, 461):
        ewma.step(state, Readings(slice(None), np.array([0.0]), T0 + second * 1000))
    assert state["mean"][0] / before == pytest.approx(0.5)


def test_a_very_calm_signal_does_not_alarm_on_its_resolution() -> None:
    calm = [20.0] * 50 + [20.5]
    assert run(CONDITION, calm) == []
    assert len(run(CONDITION, [20.0] * 50 + [20.7])) == 1


@pytest.mark.parametrize(("pause_s", "found"), [(60, 1), (3600, 0)])
def test_after_a_long_gap_it_warms_up_anew(pause_s: int, found: int) -> None:
    watch = Watch([rule(CONDITION)], catalogue())
    assert feed(watch, [batch([v], s) for s, v in enumerate(noise(200))]) == []
    later = noise(100, 2) + 8
    back = [batch([v], 200 + pause_s + s, sequence=200 + s) for s, v in enumerate(later)]
    assert len(feed(watch, back)) == found


def test_an_alarm_ends_when_what_it_was_judged_by_is_forgotten() -> None:
    watch = Watch([rule(CONDITION)], catalogue())
    values = [*noise(100), 30.0]
    assert len(feed(watch, [batch([v], s) for s, v in enumerate(values)])) == 1
    assert seen(feed(watch, [batch([30.0], 9000, sequence=101)])) == [("s0", "resolved", 100, 9000)]


def test_several_severities_are_several_rules() -> None:
    rules = [
        rule("ewma: {z: 5, half_life_s: 60, warm_up: 30, min_sigma: 0.1}", name="unusual"),
        rule("ewma: {z: 12, half_life_s: 60, warm_up: 30, min_sigma: 0.1}", name="wild"),
    ]
    watch = Watch(rules, catalogue())
    events = feed(watch, [batch([v], s) for s, v in enumerate([*noise(100), 24, 40])])
    assert [(e.rule, e.onset_ms) for e in events] == [
        ("unusual", T0 + 100_000),
        ("wild", T0 + 101_000),
    ]
