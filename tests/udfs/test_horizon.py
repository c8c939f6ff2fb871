"""The horizon of a lane: by batches, and by the wall clock between those of a slow gateway."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.watch.horizon import Horizon

MINUTE = 60_000


def slow(delay_ms: int = 1200, tick_ms: int = 1000) -> Horizon:
    """A gateway of one reading a minute whose tick is known; its newest batch is of 10,000."""
    horizon = Horizon(MINUTE)
    for time_ms in (10_000 - tick_ms, 10_000):
        horizon.batch(time_ms, True, time_ms + delay_ms)
    return horizon


def test_the_tick_is_the_smallest_step_between_two_that_follow_each_other() -> None:
    horizon = Horizon(1000)
    assert horizon.batch(10_000, False, 0) == 10_000  # not known yet
    assert horizon.batch(14_000, True, 0) == 18_000
    assert horizon.batch(15_000, True, 0) == 18_000  # not back; the tick is 1 s from now on
    assert horizon.batch(18_000, True, 0) == 19_000
    assert horizon.batch(18_500, False, 0) == 19_500  # behind a hole: no step
    assert horizon.tick_ms == 1000


def test_a_step_that_no_batch_can_hold_is_a_pause() -> None:
    horizon = Horizon(MINUTE)
    horizon.batch(0, True, 0)
    assert horizon.batch(MINUTE, True, 0) == MINUTE
    assert horizon.batch(MINUTE + 10_000, True, 0) == MINUTE + 20_000


def test_late_readings_and_a_split_tick_say_nothing_of_time() -> None:
    horizon = Horizon(1000)
    for time_ms in (8000, 9000, 10_000):
        horizon.batch(time_ms, True, time_ms + 1100)
    before = replace(horizon)
    assert horizon.batch(3000, True, 99_999) == 11_000
    assert horizon == before
    assert horizon.batch(10_000, True, 11_150) == 11_000 and horizon.tick_ms == 1000


def test_a_clock_that_was_set_back_begins_anew_with_the_tick_it_had() -> None:
    horizon = slow()
    assert horizon.batch(-50_000, True, 12_000) == -49_000
    assert horizon.delay_ms == 62_000


def test_between_the_batches_of_a_slow_gateway_the_wall_clock_tells() -> None:
    horizon = slow(delay_ms=1200)
    assert horizon.timer(11_200) == 11_000  # the newest batch just came
    assert horizon.timer(12_199) == 11_000
    assert horizon.timer(12_200) == 12_000  # a batch of 11,000 would be here
    assert horizon.timer(40_000) == 39_000
    assert horizon.timer(11_200 + MINUTE - 1) == 10_000 + MINUTE
    assert horizon.timer(11_200 + MINUTE) is None  # overdue


def test_an_unknown_tick_is_the_more_careful() -> None:
    horizon = Horizon(MINUTE)
    horizon.batch(10_000, True, 11_200)
    assert (horizon.timer(11_200), horizon.timer(40_000)) == (10_000, 38_800)
    assert horizon.wake_for(38_800) == 40_000


def test_the_wall_clock_does_not_tell_of_a_fast_gateway_nor_before_the_first_batch() -> None:
    fast = replace(slow(), fastest_ms=1000)
    assert (fast.slow, fast.timer(12_300), fast.wake_for(11_500)) == (False, None, None)
    assert (Horizon(MINUTE).timer(5), Horizon(MINUTE).wake_for(5)) == (None, None)


@pytest.mark.parametrize(
    ("deadline_ms", "wake_ms"),
    [
        (9000, 11_200),  # it is there already: at once
        (11_000, 11_200),
        (11_001, 12_200),
        (12_000, 12_200),
        (70_000, 70_200),
        (10_001 + MINUTE, None),
    ],
)
def test_when_to_wake(deadline_ms: int, wake_ms: int | None) -> None:
    assert slow(delay_ms=1200).wake_for(deadline_ms) == wake_ms


def test_a_slow_batch_makes_timers_careful_for_a_while() -> None:
    horizon = slow(delay_ms=1200)
    delays = []
    for number, delay_ms in enumerate((9200, 1200, 1200, 1200, 1200)):
        horizon.batch(70_000 + number * MINUTE, True, 70_000 + number * MINUTE + delay_ms)
        delays.append(horizon.delay_ms)
    assert delays == [9200, 5200, 3200, 2200, 1700]


def test_who_was_woken_too_late_waits_for_the_next_batch() -> None:
    horizon = slow()
    assert horizon.wake_for(12_000) == 12_200 and horizon.timer(90_000) is None
    horizon.missed = True
    assert horizon.wake_for(12_000) is None
    horizon.batch(70_000, True, 71_200)
    assert horizon.wake_for(72_000) == 72_200


def test_fields_of_before_know_nothing_of_missed_timers() -> None:
    fields = slow().to_fields()
    del fields["missed"]
    assert Horizon.from_fields(MINUTE, fields) == slow()


def test_clocks_may_differ() -> None:
    ahead, behind = slow(delay_ms=1200 - 7000), slow(delay_ms=1200 + 7000)
    assert ahead.timer(40_000 - 7000) == behind.timer(40_000 + 7000) == 39_000
    assert ahead.wake_for(39_000) == 40_200 - 1000 - 7000


def test_it_goes_on_from_its_fields() -> None:
    horizon = slow()
    copy = Horizon.from_fields(MINUTE, horizon.to_fields())
    assert copy == horizon == horizon.copy()
    assert horizon.to_fields() == {
        "tick_ms": 1000, "time_ms": 10_000, "arrival_ms": 11_200, "delay_ms": 1200,
        "known_ms": 11_000, "missed": False,
    }  # fmt: skip
    horizon.copy().batch(11_000, True, 12_200)
    assert copy == horizon


@settings(max_examples=120, deadline=None)
@given(
    tick_ms=st.sampled_from([250, 1000, 2000]),
    ticks=st.sets(st.integers(2, 40), min_size=1),
    delay_ms=st.integers(0, 3000),
    looks=st.lists(st.integers(0, 100_000), max_size=20),
    deadline=st.integers(0, 100_000),
)
def test_nothing_comes_from_before_the_horizon_and_it_is_there_in_time(
    tick_ms: int, ticks: set[int], delay_ms: int, looks: list[int], deadline: int
) -> None:
    """At an even pace of the network, for any ticks that have readings."""
    delay_ms += tick_ms
    batches = [number * tick_ms for number in sorted({0, 1} | ticks)]
    horizon = Horizon(10_000)
    for number, time_ms in enumerate(batches):
        known = horizon.batch(time_ms, True, time_ms + delay_ms)
        rest = batches[number + 1 :]
        assert number < 1 or known == time_ms + tick_ms
        until_ms = rest[0] + delay_ms if rest else 2**40
        for now_ms in looks:
            if number and time_ms + delay_ms <= now_ms < until_ms:
                known = horizon.timer(now_ms) or known
                assert not rest or known <= rest[0]
        wake_ms = horizon.wake_for(deadline)
        if wake_ms is not None:
            reached = horizon.timer(wake_ms)
            assert reached is not None and reached >= deadline
            assert wake_ms <= max(horizon.arrival_ms, deadline + delay_ms)
            before = horizon.timer(wake_ms - 1)
            assert wake_ms == horizon.arrival_ms or (before is not None and before < deadline)
