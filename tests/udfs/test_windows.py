"""Minutes closed by coverage: exact, and the same to the bit whatever the order of arrival."""

from __future__ import annotations

import math
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.model import MINUTE_MS, expected_minutes, rows_of
from udfs.batch import Batch
from udfs.coverage import Verdict
from udfs.rollup import FINAL, PROVISIONAL, MinuteRollup
from udfs.state import pack, unpack
from udfs.windows import Windows

START_MS = 1_700_000_040_000  # a whole minute
TICK_MS = 5_000


def batch_at(sequence: int, sensors: int = 3, seed: int = 0, start_ms: int = START_MS) -> Batch:
    """A batch with values whose sum depends on the order, offsets, bad readings and dropouts."""
    rng = np.random.default_rng([seed, sequence])
    value = rng.standard_normal(sensors) * 10.0 ** rng.integers(-6, 6, sensors)
    quality = offset = sensor = None
    if rng.random() < 0.3:
        quality = rng.integers(0, 5, sensors).astype(np.uint8)
    if rng.random() < 0.3:
        offset = rng.integers(0, TICK_MS, sensors).astype(np.int32)
    if rng.random() < 0.2:
        value[rng.integers(sensors)] = np.nan
    if rng.random() < 0.3:
        keep = np.flatnonzero(rng.random(sensors) < 0.7).astype(np.uint32)
        sensor, value = keep, value[keep]
        quality = None if quality is None else quality[keep]
        offset = None if offset is None else offset[keep]
    time_ms = start_ms + sequence * TICK_MS
    columns = (value, sensor, offset, quality)
    return Batch("f", "g", 1, sequence, time_ms, *columns, traceparent=f"t{sequence}")


def restart(windows: Windows) -> Windows:
    """The same windows after a trip through their bytes."""
    data = pack("rollup", 1, windows.to_fields())
    return Windows.from_fields(windows.facility, windows.gateway, unpack(data, "rollup")[1])


def run(batches: list[Batch], restarts: set[int] = frozenset()) -> list[MinuteRollup]:
    windows, closed = Windows("f", "g"), []
    for i, batch in enumerate(batches):
        if i in restarts:
            windows = restart(windows)
        closed += windows.add(batch, now_ms=i).closed
    return closed


def by_minute(rollups: list[MinuteRollup]) -> dict[int, MinuteRollup]:
    assert len({r.minute_ms for r in rollups}) == len(rollups), "a minute was published twice"
    return {r.minute_ms: r for r in rollups}


def assert_equal(left: dict[int, MinuteRollup], right: dict[int, MinuteRollup]) -> None:
    assert left.keys() == right.keys()
    for minute in left:
        assert left[minute].same_as(right[minute]), minute


