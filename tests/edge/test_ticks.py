"""Readings come out once, in the tick of their own time, whatever the order of arrival."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import ticks as module
from edge.block import Block, Receipt
from edge.settings import TickSettings
from edge.ticks import Tick, Ticks

T0 = 1_700_000_000_000
SETTINGS = TickSettings(tick_ms=1000, settle_ms=150, hold_ms=2000)


def block(
    *times_ms: int, at: int, slot: int = 0, receipt: Receipt | None = None, historical: bool = False
) -> Block:
    """Readings of one slot at these times after T0, arriving at T0 + at; each value is its time."""
    n = len(times_ms)
    return Block(
        np.full(n, slot, np.uint32),
        np.array(times_ms, np.int64) + T0,
        np.array(times_ms, float),
        np.zeros(n, np.uint8),
        "line-1",
        T0 + at,
        historical,
        receipt,
    )


def seen(ticks: list[Tick]) -> list[tuple[int, list[float]]]:
    return [(tick.time_ms - T0, tick.value.tolist()) for tick in ticks]


@pytest.fixture
def ticks() -> Ticks:
    return Ticks(SETTINGS)


def test_a_tick_closes_when_it_is_over_and_settled(ticks: Ticks):
    ticks.offer(block(100, 900, at=910))
    assert ticks.held == 2
    assert ticks.close(T0 + 1149) == []
    assert seen(ticks.close(T0 + 1150)) == [(0, [100, 900])]
    assert ticks.held == 0
    assert ticks.close(T0 + 1151) == []


def test_a_straggler_makes_its_tick_wait_but_not_for_long(ticks: Ticks):
    ticks.offer(block(100, at=110))
    for at in range(1100, 3200, 100):
        ticks.offer(block(at * 7 % 1000, at=at))
        assert ticks.close(T0 + at + 40) == []
    assert ticks.close(T0 + 3149) == []
    assert len(seen(ticks.close(T0 + 3150))[0][1]) == 22


def test_a_block_over_three_ticks_is_split_and_its_receipt_held_three_times(ticks: Ticks):
    given: list[int] = []
    receipt = Receipt(lambda: given.append(1))
    ticks.offer(block(2500, 500, 1500, 600, at=2600, receipt=receipt))
    closed = ticks.close(T0 + 3150)
    assert seen(closed) == [(0, [500, 600]), (1000, [1500]), (2000, [2500])]
    for tick, left in zip(closed, ([], [], [1]), strict=True):
        for held in tick.receipts:
            held.release()
        assert given == left


def test_time_goes_on_without_readings(ticks: Ticks):
    assert ticks.close(T0 - 50_000) == []  # nothing ever came
    ticks.offer(block(100, at=110))
    assert seen(ticks.close(T0 + 1150)) == [(0, [100])]
    assert ticks.close(T0 + 2149) == []
    assert seen(ticks.close(T0 + 2150)) == [(1000, [])]
    ticks.offer(block(4500, at=4510))
    assert seen(ticks.close(T0 + 4510)) == [(2000, []), (3000, [])]
    assert seen(ticks.close(T0 + 5150)) == [(4000, [4500])]


def test_a_site_that_is_silent_as_a_whole_gives_empty_ticks_for_ten_seconds(ticks: Ticks):
    ticks.offer(block(100, at=110))
    ticks.close(T0 + 1150)
    assert [t for t, _ in seen(ticks.close(T0 + 8150))] == list(range(1000, 8000, 1000))
    assert [t for t, _ in seen(ticks.close(T0 + 61_150))] == [8000, 9000, 10_000]
    assert seen(ticks.close(T0 + 86_400_150)) == []
    ticks.offer(block(86_400_500, at=86_400_510))
    assert seen(ticks.close(T0 + 86_401_150)) == [(86_400_000, [86_400_500])]


def test_what_a_broker_kept_goes_into_its_own_ticks_in_order(ticks: Ticks):
    """Down for 100 s, then 100 s of readings in one, with a breath in between."""
    now = 200_000
    ticks.start(T0 + 99_000)
    out = ticks.close(T0 + now)
    for second in range(100, 200):
        ticks.offer(block(second * 1000 + 5, at=now))
        if second == 150:
            now += 1000
            out += ticks.close(T0 + now)
        now += 2
        out += ticks.close(T0 + now)
    out += ticks.close(T0 + now + 150)
    assert [t for t, _ in seen(out)] == list(range(100_000, 201_000, 1000))
    assert [len(v) for _, v in seen(out)] == [1] * 100 + [0]  # it took the last one a second


def test_live_readings_wait_for_a_broker_that_takes_a_breath_but_not_for_long(ticks: Ticks):
    now = 7_200_000
    ticks.start(T0)
    ticks.close(T0 + now)
    ticks.offer(block(1500, at=now))
    ticks.offer(block(now + 100, at=now + 100, slot=1))
    assert seen(ticks.close(T0 + now + 150)) == [(1000, [1500])]
    assert ticks.close(T0 + now + 1150) == []
    ticks.offer(block(2500, at=now + 1200))
    assert seen(ticks.close(T0 + now + 1350)) == [(2000, [2500])]
    assert ticks.close(T0 + now + 3199) == []
    out = ticks.close(T0 + now + 3200)
    assert seen(out) == [(now, [now + 100]), (now + 1000, []), (now + 2000, [])]


def test_after_a_restart_time_waits_for_the_broker_and_then_goes_on(ticks: Ticks):
    ticks.start(T0)
    assert ticks.close(T0 + 10_000) == []
    assert ticks.close(T0 + 11_999) == []
    out = ticks.close(T0 + 12_000)
    assert [t for t, _ in seen(out)] == list(range(1000, 11_000, 1000))


def test_late_readings_leave_in_a_batch_of_their_own_time(ticks: Ticks):
    ticks.start(T0 + 99_000)
    ticks.close(T0 + 100_000)
    ticks.offer(block(71_200, 69_800, 60_001, 100_100, at=100_200, historical=True))
    assert ticks.close(T0 + 100_349) == []
    out = ticks.close(T0 + 100_350)
    assert seen(out) == [(60_000, [69_800, 60_001]), (71_000, [71_200])]
    assert [tick.late for tick in out] == [True, True]
    assert out[0].historical().tolist() == [True, True]  # type: ignore[union-attr]
    assert all((tick.reading_ms - tick.time_ms).max() < 10_000 for tick in out)
    assert seen(ticks.close(T0 + 101_150)) == [(100_000, [100_100])]


def test_a_clock_that_is_set_back_loses_nothing(ticks: Ticks):
    ticks.offer(block(50_100, at=50_110))
    assert len(ticks.close(T0 + 51_150)) == 1
    ticks.offer(block(51_200, at=51_210))
    ticks.offer(block(20_100, at=20_110))
    out = [*ticks.close(T0 + 20_200), *ticks.close(T0 + 20_350)]
    assert seen(out) == [(20_000, [20_100]), (51_000, [51_200])]


def test_too_much_at_once_closes_the_oldest_early(ticks: Ticks, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_OPEN", 10)
    ticks.offer(block(*range(0, 30_000, 1000), at=0))
    assert [t for t, _ in seen(ticks.close(T0))] == list(range(0, 20_000, 1000))
    monkeypatch.setattr(module, "MAX_HELD", 4)
    assert [t for t, _ in seen(ticks.close(T0))] == list(range(20_000, 26_000, 1000))
    assert ticks.held == 4


def test_a_tick_that_no_batch_could_hold_becomes_several(
    ticks: Ticks, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "MAX_TICK_READINGS", 5)
    given: list[int] = []
    receipt = Receipt(lambda: given.append(1))
    ticks.offer(block(*range(12), at=0, receipt=receipt))
    ticks.offer(block(20, 21, 22, at=30))
    out = ticks.close(T0 + 1150)
    assert [len(tick) for tick in out] == [5, 5, 5]
    assert {tick.time_ms for tick in out} == {T0}
    receipts = [held for tick in out for held in tick.receipts]
    assert len(receipts) == 3
    for held in receipts:
        held.release()
    assert given == [1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 40_000), min_size=1, max_size=6),  # times
            st.integers(0, 3000),  # time between two arrivals
        ),
        max_size=30,
    ),
    st.integers(0, 2000),
)
def test_every_reading_comes_out_once_and_ticks_ascend(
    arrivals: list[tuple[list[int], int]], step: int
):
    ticks, now, sent, out = Ticks(SETTINGS), 0, Counter(), []
    open_receipts: list[int] = []
    for number, (times, wait) in enumerate(arrivals):
        now += wait
        receipt = Receipt(lambda number=number: open_receipts.remove(number))
        open_receipts.append(number)
        ticks.offer(block(*times, at=now, receipt=receipt))
        sent.update(times)
        out += ticks.close(T0 + now + step)
    out += ticks.close(T0 + 1_000_000)
    out += ticks.close(T0 + 1_003_000)
    assert Counter(v for _, values in seen(out) for v in values) == sent
    on_time = [tick.time_ms for tick in out if not tick.late]
    assert on_time == sorted(set(on_time))
    for tick in out:
        if len(tick):
            offset = tick.reading_ms - tick.time_ms
            assert offset.min() >= 0
            assert offset.max() < (10_000 if tick.late else 1000)
        for held in tick.receipts:
            held.release()
    assert open_receipts == []
    assert ticks.held == 0
