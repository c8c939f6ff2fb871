"""Units, validity, stuck signals and down-sampling, one step at a time."""

from __future__ import annotations

from math import inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.filters.conversion import Conversion
from edge.filters.downsample import Downsample
from edge.filters.stuck import Stuck
from edge.filters.validity import Validity
from edge.registry import Sensor
from tests.edge.filters.rows import apply, chosen, columns, grown
from udfs.batch import Quality
from udfs.state import pack, unpack

GOOD, UNCERTAIN, BAD, STUCK, REPAIRED = range(5)
ANY = chosen()


def test_values_arrive_in_the_unit_that_is_sent():
    step = grown(Conversion(), *[(Sensor(n, unit="degC"), ANY) for n in "abc"])
    tick = columns((0, 0, 10), (1, 0, 212), (2, 0, 5))
    assert apply(step, tick)[0] == [[(0, 0, 10, 0), (1, 0, 212, 0), (2, 0, 5, 0)]]
    assert step.set(1, "degF")
    assert not step.set(2, "parrots")
    (left,), counts = apply(step, tick)
    assert [row[2] for row in left] == pytest.approx([10, 100, 5])
    assert [row[3] for row in left] == [GOOD, GOOD, UNCERTAIN]
    assert counts == {"flagged_unknown_unit": 1}
    assert step.set(1, "degC")
    assert step.set(2, "degC")
    assert apply(step, tick)[0][0][1] == (1, 0, 212, 0)


@pytest.mark.parametrize(
    ("policy", "left", "counted"),
    [
        ("flag", [(0, 1, -1, BAD), (0, 2, 5, GOOD), (0, 3, 11, BAD), (0, 4, inf, BAD)],
         {"flagged_out_of_range": 2, "flagged_not_finite": 1}),
        ("drop", [(0, 2, 5, GOOD)], {"out_of_range": 2, "not_finite": 1}),
        ("clamp", [(0, 1, 0, GOOD), (0, 2, 5, GOOD), (0, 3, 10, GOOD), (0, 4, inf, BAD)],
         {"clamped": 2, "flagged_not_finite": 1}),
        ("off", [(0, 1, -1, GOOD), (0, 2, 5, GOOD), (0, 3, 11, GOOD), (0, 4, inf, BAD)],
         {"flagged_not_finite": 1}),
    ],
)  # fmt: skip
def test_out_of_range(policy: str, left: list, counted: dict):
    step = grown(Validity(), (Sensor("a", low=0, high=10), chosen(validity=policy)))
    tick = columns((0, 1, -1), (0, 2, 5), (0, 3, 11), (0, 4, inf))
    assert apply(step, tick) == ([left], counted)


def test_without_a_range_only_what_is_no_number_is_bad():
    step = grown(Validity(), (Sensor("a"), ANY), (Sensor("b", low=nan), ANY))
    (left,), counts = apply(step, columns((0, 0, 1e300), (0, 1, -inf), (1, 0, nan), (1, 1, -7)))
    assert [row[3] for row in left] == [GOOD, BAD, BAD, GOOD]
    assert isnan(left[2][2])
    assert counts == {"flagged_not_finite": 2}


def test_what_is_bad_already_is_not_counted_and_plain_columns_are_not_copied():
    step = grown(Validity(), (Sensor("a", high=10), ANY))
    (left,), counts = apply(step, columns((0, 0, 11, BAD)))
    assert (left, counts) == ([(0, 0, 11, BAD)], {})
    tick = columns((0, 0, 5))
    assert step.apply(tick, counts) is tick
    assert tick.quality.tolist() == [GOOD]


def test_a_signal_that_stays_is_stuck_until_it_moves():
    step = grown(Stuck(), (Sensor("a"), chosen(stuck={"stuck_s": 2})), (Sensor("valve"), ANY))
    ticks = [columns((0, s * 1000, 5), (1, s * 1000, 5), start=s * 1000) for s in range(4)]
    ticks.append(columns((0, 4000, 5.1), (1, 4000, 5), start=4000))
    left, counts = apply(step, *ticks)
    assert [tick[0][3] for tick in left] == [GOOD, GOOD, STUCK, STUCK, GOOD]
    assert [tick[1][3] for tick in left] == [GOOD] * 5
    assert counts == {"flagged_stuck": 2}


