"""Sensor hours: every reading comes back bit for bit, and rows say no more than is needed."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.archive.plant import (
    HOUR,
    batch,
    batches,
    catalogue,
    chunks_of,
    readings_in,
    readings_of,
    same,
)
from udfs.archive.chunk import collect
from udfs.archive.hours import sensor_hours
from udfs.archive.schemas import READINGS_SCHEMA
from udfs.batch import Batch


def rows_of(parts: Sequence[Batch], part: int = 0) -> pa.Table:
    return sensor_hours(chunks_of(parts), catalogue, part)


def only_row(parts: Sequence[Batch]) -> dict[str, object]:
    (row,) = rows_of(parts).to_pylist()
    return row


@settings(max_examples=60, deadline=None)
@given(batches())
def test_every_reading_comes_back_bit_for_bit(parts: list[Batch]) -> None:
    rows = rows_of(parts)
    rows.validate(full=True)
    assert rows.schema == READINGS_SCHEMA
    assert readings_in(rows) == readings_of(parts)
    assert rows["slot"].to_pylist() == sorted(set(rows["slot"].to_pylist()))
    assert sum(rows["readings"].to_pylist()) == sum(map(len, parts))


@settings(max_examples=20, deadline=None)
@given(batches())
def test_also_through_a_parquet_file(parts: list[Batch]) -> None:
    sink = pa.BufferOutputStream()
    delta = {"values.list.element": "DELTA_BINARY_PACKED"}
    rows = rows_of(parts)
    pq.write_table(rows, sink, use_dictionary=["sensor"], column_encoding=delta, row_group_size=2)
    again = pq.read_table(pa.BufferReader(sink.getvalue()))
    assert same(again, rows) and readings_in(again) == readings_of(parts)


@settings(max_examples=25, deadline=None)
@given(batches(), st.integers(1, 9))
def test_how_it_is_sliced_makes_no_difference(parts: list[Batch], readings: int) -> None:
    whole = rows_of(parts)
    with patch("udfs.archive.rows.SLICE_READINGS", readings):
        assert same(rows_of(parts), whole)
        assert readings_in(whole) == readings_of(parts)


@settings(max_examples=20, deadline=None)
@given(batches(), st.randoms())
def test_the_order_of_chunks_makes_no_difference(parts: list[Batch], rnd: object) -> None:
    chunks = chunks_of(parts)
    rnd.shuffle(chunks)  # type: ignore[attr-defined]
    assert same(sensor_hours(chunks, catalogue), rows_of(parts))


def test_a_literal_hour() -> None:
    second = 59 * 60_000
    parts = [batch(n, second + n * 1000, [20 + n / 10, 0.125]) for n in range(3)]
    assert rows_of(parts, 7).to_pylist() == [
        {
            "facility": "plant-1", "gateway": "gw-1", "slot": slot, "sensor": f"s{slot}",
            "asset": f"a{slot}-1", "kind": kind, "unit": "°C",
            "hour": rows_of(parts)["hour"][0].as_py(), "part": 7,
            "minutes": bytes(59) + b"\1", "readings": 3, "first_ms": second, "step_ms": 1000,
            "times_ms": None, "scale": scale, "values": values, "doubles": None,
            "qualities": None,
        }
        for slot, kind, scale, values in (
            (0, "temperature", 1, [200, 201, 202]), (1, "pressure", 3, [125, 125, 125])
        )
    ]  # fmt: skip
    assert rows_of(parts)["hour"].cast(pa.int64())[0].as_py() == HOUR * 1000


def test_uneven_times_are_listed() -> None:
    row = only_row([batch(0, 0, [1, 2, 3], [0, 0, 0], [0, 10, 21])])
    assert (row["first_ms"], row["step_ms"], row["times_ms"]) == (0, None, [0, 10, 21])


def test_even_times_of_any_step_are_not() -> None:
    row = only_row([batch(0, 5, [1, 2, 3], [0, 0, 0], [0, 20, 40])])
    assert (row["first_ms"], row["step_ms"], row["times_ms"]) == (5, 20, None)
    assert only_row([batch(0, 5, [1.0])])["step_ms"] == 0
    assert only_row([batch(0, 5, [1, 2], [0, 0])])["step_ms"] == 0


@pytest.mark.parametrize("odd", [-0.0, float("nan"), 1 / 3, 2.0**31])
def test_what_is_no_small_decimal_is_kept_as_doubles(odd: float) -> None:
    row = only_row([batch(0, 0, [1.5, odd], [0, 0], [0, 1])])
    assert (row["scale"], row["values"]) == (None, None)
    assert np.array(row["doubles"]).tobytes() == np.array([1.5, odd]).tobytes()


def test_whole_numbers_of_32_bits_are_decimals() -> None:
    row = only_row([batch(0, 0, [2.0**31 - 1, 1 - 2.0**31], [0, 0], [0, 1])])
    assert (row["scale"], row["values"]) == (0, [2**31 - 1, 1 - 2**31])


def test_qualities_are_listed_where_one_is_not_good() -> None:
    rows = rows_of([batch(0, 0, [1, 2], quality=[0, 2]), batch(1, 1000, [1, 2])])
    assert rows["qualities"].to_pylist() == [None, [2, 0]]


def test_batches_whose_times_overlap_are_put_in_the_order_of_time() -> None:
    parts = [batch(0, 0, [1, 2], [0, 0], [0, 900]), batch(1, 500, [3, 4], [0, 0], [0, 400])]
    row = only_row(parts)
    assert (row["times_ms"], row["values"]) == ([0, 500, 900, 900], [1, 3, 2, 4])


def test_a_sensor_is_what_the_newest_catalogue_of_its_readings_says() -> None:
    parts = [batch(0, 0, [1, 2], version=1), batch(1, 1000, [3], [1], version=2)]
    assert rows_of(parts)["asset"].to_pylist() == ["a0-1", "a1-2"]


def test_a_later_revision_adds_what_is_not_there_yet() -> None:
    first = [batch(0, 0, [1.5, 2]), batch(2, 2000, [3.5, 4])]
    late = [batch(0, 0, [1.5], [0]), batch(1, 1000, [2.5], [0]), batch(3, 2000, [9.0], [0])]
    chunks = chunks_of(first) + chunks_of(late, 3)
    rows = sensor_hours(chunks[::-1], catalogue)
    assert rows["values"].to_pylist() == [[15, 25, 35, 90], [2, 4]]
    assert rows["minutes"].to_pylist() == [b"\3" + bytes(59)] * 2
    assert rows["first_ms"].to_pylist() == [0, 0] and rows["part"].to_pylist() == [0, 0]


def test_a_revision_without_readings_is_noted_too() -> None:
    chunks = chunks_of([batch(0, 0, [1.0])]) + chunks_of([batch(1, 60_000, [])], 4)
    assert sensor_hours(chunks, catalogue)["minutes"].to_pylist() == [b"\1\4" + bytes(58)]


def test_no_readings_no_rows() -> None:
    assert sensor_hours([], catalogue).equals(READINGS_SCHEMA.empty_table())
    assert len(rows_of([batch(0, 0, [])])) == 0


def test_chunks_of_two_hours_are_refused() -> None:
    chunks = chunks_of([batch(0, 0, [1.0]), batch(1, 3_600_000, [1.0])])
    with pytest.raises(ValueError, match="several gateway hours"):
        sensor_hours(chunks, catalogue)
    with pytest.raises(ValueError, match="several gateway hours"):
        sensor_hours([chunks[0], collect("plant-1", "gw-2", HOUR, 1, True, 0, [])], catalogue)


def test_a_slot_that_the_catalogue_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="plant-1/gw-1: a slot that its catalogue has not"):
        rows_of([batch(0, 0, [1.0], [5])])


def test_the_same_chunk_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="there twice"):
        sensor_hours(chunks_of([batch(0, 0, [1.0])]) * 2, catalogue)


def test_a_revision_that_has_no_place_in_a_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="revision 256 of minute"):
        sensor_hours(chunks_of([batch(0, 0, [1.0])], 256), catalogue)
