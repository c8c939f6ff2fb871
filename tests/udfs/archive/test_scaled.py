"""Decimal readings as whole numbers: exact or not at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.archive.scaled import MAX_PLACES, from_scaled, to_scaled

SMALLEST = float.fromhex("0x0.0000000000001p-1022")


def scaled(*segments: list[float]) -> tuple[list[int], list[int]]:
    starts = np.cumsum([0, *map(len, segments)])[:-1].astype(np.intp)
    scale, ints = to_scaled(np.array([v for s in segments for v in s]), starts)
    assert (scale.dtype, ints.dtype) == (np.int8, np.int64)
    return scale.tolist(), ints.tolist()


def slow_places(segment: list[float]) -> int:
    """One value and one place at a time."""
    for places in range(MAX_PLACES + 1):
        power = 10.0**places
        rounded = [round(v * power) if abs(v * power) < 1e300 else 2**60 for v in segment]
        if all(
            abs(whole) < 2**53 and (whole / power).hex() == v.hex()
            for whole, v in zip(rounded, segment, strict=True)
        ):
            return places
    return -1


def test_each_segment_has_its_own_places():
    assert scaled([1.0, -20.0], [21.37, 21.4, -0.01], [0.123456789]) == (
        [0, 2, 9],
        [1, -20, 2137, 2140, -1, 123456789],
    )


def test_one_reading_of_many_decides_for_its_segment():
    values = [20.0] * 100
    values[57] = 20.125
    scale, ints = scaled(values, [1.5])
    assert (scale, ints[57], ints[0], ints[100]) == ([3, 1], 20125, 20000, 15)


@pytest.mark.parametrize(
    "odd", [-0.0, np.nan, np.inf, -np.inf, 1 / 3, SMALLEST, 2.0**53, 1e308, 1e-10]
)
def test_a_segment_with_a_value_that_would_not_come_back_does_not_fit(odd):
    assert scaled([1.5, odd, 2.5], [0.25]) == ([-1, 2], [0, 0, 0, 25])


def test_the_largest_whole_number():
    assert scaled([2.0**53 - 1]) == ([0], [2**53 - 1])


def test_no_readings():
    scale, ints = to_scaled(np.zeros(0), np.zeros(0, np.intp))
    assert (len(scale), len(ints), len(from_scaled(scale, ints, np.zeros(0, np.intp)))) == (0, 0, 0)


decimals = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10)).map(
    lambda x: x[0] / 10.0 ** x[1]
)
segments = st.lists(
    st.one_of(
        st.lists(decimals, min_size=1, max_size=9),
        st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@given(segments)
def test_the_slow_way_finds_the_same_places_and_all_bits_come_back(segments):
    starts = np.cumsum([0, *map(len, segments)])[:-1].astype(np.intp)
    value = np.array([v for s in segments for v in s])
    scale, ints = to_scaled(value, starts)
    assert scale.tolist() == [slow_places(s) for s in segments]
    fits = np.repeat(scale >= 0, [len(s) for s in segments])
    back = from_scaled(scale, ints, starts)
    assert back[fits].tobytes() == value[fits].tobytes()
    assert not ints[~fits].any()
