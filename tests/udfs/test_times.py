"""Conditions that count: n of the last m readings."""

from __future__ import annotations

import numpy as np
import pytest

from tests.udfs.plant import T0, batch, catalogue, feed, live, rule, run, seen
from udfs.conditions import latch
from udfs.conditions.latch import Readings
from udfs.conditions.threshold import Threshold
from udfs.watch.watch import Watch

THREE_OF_FIVE = "threshold: {above: 80, times: {at_least: 3, of: 5}}"


def test_it_fires_with_the_third_hot_reading_of_five_and_its_onset_is_the_first_of_these() -> None:
    events = run(THREE_OF_FIVE, [81, 70, 70, 70, 81, 70, 82, 70, 83, 70])
    assert seen(events) == [("s0", "firing", 4, 8)]
    assert (events[0].value, events[0].limit) == (83.0, 80.0)
    assert run(THREE_OF_FIVE, [81, 70, 82, 70, 70, 83, 70, 70]) == []


def test_it_ends_when_all_of_the_last_five_are_cool() -> None:
    events = run(THREE_OF_FIVE, [81, 81, 81, 70, 70, 70, 70, 81, 70, 70, 70, 70, 70, 70])
    assert seen(events) == [("s0", "firing", 0, 2), ("s0", "resolved", 0, 12)]


def test_a_reading_between_the_limits_holds_the_alarm_but_does_not_begin_it() -> None:
    condition = "threshold: {above: 80, clear_below: 75, times: {at_least: 2, of: 3}}"
    assert run(condition, [78, 81, 78, 78, 78, 78]) == []
    events = run(condition, [81, 81, 70, 70, 78, 70, 70, 70])
    assert seen(events) == [("s0", "firing", 0, 1), ("s0", "resolved", 0, 7)]


def test_after_its_end_it_counts_anew() -> None:
    events = run("threshold: {above: 80, times: {at_least: 2, of: 2}}", [81, 81, 70, 70, 81, 81])
    assert seen(events) == [
        ("s0", "firing", 0, 1),
        ("s0", "resolved", 0, 3),
        ("s0", "firing", 4, 5),
    ]


def test_one_of_several_fires_at_once_and_holds() -> None:
    events = run("threshold: {above: 80, times: {at_least: 1, of: 3}}", [81, 70, 70, 81] + [70] * 4)
    assert seen(events) == [("s0", "firing", 0, 0), ("s0", "resolved", 0, 6)]


def test_a_gap_empties_what_was_counted() -> None:
    watch = Watch([rule(THREE_OF_FIVE)], catalogue())
    assert feed(watch, live([81, 81], 0) + live([81, 81], 10)) == []
    assert seen(feed(watch, live([81], 12))) == [("s0", "firing", 10, 12)]


def test_an_alarm_outlives_a_gap_and_ends_by_the_readings_after_it() -> None:
    watch = Watch([rule(THREE_OF_FIVE)], catalogue())
    feed(watch, live([81, 81, 81], 0))
    assert feed(watch, live([70] * 4, 60)) == []
    assert seen(feed(watch, live([70], 64))) == [("s0", "resolved", 0, 64)]


def test_bad_readings_are_not_counted() -> None:
    watch = Watch([rule(THREE_OF_FIVE)], catalogue())
    readings = [(81, 0), (99, 2), (81, 0), (10, 2), (10, 2), (70, 0), (81, 0)]
    events = feed(watch, [batch([v], s, quality=[q]) for s, (v, q) in enumerate(readings)])
    assert seen(events) == [("s0", "firing", 0, 6)]


@pytest.mark.parametrize("of", [64, 63])
def test_sixty_four_readings_are_remembered(of: int) -> None:
    condition = f"threshold: {{above: 80, times: {{at_least: 2, of: {of}}}}}"
    values = [81] + [70] * 62 + [81]
    assert len(run(condition, values)) == (1 if of == 64 else 0)


def test_what_another_lane_took_over_counts_anew() -> None:
    condition = Threshold(80.0, True, at_least=2, of=5)
    state = condition.start(1)

    def feed_one(value: float, second: int) -> list[latch.Found]:
        return condition.step(state, Readings(slice(None), np.array([value]), T0 + second * 1000))

    feed_one(81, 0)
    assert len(feed_one(81, 1)) == 1
    latch.release(state)
    assert feed_one(81, 2) == []
    assert [found.onset_ms for found in feed_one(81, 3)] == [T0 + 2000]
