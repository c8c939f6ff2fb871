"""Coverage against a model that keeps every number in a set."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.model import MINUTE_MS, complete_minutes
from udfs.batch import MAX_OFFSET_MS
from udfs.coverage import Coverage, Verdict
from udfs.losses import Position
from udfs.state import pack, unpack

TICK_MS = 7_000


def time_of(sequence: int) -> int:
    return 1_700_000_000_000 + sequence * TICK_MS


def reload(coverage: Coverage) -> Coverage:
    return Coverage.from_fields(unpack(pack("c", 1, coverage.to_fields()), "c")[1])


@settings(max_examples=200, deadline=None)
@given(
    arrivals=st.lists(st.integers(0, 60), max_size=120),
    losses=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=5),
    rnd=st.randoms(use_true_random=False),
)
def test_against_a_set(
    arrivals: list[int], losses: list[tuple[int, int]], rnd: random.Random
) -> None:
    coverage, times, gone = Coverage(), {}, set()
    steps = [("batch", s, 0) for s in arrivals] + [("loss", a, n) for a, n in losses]
    rnd.shuffle(steps)
    for kind, first, length in steps:
        if kind == "batch":
            verdict = coverage.admit(1, first, time_of(first), now_ms=0)
            wanted = Verdict.NEW
            if (1, first) in gone:
                wanted = Verdict.LATE
            elif (1, first) in times:
                wanted = Verdict.DUPLICATE
            assert verdict is wanted
            if wanted is Verdict.NEW:
                times[1, first] = time_of(first)
        else:
            absent = {(1, n) for n in range(first, first + length + 1)} - set(times) - gone
            assert coverage.declare_lost(1, first, first + length, now_ms=0) == len(absent)
            gone |= absent
        if rnd.random() < 0.1:
            coverage = reload(coverage)
    known = {s for _, s in set(times) | gone}
    absent = set(range(max(known, default=-1) + 1)) - known
    assert {n for _, a, b in coverage.gaps() for n in range(a, b + 1)} == absent
    assert coverage.missing() == len(absent) and coverage.lost_batches == len(gone)
    whole = complete_minutes(times, gone, MAX_OFFSET_MS)
    start = time_of(0) // MINUTE_MS * MINUTE_MS
    for minute in range(start, time_of(80), MINUTE_MS):
        assert coverage.complete(minute) == (minute in whole)


@settings(max_examples=100, deadline=None)
@given(
    first=st.integers(1, 50), length=st.integers(1, 50), after=st.integers(1, 30), rnd=st.randoms()
)
def test_the_lost_are_counted_in_their_minutes(
    first: int, length: int, after: int, rnd: random.Random
) -> None:
    """At an even pace the missing count of each minute is exact, in whatever order it is learnt."""
    coverage = Coverage()
    steps = [("batch", s) for s in [*range(first), *range(first + length, first + length + after)]]
    steps += [("loss", s) for s in range(first, first + length)]
    rnd.shuffle(steps)
    for kind, sequence in steps:
        if kind == "batch":
            coverage.admit(1, sequence, time_of(sequence), 0)
        else:
            coverage.declare_lost(1, sequence, sequence, 0)
    start = time_of(0) // MINUTE_MS * MINUTE_MS
    for minute in range(start, time_of(first + length + after), MINUTE_MS):
        inside = range(first, first + length)
        wanted = sum(minute <= time_of(s) < minute + MINUTE_MS for s in inside)
        assert coverage.missing_in(minute) == (not wanted, wanted)
    assert len(coverage.losses) == 1


def filled(*sequences: int, epoch: int = 1, coverage: Coverage | None = None) -> Coverage:
    coverage = coverage or Coverage()
    for sequence in sequences:
        coverage.admit(epoch, sequence, time_of(sequence), now_ms=0)
    return coverage


def test_a_hole_is_given_up_after_the_patience() -> None:
    coverage = Coverage()
    for now, sequence in enumerate([0, 1, 5, 6]):
        coverage.admit(1, sequence, time_of(sequence), now_ms=now * 1000)
    coverage.admit(1, 3, time_of(3), now_ms=9_000)  # what is left of a hole is as old as the hole
    assert coverage.expire(now_ms=3_000, patience_ms=2_000) == 0
    assert coverage.expire(now_ms=4_001, patience_ms=2_000) == 2
    assert coverage.gaps() == [] and coverage.lost_batches == 2
    assert coverage.admit(1, 4, time_of(4), 0) is Verdict.LATE


def test_an_epoch_that_ended_where_the_gateway_says_joins_the_next() -> None:
    coverage = filled(0, 1, 2)
    filled(0, 1, epoch=2, coverage=coverage)
    assert coverage.contiguous_through() == Position(1, 2)
    coverage.end_epoch(1, 3)
    assert coverage.gaps() == [(1, 3, 3)]
    assert coverage.admit(1, 3, time_of(3), 0) is Verdict.NEW
    assert coverage.contiguous_through() == Position(2, 1) and coverage.gaps() == []
    assert coverage.admit(1, 4, time_of(4), 0) is Verdict.LATE


def test_an_epoch_that_ended_unseen_leaves_its_last_minute_incomplete() -> None:
    coverage = filled(0, 1, 2, 5)
    coverage.admit(2, 0, time_of(9), 0)
    coverage.end_epoch(1, None)
    assert coverage.contiguous_through() == Position(2, 0) and coverage.lost_batches == 2
    minute = time_of(5) // MINUTE_MS * MINUTE_MS
    assert coverage.missing_in(minute)[0] is False
    assert coverage.admit(1, 7, time_of(7), 0) is Verdict.LATE


def test_a_new_epoch_without_a_word_waits_and_is_given_up() -> None:
    coverage = filled(0, 1, 2)
    filled(1, epoch=2, coverage=coverage)
    assert coverage.gaps() == [(2, 0, 0)]
    assert coverage.expire(now_ms=10**9, patience_ms=1) == 1
    coverage.expire(now_ms=10**9, patience_ms=1)
    assert len(coverage.ranges) == 1


def test_the_number_of_ranges_is_bounded() -> None:
    coverage = Coverage(max_ranges=10)
    for sequence in range(0, 100, 2):
        coverage.admit(1, sequence, time_of(sequence), 0)
    assert len(coverage.ranges) <= 10
    assert coverage.highest() == Position(1, 98)
    assert coverage.lost_batches + coverage.missing() == 49


def test_a_stream_that_starts_late_has_a_hole_before_it() -> None:
    coverage = filled(100, 101)
    assert coverage.gaps() == [(1, 0, 99)] and coverage.missing() == 100
    assert coverage.contiguous_through() is None