def test_rollups_are_what_counting_by_hand_gives() -> None:
    batches = [batch_at(s) for s in range(40)]
    closed = by_minute(run(batches))
    wanted = expected_minutes(batches)
    assert list(closed) == [START_MS, START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS]
    for minute, rollup in closed.items():
        assert rollup.complete and rollup.revision == FINAL and rollup.missing == 0
        rows = rows_of(rollup)
        assert rows.keys() == wanted[minute].keys()
        for sensor, row in rows.items():
            assert repr(row) == repr(wanted[minute][sensor]), (minute, sensor)


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(2, 60),
    start=st.integers(0, 59_999),
    rnd=st.randoms(use_true_random=False),
    seed=st.integers(0, 5),
)
def test_any_order_with_duplicates_and_restarts_gives_the_same_bits(
    count: int, start: int, rnd: random.Random, seed: int
) -> None:
    batches = [batch_at(s, seed=seed, start_ms=START_MS + start) for s in range(count)]
    straight = by_minute(run(batches))
    shuffled = batches + rnd.choices(batches, k=count // 3)
    rnd.shuffle(shuffled)
    restarts = {rnd.randrange(len(shuffled)) for _ in range(3)}
    assert_equal(straight, by_minute(run(shuffled, restarts)))


@settings(max_examples=60, deadline=None)
@given(at=st.integers(1, 60), length=st.integers(1, 60), pace=st.integers(1, 5), rnd=st.randoms())
def test_an_outage_leaves_no_trace(at: int, length: int, pace: int, rnd: random.Random) -> None:
    """Live first, the backlog after it at some pace: as if the network had never been away."""
    batches = [batch_at(s) for s in range(at + length + 60)]
    straight = by_minute(run(batches))
    arrivals, backlog = batches[:at], batches[at : at + length]
    for live in batches[at + length :]:
        arrivals += [live, *backlog[:pace]]
        backlog = backlog[pace:]
    arrivals += backlog
    assert_equal(straight, by_minute(run(arrivals, {rnd.randrange(len(arrivals))})))


def test_live_minutes_do_not_wait_for_the_backlog() -> None:
    windows = Windows("f", "g")
    added = [windows.add(batch_at(sequence), 0) for sequence in [*range(6), *range(30, 60)]]
    assert added[-1].verdict is Verdict.NEW
    closed = [rollup.minute_ms for one in added for rollup in one.closed]
    assert closed == [START_MS + 3 * MINUTE_MS]


def test_a_minute_with_a_hole_is_provisional_after_ten_seconds_and_final_later() -> None:
    windows = Windows("f", "g")
    for sequence in [0, 1, 2, 4, 5]:
        windows.add(batch_at(sequence), now_ms=START_MS + sequence * TICK_MS)
    due = windows.wake_at()
    assert due == START_MS + MINUTE_MS + 10_000
    assert windows.provisional(due - 1) == []
    (shown,) = windows.provisional(due)
    assert (shown.revision, shown.complete, shown.batches) == (PROVISIONAL, False, 5)
    assert windows.provisional(due + 60_000) == [] and windows.wake_at() is None
    closed = []
    for sequence in [3, *range(6, 14)]:
        closed += windows.add(batch_at(sequence), now_ms=due + sequence).closed
    assert_equal(by_minute(closed), by_minute(run([batch_at(s) for s in range(14)])))


def test_a_declared_loss_closes_the_minute_as_incomplete() -> None:
    windows = Windows("f", "g")
    closed = []
    for sequence in [0, 1, 2, 5, *range(6, 14)]:
        closed += windows.add(batch_at(sequence), 0).closed
    assert closed == []
    assert windows.coverage.declare_lost(1, 3, 4, now_ms=0) == 2
    (rollup,) = windows.close()
    assert (rollup.complete, rollup.missing, rollup.batches) == (False, 2, 10)
    late = windows.add(batch_at(3), 0)
    assert late.verdict is Verdict.LATE and late.late_readings == len(batch_at(3))


def test_minutes_that_were_lost_as_a_whole_are_published_empty() -> None:
    windows = Windows("f", "g")
    closed = []
    for sequence in [*range(6), *range(42, 50)]:
        closed += windows.add(batch_at(sequence), 0).closed
    windows.coverage.declare_lost(1, 6, 41, now_ms=0)
    closed += windows.close()
    assert [(r.minute_ms - START_MS) // MINUTE_MS for r in closed] == [0, 1, 2, 3]
    assert [r.missing for r in closed] == [6, 12, 12, 6]
    assert [r.readings() for r in closed[1:3]] == [0, 0]
    assert not any(r.complete for r in closed)


def test_a_loss_declared_before_the_next_batch_is_attributed_when_it_comes() -> None:
    windows = Windows("f", "g")
    closed = [r for s in range(6) for r in windows.add(batch_at(s), 0).closed]
    windows.coverage.declare_lost(1, 6, 8, now_ms=0)
    closed += windows.close()
    for sequence in range(9, 14):
        closed += windows.add(batch_at(sequence), 0).closed
    assert [(r.missing, r.batches) for r in closed] == [(3, 9)]


def test_parked_bytes_are_bounded_by_giving_up_the_oldest_hole() -> None:
    windows = Windows("f", "g", max_parked_bytes=500)
    closed = []
    for sequence in range(1, 40, 2):  # every other batch never comes
        closed += windows.add(batch_at(sequence, sensors=10), 0).closed
    assert windows.parked_bytes <= 500
    assert closed and not any(r.complete for r in closed)
    assert sum(r.missing for r in closed) == sum(12 - r.batches for r in closed)


def test_sums_skip_what_is_not_a_number() -> None:
    value = np.array([1.0, np.nan, np.inf, -np.inf])
    batches = [Batch("f", "g", 1, s, START_MS + s * 60_000, value) for s in range(2)]
    (rollup,) = run(batches)
    assert rollup.count.tolist() == [1, 0, 0, 0] and rollup.bad.tolist() == [0, 1, 1, 1]
    assert rollup.sum.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert math.isnan(rollup.min[1]) and rollup.sensor is None


def test_several_readings_of_a_sensor_in_a_batch() -> None:
    value, sensor = np.array([3.0, 1.0, 2.0, 7.0]), np.array([0, 0, 0, 2], np.uint32)
    offset = np.array([0, 10, 20, 5], np.int32)
    first = Batch("f", "g", 1, 0, START_MS, value, sensor, offset)
    (rollup,) = run([first, Batch("f", "g", 1, 1, START_MS + 60_000, value[:1])])
    assert rollup.sensor is not None and rollup.sensor.tolist() == [0, 2]
    assert rollup.count.tolist() == [3, 1] and rollup.sum.tolist() == [6.0, 7.0]
    assert (rollup.first[0], rollup.last[0], rollup.min[0], rollup.max[0]) == (3.0, 2.0, 1.0, 3.0)
