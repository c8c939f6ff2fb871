"""The order of sending."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.uplink.lanes import MAX_PARKED, ORDER, Lane, Lanes

DAY = [(0, 86_399)]


def lanes(window: int = 10, in_flight: int = 1000) -> Lanes:
    return Lanes(live_within_ms=10_000, in_flight_bytes=in_flight, live_window=window)


def test_the_order_of_lanes() -> None:
    assert ORDER == (Lane.ALERTS, Lane.LIVE, Lane.ROLLUPS, Lane.BACKLOG)


def test_after_an_outage_the_newest_are_live_and_the_rest_is_backlog() -> None:
    found = lanes()
    assert found.run(Lane.LIVE, DAY, 86_399, 0) == (86_390, 86_399)
    assert found.run(Lane.BACKLOG, DAY, 86_399, 0) == (0, 86_389)


def test_live_by_the_age_of_the_ticks_end() -> None:
    assert lanes().is_live(end_ms=5_001, now_ms=15_000)
    assert not lanes().is_live(end_ms=5_000, now_ms=15_000)
    assert lanes().is_live(end_ms=20_000, now_ms=15_000)  # a clock ahead of ours


def test_what_is_no_news_any_more_is_left_to_the_backlog() -> None:
    found = lanes()
    found.passed(86_390)
    assert found.run(Lane.LIVE, DAY, 86_399, 0) == (86_391, 86_399)
    assert found.run(Lane.BACKLOG, DAY, 86_399, 0) == (0, 86_390)


def test_backlog_stays_below_the_oldest_live_record_on_its_way() -> None:
    found = lanes()
    for index in (86_390, 86_391):
        found.sent(Lane.LIVE, index, 1, 0)
    found.passed(86_392)
    assert found.run(Lane.BACKLOG, DAY, 86_399, 0) == (0, 86_389)
    found.answered(Lane.LIVE, 86_390, acknowledged=True)
    pending = [(0, 86_389), (86_391, 86_399)]
    found.sent(Lane.BACKLOG, 86_389, 1, 0)
    assert found.run(Lane.BACKLOG, pending, 86_399, 0) is None  # 86_391 is live still
    found.answered(Lane.LIVE, 86_391, acknowledged=True)
    assert found.run(Lane.BACKLOG, [(0, 86_389), (86_392, 86_399)], 86_399, 0) == (86_392, 86_392)


def test_a_live_record_that_was_given_up_is_backlog() -> None:
    found = lanes()
    found.sent(Lane.LIVE, 0, 1, 0)
    found.sent(Lane.LIVE, 1, 1, 0)
    found.answered(Lane.LIVE, 0, acknowledged=False)
    assert found.run(Lane.LIVE, [(0, 1)], 1, 0) is None
    assert found.run(Lane.BACKLOG, [(0, 1)], 1, 0) == (0, 0)


def test_backlog_skips_what_is_on_its_way_and_comes_back_for_what_failed() -> None:
    found = lanes()
    found.passed(99)
    for index in range(5):
        found.sent(Lane.BACKLOG, index, 1, 0)
    assert found.run(Lane.BACKLOG, [(0, 50)], 50, 0) == (5, 50)
    found.answered(Lane.BACKLOG, 1, acknowledged=False)
    assert found.run(Lane.BACKLOG, [(0, 50)], 50, 0) == (1, 1)


def test_a_gap_in_what_waits_is_not_sent() -> None:
    found = lanes()
    assert found.run(Lane.ALERTS, [(3, 4), (9, 9)], 9, 0) == (3, 4)
    found.sent(Lane.ALERTS, 4, 1, 0)
    assert found.run(Lane.ALERTS, [(3, 4), (9, 9)], 9, 0) == (9, 9)


def test_each_lane_leaves_room_for_those_before_it() -> None:
    found = lanes(in_flight=1000)
    found.sent(Lane.BACKLOG, 0, 400, 0)
    assert [found.room(lane) for lane in ORDER] == [850, 600, 100, 100]
    found.sent(Lane.LIVE, 99, 600, 0)
    assert [found.room(lane) for lane in ORDER] == [250, 0, 0, 0]
    assert not found.fits(Lane.LIVE, 1)


def test_a_record_larger_than_the_bound_goes_alone() -> None:
    found = lanes(in_flight=1000)
    assert found.fits(Lane.BACKLOG, 5000)
    found.sent(Lane.ALERTS, 0, 10, 0)
    assert not found.fits(Lane.BACKLOG, 5000)


def test_a_parked_record_holds_nobody_up_and_is_tried_again() -> None:
    found = lanes()
    found.passed(99)
    found.sent(Lane.BACKLOG, 0, 1, 0)
    found.answered(Lane.BACKLOG, 0, acknowledged=False, retry_ms=60_000)
    assert found.run(Lane.BACKLOG, [(0, 50)], 50, 59_999) == (1, 50)
    assert found.run(Lane.BACKLOG, [(0, 50)], 50, 60_000) == (0, 50)


def test_too_many_parked_records_stop_the_lane_until_one_is_due() -> None:
    found = lanes()
    for index in range(MAX_PARKED):
        found.sent(Lane.ROLLUPS, index, 1, 0)
        found.answered(Lane.ROLLUPS, index, acknowledged=False, retry_ms=1000 + index)
    assert found.run(Lane.ROLLUPS, [(0, 99)], 99, 999) is None
    assert found.run(Lane.ROLLUPS, [(0, 99)], 99, 1000) == (0, 0)


def test_how_long_the_oldest_live_record_waits() -> None:
    found = lanes()
    assert found.live_wait_ms(50) == 0
    found.sent(Lane.LIVE, 5, 1, 100)
    found.sent(Lane.LIVE, 6, 1, 300)
    found.sent(Lane.BACKLOG, 0, 1, 0)
    assert (found.live_wait_ms(400), found.live_in_flight) == (300, 2)
    found.answered(Lane.LIVE, 5, acknowledged=True)
    assert found.live_wait_ms(400) == 100


def test_how_much_is_backlog() -> None:
    found = lanes()
    assert found.waiting(DAY, 86_399) == 86_390
    found.sent(Lane.LIVE, 86_390, 1, 0)
    found.passed(86_391)
    found.sent(Lane.BACKLOG, 0, 1, 0)
    assert found.waiting(DAY, 86_399) == 86_391
    assert found.waiting([(86_390, 86_399)], 86_399) == 1


def test_a_shut_lane_opens_again() -> None:
    found = lanes()
    found.shut(Lane.ALERTS, 5000)
    assert found.run(Lane.ALERTS, [(0, 0)], 0, 4999) is None
    assert found.run(Lane.ALERTS, [(0, 0)], 0, 5000) == (0, 0)


@dataclass
class World:
    """One log of raw records, sent as the uplink does: the property test turns its wheels."""

    lanes: Lanes = field(default_factory=lambda: lanes(window=6, in_flight=8))
    committed: int = -1
    now_ms: int = 0
    end_ms: list[int] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    flying: dict[int, Lane] = field(default_factory=dict)
    sent: list[tuple[Lane, int]] = field(default_factory=list)

    def pending(self) -> list[tuple[int, int]]:
        return [(index, index) for index in sorted(self.waiting)]

    def commit(self, late_ms: int) -> None:
        self.committed += 1
        self.end_ms.append(self.now_ms - late_ms)
        self.waiting.add(self.committed)

    def send(self, lane: Lane) -> None:
        run = self.lanes.run(lane, self.pending(), self.committed, self.now_ms)
        if run is None or not self.lanes.fits(lane, 1):
            return
        index = run[0]
        if lane is Lane.LIVE and not self.lanes.is_live(self.end_ms[index], self.now_ms):
            self.lanes.passed(index)
            return
        assert index in self.waiting and index not in self.flying
        live = [i for i, where in self.flying.items() if where is Lane.LIVE]
        if lane is Lane.BACKLOG:
            assert index < min(live, default=index + 1)
        else:
            assert index > max(live, default=-1)
        self.lanes.sent(lane, index, 1, self.now_ms)
        self.flying[index] = lane
        self.sent.append((lane, index))

    def answer(self, which: int, good: bool) -> None:
        if self.flying:
            index = sorted(self.flying)[which % len(self.flying)]
            self.lanes.answered(self.flying.pop(index), index, acknowledged=good)
            self.waiting -= {index} if good else set()

    def drain(self) -> None:
        """Nothing fails any more: all must go."""
        for _ in range(1000):
            if not self.waiting:
                return
            self.now_ms += 1000
            for lane in (Lane.LIVE, Lane.BACKLOG):
                self.send(lane)
            self.answer(0, good=True)
        raise AssertionError(f"never sent: {self.waiting}")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(0, 30_000)),
        st.tuples(st.just("send"), st.sampled_from([Lane.LIVE, Lane.BACKLOG])),
        st.tuples(st.just("good"), st.integers(0, 9)),
        st.tuples(st.just("bad"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(0, 9_000)),
    ),
    max_size=80,
)


@given(STEPS)
def test_never_twice_on_the_way_always_in_order_and_all_gets_sent(steps: list[tuple]) -> None:
    world = World()
    for kind, value in steps:
        if kind == "commit":
            world.commit(value)
        elif kind == "send":
            world.send(value)
        elif kind == "wait":
            world.now_ms += value
        else:
            world.answer(value, good=kind == "good")
        assert world.lanes.in_flight == len(world.flying) <= 8
    live = [index for lane, index in world.sent if lane is Lane.LIVE]
    assert live == sorted(set(live))
    # the newest few could become live for as long as the log stands still; it never does
    for _ in range(6):
        world.commit(0)
    world.drain()


@pytest.mark.parametrize("lane", ORDER)
def test_an_empty_log(lane: Lane) -> None:
    assert lanes().run(lane, [], -1, 0) is None