def test_stuck_across_a_checkpoint_and_with_several_readings_a_tick():
    first = grown(Stuck(), (Sensor("a"), chosen(stuck={"stuck_s": 2})))
    apply(first, columns((0, 0, 1), (0, 500, 5), (0, 900, 5)))
    later = grown(Stuck(), *[(Sensor(n), chosen(stuck={"stuck_s": 2})) for n in "ab"])
    later.from_fields(unpack(pack("s", 1, first.to_fields()), "s")[1])
    tick = columns((0, 2400, 5), (0, 2500, 5, BAD), (0, 2600, 5), (0, 2700, 6), (1, 2700, nan))
    (left,), _ = apply(later, tick)
    assert [row[3] for row in left] == [GOOD, BAD, STUCK, GOOD, GOOD]


Times = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 400), st.integers(0, 1)), max_size=40)


@settings(max_examples=80, deadline=None)
@given(Times, st.integers(1, 6))
def test_stuck_as_a_loop_would_find_it(steps: list[tuple[int, int, int]], parts: int):
    step = grown(Stuck(), *[(Sensor(n), chosen(stuck={"stuck_s": 0.5})) for n in "abc"])
    at, rows, expected = 0, [], {}
    value, since = {}, {}
    for slot, wait, number in steps:
        at += wait
        if value.get(slot) != number:
            value[slot], since[slot] = number, at
        expected[slot, at] = STUCK if at - since[slot] >= 500 else GOOD
        rows.append((slot, at, number))
    size = len(rows) // parts + 1
    ticks = [columns(*sorted(rows[i : i + size])) for i in range(0, len(rows), size)]
    left, _ = apply(step, *ticks)
    assert {(row[0], row[1]): row[3] for tick in left for row in tick} == expected


def test_down_sampling():
    step = grown(
        Downsample(),
        *[(Sensor(m), chosen(downsample=m)) for m in ("off", "last", "mean", "min_max")],
    )
    values = [(1, 3.0, GOOD), (2, 9.0, GOOD), (3, 1000.0, BAD), (4, 1.0, REPAIRED), (5, 3.0, BAD)]
    tick = columns(*[(slot, t, v, q) for slot in range(4) for t, v, q in values])
    (left,), counts = apply(step, tick)
    assert left[:5] == [(0, t, v, q) for t, v, q in values]
    assert left[5] == (1, 5, 3, BAD)
    assert left[6] == (2, 4, pytest.approx(13 / 3), REPAIRED)
    assert left[7:] == [(3, 2, 9, GOOD), (3, 4, 1, REPAIRED)]
    assert counts == {"downsampled": 4 + 4 + 3}


def test_down_sampling_of_few_and_of_bad_readings():
    step = grown(
        Downsample(),
        (Sensor("mean"), chosen(downsample="mean")),
        (Sensor("min_max"), chosen(downsample="min_max")),
        (Sensor("mean-2"), chosen(downsample="mean")),
    )
    tick = columns(
        (0, 1, nan, BAD), (0, 2, 7, BAD), (1, 1, 4), (1, 2, 4), (1, 3, 4), (2, 1, 1e308),
        (2, 2, 1.5e308),
    )  # fmt: skip
    (left,), _ = apply(step, tick)
    assert left == [(0, 2, 7, BAD), (1, 1, 4, GOOD), (2, 2, pytest.approx(1.25e308), GOOD)]
    single = columns((0, 1, 5), (1, 1, 5))
    assert step.apply(single, {}) is single  # type: ignore[arg-type]


def test_late_readings_of_several_ticks_stay_one_a_tick():
    step = grown(Downsample(), (Sensor("a"), chosen(downsample="last")))
    late = columns((0, 10, 1), (0, 990, 2), (0, 1000, 3), (0, 2000, 4), (0, 2400, 5), late=True)
    (left,), _ = apply(step, late)
    assert [row[2] for row in left] == [2, 3, 5]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(-100, 100), st.sampled_from([GOOD, BAD])),
        min_size=1,
        max_size=40,
    )
)
def test_means_and_extremes_as_a_loop_would_find_them(given_rows: list):
    rows = sorted((slot, t, v, q) for t, (slot, v, q) in enumerate(given_rows))
    by_slot = {s: [r for r in rows if r[0] == s] for s in {r[0] for r in rows}}
    for mode in ("mean", "min_max"):
        step = grown(Downsample(), *[(Sensor(str(n)), chosen(downsample=mode)) for n in range(4)])
        (left,), counts = apply(step, columns(*rows))
        assert counts["downsampled"] == len(rows) - len(left)
        for slot, mine in by_slot.items():
            good = [v for _, _, v, q in mine if q == GOOD]
            got = [v for s, _, v, q in left if s == slot and q == Quality.GOOD]
            if not good:
                assert [r for r in left if r[0] == slot] == mine[-1:]
            elif mode == "mean":
                assert got == pytest.approx([np.mean(good)], abs=1e-9)
            else:
                assert sorted(got) == sorted({min(good), max(good)})
