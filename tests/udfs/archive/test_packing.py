"""Columns of whole numbers as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.archive.packing import Reader, Writer, unzigzag, within, zigzag

SMALLEST, LARGEST = -(2**63), 2**63 - 1

longs = st.lists(st.one_of(st.integers(-3, 3), st.integers(SMALLEST, LARGEST)), max_size=60)


def column_bytes(ints, usual=0, progression=False) -> int:
    writer = Writer()
    if progression:
        writer.progression(ints)
    else:
        writer.column(ints, usual)
    return len(writer.packed())


@given(longs, st.integers(-3, 3), longs, st.text())
def test_what_is_written_is_read(column, usual, progression, text):
    writer = Writer()
    writer.text(text)
    writer.column(np.array(column, np.int64), usual)
    writer.progression(np.array(progression, np.int64))
    writer.number(SMALLEST)
    reader = Reader(writer.packed())
    assert reader.text() == text
    assert reader.column(len(column)).tolist() == column
    assert reader.progression(len(progression)).tolist() == progression
    assert reader.number() == SMALLEST
    reader.end()


@given(st.integers(0, 20_000), st.integers(0, 10_000))
def test_long_columns_are_read(length, odd):
    column = np.full(length, 7)
    column[:odd] = 300
    writer = Writer()
    writer.column(column, usual=7)
    writer.words(np.arange(length, dtype=np.uint64))
    reader = Reader(writer.packed())
    assert np.array_equal(reader.column(length), column)
    assert np.array_equal(reader.words(length), np.arange(length))
    reader.end()


def test_zigzag():
    ints = np.array([0, -1, 1, -2, 2, LARGEST, SMALLEST])
    assert zigzag(ints).tolist() == [0, 1, 2, 3, 4, 2**64 - 2, 2**64 - 1]
    assert unzigzag(zigzag(ints)).tolist() == ints.tolist()


def test_regular_columns_are_a_few_bytes_however_long():
    even = np.arange(0, 10**9, 1000)
    assert column_bytes(even, progression=True) == column_bytes(even[:100_000], progression=True)
    assert column_bytes(even, progression=True) < 60
    assert column_bytes(np.full(10**6, 5), usual=5) < 60


def test_few_unusual_numbers_are_listed():
    column = np.zeros(10**6, np.int64)
    column[[5, 77_777, 999_999]] = [3, -2, 1]
    assert column_bytes(column) < 80


def test_limits():
    ints = np.array([3, 5])
    assert within(ints, 3, 5) is ints
    for low, high in ((4, 5), (3, 4)):
        with pytest.raises(ValueError, match=f"a number is not between {low} and {high}"):
            within(ints, low, high)
    with pytest.raises(ValueError, match="7 is not between 0 and 1"):
        numbers(7).number(0, 1)


def numbers(*values: int) -> Reader:
    writer = Writer()
    for value in values:
        writer.number(value)
    return Reader(writer.packed())


def test_a_listed_number_beyond_its_column_is_refused():
    writer = Writer()
    writer.column(np.array([0] * 99 + [1]), usual=0)
    with pytest.raises(ValueError, match="a number is not between 1 and 99"):
        Reader(writer.packed()).column(99)


def test_places_of_listed_numbers_that_add_up_beyond_the_column_are_refused():
    writer = Writer()
    for number in (0, 0, 2):  # the usual one; listed; so many
        writer.number(number)
    writer.words(np.array([60, 60], np.uint64))
    writer.words(np.array([2, 2], np.uint64))
    with pytest.raises(ValueError, match="a number is not between 0 and 99"):
        Reader(writer.packed()).column(100)


def test_a_text_longer_than_any_is_not_looked_for():
    with pytest.raises(ValueError, match="1099511627776 is not between 0 and 268435456"):
        numbers(2**40).text()


@pytest.mark.parametrize("values", [(), (1,), (1, 5000)])
def test_there_is_no_more(values):
    reader = numbers(*values)
    for value in values:
        assert reader.number() == value
    with pytest.raises(ValueError, match="8 bytes expected, 0 are there"):
        reader.number()
    with pytest.raises(ValueError, match="5000 bytes expected, none are there"):
        reader.raw(5000)


def test_a_large_section_of_another_size_is_refused():
    writer = Writer()
    writer.raw(b"x" * 5000)
    for size in (4999, 5001, 10**6):
        with pytest.raises(ValueError, match=f"not {size} bytes of zstd"):
            Reader(writer.packed()).raw(size)
