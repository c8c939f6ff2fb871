"""Changes pass, small ones do not, and at times a sign of life."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.filters.deadband import Deadband
from edge.registry import Sensor
from tests.edge.filters.rows import apply, chosen, columns, grown
from udfs.state import pack, unpack

HALF = chosen(deadband={"absolute": 0.5, "heartbeat_s": 10})


def series(step: Deadband, *values: float, quality: int = 0) -> list[float]:
    """What passes of one reading a second."""
    ticks = [
        columns((0, s * 1000, value, quality), start=s * 1000) for s, value in enumerate(values)
    ]
    return [row[2] for tick in apply(step, *ticks)[0] for row in tick]


def test_it_compares_with_what_was_sent_last_so_a_slow_drift_gets_through():
    step = grown(Deadband(), (Sensor("a"), HALF))
    assert series(step, 1, 1.2, 1.4, 1.5, 1.6, 1.8, 2.2) == [1, 1.6, 2.2]


def test_a_heartbeat_passes():
    step = grown(Deadband(), (Sensor("a"), HALF))
    assert series(step, *[s / 1000 for s in range(25)]) == [0, 0.010, 0.020]


def test_another_quality_passes():
    step = grown(Deadband(), (Sensor("a"), HALF))
    tick = columns((0, 1, 5), (0, 2, 5), (0, 3, 5, 2), (0, 4, 5, 2), (0, 5, 5))
    (left,), counts = apply(step, tick)
    assert [row[1] for row in left] == [1, 3, 5]
    assert counts == {"deadband": 2}


def test_what_is_no_number_passes_once():
    step = grown(Deadband(), (Sensor("a"), HALF))
    assert str(series(step, nan, nan, 1, nan, inf, inf, -inf)) == "[nan, 1.0, nan, inf, -inf]"


def test_percent_of_the_range_and_no_range_no_deadband():
    percent = chosen(deadband={"percent": 1})
    for sensor, passed in (
        (Sensor("a", low=0, high=200), [10, 13]),
        (Sensor("a", low=0), [10, 11, 12, 13]),
    ):
        assert series(grown(Deadband(), (sensor, percent)), 10, 11, 12, 13) == passed


def test_late_readings_are_judged_by_themselves():
    step = grown(Deadband(), (Sensor("a"), HALF))
    late = columns((0, -9000, 5), (0, -8000, 5.1), (0, -7000, 6), start=-9000, late=True)
    left, _ = apply(step, columns((0, 0, 5)), late, columns((0, 1000, 5.2), start=1000))
    assert [[row[2] for row in tick] for tick in left] == [[5], [5, 6], []]


def test_memory_comes_back_from_checkpoint_and_batches():
    first = grown(Deadband(), (Sensor("a"), HALF), (Sensor("b"), HALF))
    apply(first, columns((0, 0, 5), (1, 0, 5)))
    later = grown(Deadband(), *[(Sensor(n), HALF) for n in "abc"])
    later.from_fields(unpack(pack("d", 1, first.to_fields()), "d")[1])
    later.replay(columns((1, 1000, 7), (1, 1500, 8), start=1000))
    tick = columns((0, 2000, 5.1), (1, 2000, 8.1), (2, 2000, 0), start=2000)
    assert apply(later, tick)[0] == [[(2, 2000, 0, 0)]]


Readings = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 700), st.integers(-3, 3), st.sampled_from([0, 2])),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(Readings, st.integers(1, 6))
def test_as_a_loop_would_judge(steps: list[tuple[int, int, int, int]], parts: int):
    how = chosen(deadband={"absolute": 1, "heartbeat_s": 2})
    step = grown(Deadband(), *[(Sensor(n), how) for n in "ab"], (Sensor("c"), chosen()))
    at, rows, expected, last = 0, [], [], {}
    for slot, wait, value, quality in steps:
        at += wait
        rows.append((slot, at, value, quality))
        sent = last.get(slot)
        if (
            slot == 2
            or sent is None
            or abs(value - sent[1]) > 1
            or at - sent[0] >= 2000
            or quality != sent[2]
        ):
            last[slot] = (at, value, quality)
            expected.append((slot, at, value, quality))
    size = len(rows) // parts + 1
    ticks = [columns(*sorted(rows[i : i + size])) for i in range(0, len(rows), size)]
    left, counts = apply(step, *ticks)
    assert sorted(row for tick in left for row in tick) == sorted(expected)
    assert counts["deadband"] == len(rows) - len(expected)


def test_a_sensor_that_is_not_watched_costs_nothing():
    step = grown(Deadband(), (Sensor("a"), chosen()))
    tick = columns((0, 0, 1))
    assert step.apply(tick, {}) is tick  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[1.0, 2.0], [2.0, 1.0]])
def test_a_change_of_exactly_the_deadband_is_none(values: list[float]):
    step = grown(Deadband(), (Sensor("a"), chosen(deadband={"absolute": 1})))
    assert series(step, *values) == values[:1]
