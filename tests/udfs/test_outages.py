"""Outages: live and backlog find the same, tell it once, and keep no state beyond need."""

from __future__ import annotations

import pytest

from tests.udfs.plant import HOT, T0, batch, catalogue, feed, live, replayed, rule, seen
from udfs.batch import Lane
from udfs.watch.watch import Watch


def test_replay_finds_what_live_would_have_found_under_the_same_id() -> None:
    values = [70] * 10 + [85] * 6 + [70] * 20
    expected = feed(Watch([rule(HOT)], catalogue()), live(values, 0))
    watch = Watch([rule(HOT)], catalogue())
    first = feed(watch, live(values[:8], 0) + live(values[30:], 30))
    assert first == []
    late = feed(watch, replayed(values[8:30], 8))
    assert [(e.id, e.status, e.event_ms) for e in late] == [
        (e.id, e.status, e.event_ms) for e in expected
    ]
    assert [e.late for e in late] == [True, True]


@pytest.mark.parametrize("order", ["live first", "backlog first", "mixed"])
def test_the_order_of_lanes_does_not_matter_to_what_lies_inside_the_hole(order: str) -> None:
    values = [70] * 10 + [85] * 6 + [70] * 20
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live(values[:8], 0))
    now, then = live(values[30:], 30), replayed(values[8:30], 8)
    mixed = [each for pair in zip(then, now, strict=False) for each in pair]
    mixed += then[len(now) :]
    events = feed(watch, {"live first": now + then, "backlog first": then + now}.get(order, mixed))
    assert seen(events) == [("s0", "firing", 10, 13), ("s0", "resolved", 10, 16)]
    assert all(event.late for event in events)


def test_what_was_pending_before_the_hole_goes_on_in_the_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    assert feed(watch, live([85, 85], 0) + live([70] * 3, 20)) == []
    late = feed(watch, replayed([85] * 4 + [70] * 14, 2))
    assert seen(late) == [("s0", "firing", 0, 3), ("s0", "resolved", 0, 6)]


def test_what_was_pending_before_the_hole_does_not_go_on_live() -> None:
    watch = Watch([rule(HOT)], catalogue())
    events = feed(watch, live([85, 85], 0) + live([85] * 4, 20))
    assert seen(events) == [("s0", "firing", 20, 23)]


def test_an_alarm_that_fired_before_the_hole_is_resolved_live_and_only_there() -> None:
    watch = Watch([rule(HOT)], catalogue())
    events = feed(watch, live([85] * 4, 0) + live([70] * 2, 20) + replayed([70] * 16, 4))
    assert seen(events) == [("s0", "firing", 0, 3), ("s0", "resolved", 0, 20)]
    assert [e.late for e in events] == [False, False]


def test_an_alarm_that_still_fires_is_not_resolved_by_the_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([85] * 4, 0) + live([85] * 2, 20))
    late = feed(watch, replayed([70] * 8 + [85] * 8, 4))
    assert seen(late) == [("s0", "firing", 12, 15), ("s0", "resolved", 12, 20)]
    assert seen(feed(watch, live([70], 22))) == [("s0", "resolved", 0, 22)]


def test_a_late_alarm_ends_where_the_live_range_begins() -> None:
    watch = Watch([rule(HOT)], catalogue())
    now = feed(watch, live([70] * 2, 0) + live([85] * 5, 20))
    assert seen(now) == [("s0", "firing", 20, 23)]
    late = feed(watch, replayed([70] * 8 + [85] * 10, 2))
    assert seen(late) == [("s0", "firing", 10, 13), ("s0", "resolved", 10, 20)]


def test_the_backlog_state_is_dropped_when_the_hole_is_filled() -> None:
    watch = Watch([rule(HOT)], catalogue(["flow"] * 500))
    whole = [batch([70] * 500, s) for s in range(2)]
    feed(watch, whole)
    one = len(watch.snapshot())
    feed(watch, [batch([70] * 500, 20)])
    assert len(watch.snapshot()) > 1.8 * one
    feed(watch, [batch([70] * 500, s, lane=Lane.BACKLOG) for s in range(2, 20)])
    assert len(watch.snapshot()) < 1.2 * one


def test_a_hole_that_is_never_filled_is_given_up_and_its_alarms_end() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([70], 0) + live([70], 20) + replayed([85] * 5, 1))
    a_day_s = 24 * 3600
    assert feed(watch, [batch([70], a_day_s, sequence=21)]) == []
    (ended,) = feed(watch, [batch([70], a_day_s + 3 * 3600, sequence=22)])
    assert (ended.status, ended.late, ended.event_ms) == ("resolved", True, T0 + 20_000)


def test_a_network_that_flaps_does_not_multiply_the_state() -> None:
    watch = Watch([rule(HOT)], catalogue(["flow"] * 500))
    feed(watch, [batch([70] * 500, 0)])
    one = len(watch.snapshot())
    feed(watch, [batch([70] * 500, s) for s in range(10, 200, 10)])
    assert len(watch.snapshot()) < 4.5 * one
    late = feed(watch, [batch([85] * 500, s, lane=Lane.BACKLOG) for s in range(151, 160)])
    assert len(late) > 0


def test_a_gateway_that_begins_with_its_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    late = feed(watch, replayed([70, 70, 85, 85, 85, 85], 0))
    assert [(e.status, e.late) for e in late] == [("firing", True)]
    events = feed(watch, live([85] * 4, 6))
    assert seen(events) == [("s0", "resolved", 2, 6), ("s0", "firing", 6, 9)]
    assert [e.late for e in events] == [True, False]


def test_backlog_from_before_the_first_live_batch() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([70] * 3, 100))
    late = feed(watch, replayed([85] * 4 + [70], 50))
    assert seen(late) == [("s0", "firing", 50, 53), ("s0", "resolved", 50, 54)]


def test_a_batch_that_comes_too_late_for_its_lane_is_not_judged() -> None:
    watch = Watch([rule("threshold: {above: 80}")], catalogue())
    feed(watch, live([70] * 3, 0) + live([70], 10) + replayed([70], 5))
    assert feed(watch, live([99], 1) + replayed([99], 4)) == []
    assert len(feed(watch, live([99], 11) + replayed([99], 6))) == 2


def test_a_new_epoch_is_a_hole() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([85, 85], 100))
    events = feed(watch, [batch([85], 200 + s, sequence=s, epoch=2) for s in range(5)])
    assert seen(events) == [("s0", "firing", 200, 203)]
    old = feed(watch, replayed([85] * 3, 102))
    assert seen(old) == [("s0", "firing", 100, 103)]


def test_a_hole_is_not_the_silence_of_slow_sensors() -> None:
    watch = Watch(
        [rule("no_data: {for_s: 15, of: sensor}")], catalogue(["flow", "level"], [1000, 5000])
    )
    batches = [batch([1, 2], s) if s % 5 == 4 else batch([1], s) for s in range(60)]
    # the hole took the readings of 19, 24 and 29 s: 16 s without one at 30 s
    assert feed(watch, batches[:17] + batches[30:]) == []


def test_the_detector_keeps_what_it_learned_across_a_hole() -> None:
    ewma = "ewma: {z: 6, half_life_s: 600, warm_up: 30, min_sigma: 0.5}"
    watch = Watch([rule(ewma)], catalogue())
    feed(watch, live([20.0] * 100, 0))
    events = feed(watch, live([30.0], 160))
    assert seen(events) == [("s0", "firing", 160, 160)]
