"""Parts of sensor hours as one, what is sent twice, and which chunks are held."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.archive.plant import (
    HOUR,
    MINUTE,
    Reading,
    batch,
    batches,
    catalogue,
    chunks_of,
    readings_in,
    readings_of,
    same,
)
from udfs.archive.held import Held
from udfs.archive.hours import merge, sensor_hours
from udfs.archive.repeats import repeats
from udfs.batch import Batch

FEW = st.sampled_from([1.0, 1.5, -0.0, float("nan")])


def rows_of(parts: Sequence[Batch], part: int = 0, revision: int = 1) -> pa.Table:
    return sensor_hours(chunks_of(parts, revision), catalogue, part)


def expected(layers: Sequence[Sequence[Batch]]) -> list[Reading]:
    """The slow way: one layer after the other, what an earlier one has left out."""
    found: list[Reading] = []
    for layer in layers:
        there = set(found)
        found += [reading for reading in readings_of(layer) if reading not in there]
    return sorted(found, key=lambda reading: reading[:2])


@settings(max_examples=60, deadline=None)
@given(st.lists(batches(FEW), min_size=1, max_size=3), st.integers(1, 50))
def test_parts_are_merged_as_the_slow_way_does(layers: list[list[Batch]], readings: int) -> None:
    parts = [rows_of(layer, number) for number, layer in enumerate(layers)]
    with patch("udfs.archive.rows.SLICE_READINGS", readings):
        whole = merge(parts[::-1])  # the column decides, not the order of the tables
    assert readings_in(whole) == expected(layers)
    slots = whole["slot"].to_pylist()
    assert slots == sorted(set(slots)) and set(whole["part"].to_pylist()) <= {0}
    assert same(merge([whole]), whole)


@settings(max_examples=30, deadline=None)
@given(st.lists(batches(FEW), min_size=3, max_size=3))
def test_it_makes_no_difference_which_are_merged_first(layers: list[list[Batch]]) -> None:
    one, two, three = (rows_of(layer, number) for number, layer in enumerate(layers))
    whole = merge([one, two, three])
    assert same(merge([merge([one, two]), three]), whole)
    assert same(merge([one, merge([two, three], 1)]), whole)


@settings(max_examples=30, deadline=None)
@given(batches(FEW), batches(FEW))
def test_revisions_at_once_are_as_parts_merged(first: list[Batch], late: list[Batch]) -> None:
    chunks = chunks_of(first) + chunks_of(late, 2)
    whole = merge([rows_of(first), rows_of(late, 1, revision=2)])
    # rows do not tell their catalogue, nor what was held that had no reading
    names = [name for name in whole.column_names if name not in ("asset", "minutes")]
    assert same(sensor_hours(chunks, catalogue).select(names), whole.select(names))


def test_all_sensors_of_a_gateway_hour_say_what_it_holds() -> None:
    first = [batch(0, 0, [1.0, 2.0]), batch(1, MINUTE, [1.0, 2.0])]
    late = rows_of([batch(2, 1000, [9.0], [1])], 1, revision=2)
    whole = merge([rows_of(first), late])
    assert whole["minutes"].to_pylist() == [b"\2\1" + bytes(58)] * 2
    assert whole["readings"].to_pylist() == [2, 3]


def test_some_sensors_only_are_told_what_the_hour_holds() -> None:
    first = rows_of([batch(0, 0, [1.0, 2.0])])
    late = rows_of([batch(2, 1000, [9.0], [1])], 1, revision=2)
    held = Held.of(pa.concat_tables([first, late]))
    assert merge([first.slice(0, 1)], 3, held)["minutes"].to_pylist() == [b"\2" + bytes(59)]
    assert merge([first.slice(0, 1)], 3, held)["part"].to_pylist() == [3]


def test_several_hours_and_gateways_stay_apart() -> None:
    late = rows_of([batch(9, 3_600_000, [5.0])])
    rows = rows_of([batch(0, 0, [1.0, 2.0])])
    other = rows.set_column(1, rows.schema.field("gateway"), [["gw-0"] * 2])
    whole = merge([late, rows, other])
    hours = whole["hour"].cast(pa.int64()).to_numpy() // 1000 - HOUR
    keys = list(zip(whole["gateway"].to_pylist(), whole["slot"].to_pylist(), hours, strict=True))
    assert keys == [
        ("gw-0", 0, 0), ("gw-0", 1, 0), ("gw-1", 0, 0), ("gw-1", 0, 3_600_000), ("gw-1", 1, 0)
    ]  # fmt: skip


def test_a_sensor_is_what_its_last_part_says() -> None:
    parts = [rows_of([batch(0, 0, [1.0], version=v)], v) for v in (2, 1)]
    assert merge(parts)["asset"].to_pylist() == ["a0-2"]


def test_what_a_sensor_says_twice_in_one_part_is_kept() -> None:
    twice = [batch(0, 0, [7.0, 7.0], [0, 0])]
    once = [batch(1, 0, [7.0], [0])]
    assert merge([rows_of(twice), rows_of(once, 1)])["values"].to_pylist() == [[7, 7]]
    assert merge([rows_of(once), rows_of(twice, 1)])["values"].to_pylist() == [[7]]


def test_another_quality_is_another_reading() -> None:
    bad = [batch(0, 0, [7.0], [0], quality=[2])]
    whole = merge([rows_of([batch(0, 0, [7.0], [0])]), rows_of(bad, 1)])
    assert whole["values"].to_pylist() == [[7, 7]] and whole["qualities"].to_pylist() == [[0, 2]]


def test_repeats_are_those_of_a_lower_part_only() -> None:
    part, value = np.array([1, 0, 2, 1, 1]), np.array([5, 5, 6, 6, 6])
    assert repeats(part, value).tolist() == [True, False, True, False, False]
    assert repeats(part, value, np.arange(5)).tolist() == [False] * 5
    assert repeats(part[:0], value[:0]).tolist() == []


def test_which_chunks_are_held() -> None:
    late = rows_of([batch(1, MINUTE, [1.0])], 1, revision=3)
    held = Held.of(pa.concat_tables([rows_of([batch(0, 0, [1.0])]), late]))
    asked = [(0, 1), (0, 2), (1, 1), (1, 3), (1, 4), (2, 1), (60, 1)]
    found = [held.holds("plant-1", "gw-1", HOUR + m * MINUTE, revision) for m, revision in asked]
    assert found == [True, False, True, True, False, False, False]
    assert not held.holds("plant-1", "gw-2", HOUR, 1) and not Held().holds("plant-1", "gw-1", 0, 1)
