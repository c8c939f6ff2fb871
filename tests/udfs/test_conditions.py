"""Every condition: what it finds, and what it leaves alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.udfs.plant import batch, catalogue, feed, rule, run, seen
from udfs.watch.watch import Watch

NAN = math.nan


def test_threshold_fires_after_its_time_and_its_onset_is_the_first_reading_above() -> None:
    events = run("threshold: {above: 80, for_s: 3}", [70, 81, 82, 83, 84, 85, 79])
    assert seen(events) == [("s0", "firing", 1, 4), ("s0", "resolved", 1, 6)]
    assert (events[0].value, events[0].limit, events[0].text) == (84.0, 80.0, "s0 84 80")


def test_threshold_at_the_limit_is_not_above_it() -> None:
    assert run("threshold: {above: 80}", [80, 80, 80]) == []
    assert seen(run("threshold: {below: 10}", [10, 9.9])) == [("s0", "firing", 1, 1)]


def test_threshold_without_hysteresis_ends_at_the_limit() -> None:
    for condition, values in (("above: 80", [81, 80]), ("below: 80", [79, 80])):
        events = run(f"threshold: {{{condition}}}", values)
        assert seen(events) == [("s0", "firing", 0, 0), ("s0", "resolved", 0, 1)]


def test_threshold_interrupted_starts_to_count_again() -> None:
    assert run("threshold: {above: 80, for_s: 3}", [81, 81, 81, 80, 81, 81, 81]) == []


def test_hysteresis_holds_the_alarm_until_the_clear_limit() -> None:
    values = [81, 79, 81, 76, 74.9, 81]
    events = run("threshold: {above: 80, clear_below: 75}", values)
    assert seen(events) == [
        ("s0", "firing", 0, 0),
        ("s0", "resolved", 0, 4),
        ("s0", "firing", 5, 5),
    ]
    assert len(run("threshold: {above: 80}", values)) == 5


def test_hysteresis_below() -> None:
    events = run("threshold: {below: 10, clear_above: 12}", [9, 11, 12, 12.1])
    assert seen(events) == [("s0", "firing", 0, 0), ("s0", "resolved", 0, 3)]


def test_a_gap_ends_what_is_pending_but_a_missing_reading_or_two_do_not() -> None:
    watch = Watch([rule("threshold: {above: 80, for_s: 5}")], catalogue())
    events = feed(watch, [batch([81], s) for s in (0, 1, 4, 5)])
    assert seen(events) == [("s0", "firing", 0, 5)]
    watch = Watch([rule("threshold: {above: 80, for_s: 5}")], catalogue())
    events = feed(watch, [batch([81], s) for s in (0, 1, 5, 6, 7, 8, 9, 10)])
    assert seen(events) == [("s0", "firing", 5, 10)]


def test_an_alarm_outlives_a_gap() -> None:
    watch = Watch([rule("threshold: {above: 80}")], catalogue())
    events = feed(watch, [batch([v], s) for v, s in ((81, 0), (81, 600), (79, 601))])
    assert seen(events) == [("s0", "firing", 0, 0), ("s0", "resolved", 0, 601)]


def test_a_clock_that_steps_back_does_not_block_a_duration() -> None:
    watch = Watch([rule("threshold: {above: 80, for_s: 2}")], catalogue())
    seconds = [3600, 3601, 0, 1, 2]
    events = feed(watch, [batch([81], s, sequence=i) for i, s in enumerate(seconds)])
    assert seen(events) == [("s0", "firing", 0, 2)]


def test_bad_readings_neither_fire_nor_clear_nor_poison() -> None:
    watch = Watch([rule("threshold: {above: 80, for_s: 1}")], catalogue())
    values = [(NAN, 0), (99, 2), (81, 0), (NAN, 0), (82, 0), (10, 2), (math.inf, 0), (10, 1)]
    events = feed(watch, [batch([v], s, quality=[q]) for s, (v, q) in enumerate(values)])
    assert seen(events) == [("s0", "firing", 2, 4)]


def test_rate_of_change_up_down_and_either() -> None:
    ramp = [0.0] * 6 + [3.0 * i for i in range(1, 7)]
    both = run("rate_of_change: {per_s: 2, window_s: 2}", ramp)
    assert seen(both) == [("s0", "firing", 7, 7)]
    assert (both[0].value, both[0].limit, both[0].unit) == (3.0, 2.0, "°C/s")
    assert run("rate_of_change: {per_s: 2, window_s: 2, direction: down}", ramp) == []
    down = [-v for v in ramp]
    (fell,) = run("rate_of_change: {per_s: 2, window_s: 2, direction: down}", down)
    assert fell.value == -3.0
    assert run("rate_of_change: {per_s: 2, window_s: 2, direction: up}", down) == []


def test_rate_of_change_over_a_window_does_not_see_a_small_jitter() -> None:
    assert run("rate_of_change: {per_s: 2, window_s: 4}", [0, 5] * 10) == []
    assert len(run("rate_of_change: {per_s: 2, window_s: 1}", [0, 5] * 3)) == 1


def test_rate_of_change_is_not_taken_across_a_gap() -> None:
    watch = Watch([rule("rate_of_change: {per_s: 0.1, window_s: 1}")], catalogue())
    assert feed(watch, [batch([v], s) for v, s in ((0, 0), (0, 1), (500, 10))]) == []
    assert len(feed(watch, [batch([510], 11)])) == 1


def test_a_rate_alarm_outlives_a_gap_and_is_judged_anew_after_it() -> None:
    watch = Watch([rule("rate_of_change: {per_s: 2, window_s: 1}")], catalogue())
    events = feed(watch, [batch([v], s) for v, s in ((0, 0), (9, 1), (9, 30), (9, 31))])
    assert seen(events) == [("s0", "firing", 1, 1), ("s0", "resolved", 1, 31)]


def test_a_clock_that_steps_back_does_not_stop_a_rate() -> None:
    watch = Watch([rule("rate_of_change: {per_s: 2, window_s: 1}")], catalogue())
    times = enumerate([(0, 3600), (0, 3601), (0, 1), (9, 2)])
    events = feed(watch, [batch([v], s, sequence=i) for i, (v, s) in times])
    assert seen(events) == [("s0", "firing", 2, 2)]


def test_stuck_fires_with_the_first_equal_reading_as_onset_and_ends_when_it_moves() -> None:
    events = run("stuck: {for_s: 4}", [1, 2, 5, 5, 5, 5, 5, 5, 5.1, 5])
    assert seen(events) == [("s0", "firing", 2, 6), ("s0", "resolved", 2, 8)]
    assert run("stuck: {for_s: 4}", [1, 1, 1, 1, 2, 2, 2, 2, 1]) == []


def test_stuck_with_tolerance_is_measured_from_the_first_of_the_run() -> None:
    creeping = [5 + 0.1 * i for i in range(12)]
    assert run("stuck: {for_s: 4, tolerance: 0.35}", creeping) == []
    assert len(run("stuck: {for_s: 3, tolerance: 0.35}", creeping)) > 0


@pytest.mark.parametrize(("periods", "fired_s"), [(3, 180), (5, 300)])
def test_stuck_needs_several_periods_of_a_slow_sensor(periods: int, fired_s: int) -> None:
    condition = f"stuck: {{for_s: 30, for_periods: {periods}}}"
    watch = Watch([rule(condition)], catalogue(["level"], 60_000))
    events = feed(watch, [batch([5], 60 * i, sequence=i) for i in range(8)])
    assert seen(events) == [("s0", "firing", 0, fired_s)]


def test_readings_that_the_edge_flagged_as_stuck_are_evidence_of_it() -> None:
    def stuck(quality: int) -> list[Any]:
        watch = Watch([rule("stuck: {for_s: 4}")], catalogue())
        return feed(watch, [batch([5], s, quality=[0 if s < 2 else quality]) for s in range(8)])

    assert seen(stuck(3)) == [("s0", "firing", 0, 4)]
    assert stuck(2) == []


def test_no_data_fires_while_the_gateway_reports_and_ends_with_the_next_reading() -> None:
    watch = Watch([rule("no_data: {for_s: 5, of: sensor}")], catalogue(["flow", "flow"]))
    first = feed(watch, [batch([1, 2], 0)] + [batch([2], s, sensor=[1]) for s in range(1, 9)])
    assert seen(first) == [("s0", "firing", 0, 5)]
    assert (first[0].value, first[0].limit, first[0].unit) == (5.0, 5.0, "s")
    back = feed(watch, [batch([1, 2], s) for s in range(9, 12)])
    assert seen(back) == [("s0", "resolved", 0, 9)]


def test_no_data_of_a_sensor_that_never_reported() -> None:
    watch = Watch([rule("no_data: {for_s: 5, of: sensor}")], catalogue(["flow", "flow"]))
    events = feed(watch, [batch([2], s, sensor=[1]) for s in range(10)])
    assert seen(events) == [("s0", "firing", 0, 5)]


def test_no_data_waits_three_periods_of_a_slow_sensor() -> None:
    watch = Watch(
        [rule("no_data: {for_s: 5, of: sensor}")], catalogue(["flow", "flow"], [10_000, 1000])
    )
    batches = [batch([1, 2], 0)] + [batch([2], s, sensor=[1]) for s in range(1, 40)]
    assert seen(feed(watch, batches)) == [("s0", "firing", 0, 30)]


def test_a_pause_of_the_gateway_is_not_the_silence_of_its_sensors() -> None:
    watch = Watch([rule("no_data: {for_s: 5, of: sensor}")], catalogue(["flow", "flow"]))
    events = feed(
        watch,
        [batch([1, 2], 0)]
        + [batch([2], s, sequence=i + 1, sensor=[1]) for i, s in enumerate(range(100, 107))],
    )
    assert seen(events) == [("s0", "firing", 100, 105)]


@pytest.mark.parametrize(("quality", "found"), [("any", 0), ("good", 1)])
def test_no_data_counts_bad_readings_or_not(quality: str, found: int) -> None:
    watch = Watch(
        [rule(f"no_data: {{for_s: 5, of: sensor, quality: {quality}}}")], catalogue(["flow"])
    )
    assert len(feed(watch, [batch([NAN], s, quality=[2]) for s in range(9)])) == found


def test_several_readings_of_a_sensor_in_a_batch_are_taken_in_order() -> None:
    watch = Watch([rule("threshold: {above: 80, for_s: 0.2}")], catalogue(["flow", "flow"]))
    events = feed(
        watch,
        [
            batch(
                [81, 82, 83, 70, 1],
                0,
                sensor=[0, 0, 0, 0, 1],
                offset_ms=[0, 100, 200, 300, 0],
            )
        ],
    )
    assert seen(events) == [("s0", "firing", 0, 0.2), ("s0", "resolved", 0, 0.3)]


def test_huge_values_overflow_without_a_word_and_without_harm() -> None:
    values = [1e308, -1e308, 1.0] + [1.0] * 20 + [9.0]
    with np.errstate(all="raise"):
        for condition in (
            "rate_of_change: {per_s: 1, window_s: 1}",
            "ewma: {z: 3, half_life_s: 60, warm_up: 10, min_sigma: 1}",
            "stuck: {for_s: 60}",
        ):
            events = run(condition, values)
            assert all(e.value is None or math.isfinite(e.value) for e in events)
    assert [
        e.status for e in run("rate_of_change: {per_s: 1, window_s: 1}", [0, 1e308, 1e308])
    ] == [
        "firing",
        "resolved",
    ]
