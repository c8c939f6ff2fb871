"""Deviation from a sensor's own learned mean."""

from __future__ import annotations

import numpy as np
import pytest

from tests.udfs.plant import batch, catalogue, feed, live, rule, run, seen
from udfs.watch.watch import Watch

BY_FIVE = "baseline: {by: 5, half_life_s: 60, warm_up: 10, clear_by: 2}"


def test_it_fires_beyond_the_amount_and_ends_within_the_clear_one() -> None:
    events = run(BY_FIVE, [20.0] * 20 + [24.9, 25.6, 23.0, 21.9])
    assert seen(events) == [("s0", "firing", 21, 21), ("s0", "resolved", 21, 23)]
    assert (events[0].value, events[0].unit) == (25.6, "°C")
    assert events[0].limit == pytest.approx(25, abs=0.3)
    (fell,) = run(BY_FIVE, [20.0] * 20 + [14.0])
    assert (fell.value, fell.limit) == (14.0, 15.0)


def test_by_per_cent_of_the_mean_also_of_a_negative_one() -> None:
    condition = "baseline: {by_percent: 10, half_life_s: 60, warm_up: 10}"
    assert run(condition, [200.0] * 20 + [219.0]) == []
    assert [e.limit for e in run(condition, [200.0] * 20 + [221.0])] == [pytest.approx(220)]
    assert [e.limit for e in run(condition, [-200.0] * 20 + [-221.0])] == [pytest.approx(-220)]


def test_of_amount_and_per_cent_the_larger_counts() -> None:
    condition = "baseline: {by: 1, by_percent: 10, half_life_s: 60, warm_up: 10}"
    assert run(condition, [0.0] * 20 + [0.9]) == []
    assert len(run(condition, [0.0] * 20 + [1.1])) == 1
    assert run(condition, [200.0] * 20 + [219.0]) == []


def test_a_slow_drift_is_learned_and_a_fault_is_not() -> None:
    drift = 20 + np.arange(3000) * 0.01
    assert run(BY_FIVE, drift) == []
    events = run(BY_FIVE, [20.0] * 20 + [30.0] * 2000)
    assert [e.status for e in events] == ["firing"]


def test_what_lies_between_the_limits_is_not_learned_while_it_fires() -> None:
    events = run(BY_FIVE, [20.0] * 20 + [26.0] + [24.0] * 500 + [20.0])
    assert seen(events) == [("s0", "firing", 20, 20), ("s0", "resolved", 20, 521)]


def test_nothing_is_judged_during_the_warm_up_nor_after_a_long_gap() -> None:
    assert run(BY_FIVE, [20.0] * 9 + [80.0]) == []
    watch = Watch([rule(BY_FIVE)], catalogue())
    feed(watch, live([20.0] * 100, 0))
    assert feed(watch, live([80.0] * 5, 10_000)) == []
    assert len(feed(watch, live([80.0] * 20 + [20.0], 10_005))) == 1


def test_an_alarm_ends_when_what_it_was_judged_by_is_forgotten() -> None:
    watch = Watch([rule(BY_FIVE)], catalogue())
    assert len(feed(watch, live([20.0] * 50 + [30.0], 0))) == 1
    assert seen(feed(watch, live([30.0], 9000))) == [("s0", "resolved", 50, 9000)]


def test_usual_readings_between_counted_ones_are_learned() -> None:
    condition = "baseline: {by: 5, half_life_s: 5, warm_up: 10, times: {at_least: 2, of: 30}}"
    # one hot reading, then a rise that it would not have followed had it stopped to learn
    rise = [20 + 0.3 * i for i in range(28)]
    assert run(condition, [20.0] * 20 + [40.0, *rise]) == []


def test_a_value_that_overflows_does_no_harm() -> None:
    with np.errstate(all="raise"):
        events = run(BY_FIVE, [-1.7e308] * 3 + [1.7e308] + [20.0] * 40)
    assert all(event.value is None or np.isfinite(event.value) for event in events)


def test_bad_readings_are_not_learned() -> None:
    watch = Watch([rule(BY_FIVE)], catalogue())
    feed(watch, [batch([20.0], s) for s in range(20)])
    feed(watch, [batch([9999.0], s, quality=[2]) for s in range(20, 60)])
    assert feed(watch, [batch([20.0], 60)]) == []
