"""Which lane judges a batch, and how long a lane lives."""

from __future__ import annotations

from tests.udfs.plant import batch
from udfs.batch import Lane
from udfs.watch.horizon import Horizon
from udfs.watch.lanes import MAX_BACKLOGS, Lanes, LaneState, Position
from udfs.watch.life import Life


def lanes() -> Lanes:
    def make(late: bool, at: Position, time_ms: int) -> LaneState:
        return LaneState(
            late, [], {}, [], {}, Life({}), [], Horizon(1000), at, time_ms, at, time_ms
        )

    return Lanes(make)


def enter(made: Lanes, *sequences: int, lane: str = Lane.LIVE) -> list[bool | None]:
    """Of each batch, whether it continued its lane; None where it was not let in."""
    answers: list[bool | None] = []
    for sequence in sequences:
        entered = made.enter(batch([1], sequence, lane=lane))
        if entered is not None:
            entered[0].time_ms = batch([1], sequence).time_ms
        answers.append(entered and entered[1])
        list(made.finish())
    return answers


def spans(made: Lanes) -> list[tuple[int, int | None]]:
    """Position and end of each backlog lane, by sequence."""
    return [(lane.position[1], lane.until and lane.until[1]) for lane in made.backlogs]


def test_live_batches_in_order_need_one_lane() -> None:
    made = lanes()
    assert enter(made, 3, 4, 5) == [True, True, True]
    assert spans(made) == []
    assert enter(made, 5, 4) == [None, None]


def test_a_hole_leaves_a_lane_behind_until_it_is_filled() -> None:
    made = lanes()
    assert enter(made, 3, 4, 9) == [True, True, False]
    assert spans(made) == [(4, 9)]
    assert enter(made, 5, 6, 7, lane=Lane.BACKLOG) == [True] * 3
    assert spans(made) == [(7, 9)]
    assert enter(made, 8, lane=Lane.BACKLOG) == [True]
    assert spans(made) == []


def test_a_missing_number_in_the_backlog_is_told() -> None:
    made = lanes()
    enter(made, 3, 9)
    assert enter(made, 4, 6, 5, lane=Lane.BACKLOG) == [True, False, None]
    assert spans(made) == [(6, 9)]


def test_backlog_that_comes_before_the_live_batch_after_the_hole_uses_the_same_lane() -> None:
    made = lanes()
    enter(made, 3)
    assert enter(made, 4, 6, 5, lane=Lane.BACKLOG) == [True, False, None]
    assert spans(made) == [(6, None)]
    assert enter(made, 9) == [False]
    assert spans(made) == [(6, 9)]


def test_two_holes_are_filled_each_by_its_lane_in_any_order() -> None:
    made = lanes()
    enter(made, 3, 9, 20)
    assert spans(made) == [(3, 9), (9, 20)]
    assert enter(made, 10, 4, 11, 5, lane=Lane.BACKLOG) == [True] * 4
    assert spans(made) == [(5, 9), (11, 20)]


def test_many_holes_share_the_newest_lane() -> None:
    made = lanes()
    enter(made, 0, 10, 20, 30, 40)
    assert MAX_BACKLOGS == 3
    assert spans(made) == [(0, 10), (10, 20), (20, 40)]
    assert enter(made, 31, lane=Lane.BACKLOG) == [False]


def test_a_gateway_that_begins_with_its_backlog() -> None:
    made = lanes()
    enter(made, 3, 4, lane=Lane.BACKLOG)
    assert enter(made, 5) == [True]
    assert spans(made) == []
    assert made.live is not None
    assert (made.live.begin, made.live.late) == ((1, 5), False)
    made = lanes()
    enter(made, 3, lane=Lane.BACKLOG)
    assert enter(made, 9) == [False]
    assert spans(made) == [(3, 9)]


def test_backlog_from_before_all_that_is_known_leads_to_the_live_range() -> None:
    made = lanes()
    enter(made, 50, 51, 60)
    for sequence in range(52, 60):
        enter(made, sequence, lane=Lane.BACKLOG)
    assert spans(made) == []
    assert enter(made, 3, lane=Lane.BACKLOG) == [True]
    assert spans(made) == [(3, 60)]
    assert made.backlogs[0].until_ms == batch([1], 60).time_ms
    assert enter(made, 55, 2, lane=Lane.BACKLOG) == [False, True]


def test_of_two_lanes_that_could_go_on_the_nearer_one_does() -> None:
    made = lanes()
    enter(made, 50, 60)
    enter(made, 3, lane=Lane.BACKLOG)
    assert spans(made) == [(50, 60), (3, 60)]
    assert enter(made, 51, lane=Lane.BACKLOG) == [True]
    assert spans(made) == [(51, 60), (3, 60)]
