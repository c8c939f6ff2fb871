"""A value outside of a band; readings of a bad quality."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tests.udfs.plant import batch, catalogue, feed, rule, run, seen
from udfs.alerts import AlertEvent
from udfs.batch import Quality
from udfs.conditions.quality import quality_of
from udfs.watch.watch import Watch


def test_a_band_has_two_limits_and_tells_the_one_that_was_passed() -> None:
    events = run("band: {low: 2, high: 4}", [2, 4, 4.1, 3, 1.9, 2])
    assert seen(events) == [
        ("s0", "firing", 2, 2),
        ("s0", "resolved", 2, 3),
        ("s0", "firing", 4, 4),
        ("s0", "resolved", 4, 5),
    ]
    assert [(e.value, e.limit) for e in events[::2]] == [(4.1, 4.0), (1.9, 2.0)]


def test_from_one_side_to_the_other_is_one_alarm() -> None:
    events = run("band: {low: 2, high: 4, for_s: 2}", [3, 5, 1, 5, 1, 3])
    assert seen(events) == [("s0", "firing", 1, 3), ("s0", "resolved", 1, 5)]


def test_a_band_clears_inside_of_its_margin() -> None:
    events = run("band: {low: 2, high: 4, clear_margin: 0.5}", [5, 3.6, 2.4, 3.5])
    assert seen(events) == [("s0", "firing", 0, 0), ("s0", "resolved", 0, 3)]
    assert seen(run("band: {low: 2, high: 4, clear_margin: 1}", [5, 3.1, 3])) == [
        ("s0", "firing", 0, 0),
        ("s0", "resolved", 0, 2),
    ]


def test_huge_limits_do_not_overflow() -> None:
    with np.errstate(all="raise"):
        events = run("band: {low: 1.0e+308, high: 1.7e+308}", [1.2e308, 1.75e308])
    assert [e.limit for e in events] == [1.7e308]


def judged(condition: str, readings: Sequence[tuple[float, int]]) -> list[AlertEvent]:
    watch = Watch([rule(condition)], catalogue())
    return feed(watch, [batch([v], s, quality=[q]) for s, (v, q) in enumerate(readings)])


def test_bad_readings_fire_and_the_first_other_one_ends_it() -> None:
    events = judged("quality: {is: bad, for_s: 2}", [(5, 0), (5, 2), (5, 2), (5, 2), (5, 1)])
    assert seen(events) == [("s0", "firing", 1, 3), ("s0", "resolved", 1, 4)]
    assert (events[0].value, events[0].limit, events[0].unit) == (2.0, None, "")


@pytest.mark.parametrize(
    ("name", "quality"), [("uncertain", 1), ("bad", 2), ("stuck", 3), ("clock", 4)]
)
def test_each_quality_has_a_name(name: str, quality: int) -> None:
    found = [bool(judged(f"quality: {{is: {name}}}", [(5, other)])) for other in range(5)]
    assert found == [other == quality for other in range(5)]


def test_several_qualities_and_counted_ones() -> None:
    readings = [(5, 1), (5, 0), (5, 2), (5, 0), (5, 0)]
    both = "quality: {is: [bad, uncertain], times: {at_least: 2, of: 3}}"
    assert seen(judged(both, readings)) == [("s0", "firing", 0, 2)]
    assert judged("quality: {is: bad, times: {at_least: 2, of: 3}}", readings) == []


def test_what_is_no_number_is_bad_even_if_nothing_was_said_of_it() -> None:
    watch = Watch([rule("quality: {is: bad}")], catalogue())
    values = [5.0, math.nan, 5.0, math.inf]
    events = feed(watch, [batch([v], s) for s, v in enumerate(values)])
    assert [e.status for e in events] == ["firing", "resolved", "firing"]


def test_codes_of_a_batch() -> None:
    value = [1.0, math.nan, -math.inf, 2.0]
    assert quality_of(batch(value, 0)).tolist() == [0.0, 2.0, 2.0, 0.0]
    assert quality_of(batch(value, 0, quality=[4, 1, 0, 250])).tolist() == [4.0, 2.0, 2.0, 250.0]
    assert quality_of(batch([], 0)).tolist() == []


def test_a_quality_that_is_not_known_yet_is_none_of_the_known() -> None:
    every = "quality: {is: [bad, uncertain, stuck, clock]}"
    assert judged(every, [(5.0, 5), (5.0, 64), (5.0, 66), (5.0, 250)]) == []
    assert len(judged(every, [(5.0, Quality.CLOCK_REPAIRED)])) == 1
