"""A row a reading: the same from rows and from chunks, and only of the time that was asked for."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.archive.plant import (
    HOUR,
    MINUTE,
    batch,
    batches,
    catalogue,
    chunks_of,
    exploded,
    readings_of,
    same,
)
from udfs.archive.chunk import collect
from udfs.archive.explode import explode, explode_chunks
from udfs.archive.hours import sensor_hours
from udfs.archive.schemas import EXPLODED_SCHEMA, READINGS_SCHEMA
from udfs.batch import Batch


@settings(max_examples=40, deadline=None)
@given(batches(), batches())
def test_chunks_and_rows_give_the_same(first: list[Batch], late: list[Batch]) -> None:
    for chunks in (chunks_of(first), chunks_of(first) + chunks_of(late, 2)):
        table = explode(sensor_hours(chunks, catalogue))
        table.validate(full=True)
        assert table.schema == EXPLODED_SCHEMA
        assert same(explode_chunks(chunks[::-1], catalogue), table)


@settings(max_examples=60, deadline=None)
@given(batches(), *[st.none() | st.integers(-5, 6 * 60).map(lambda s: HOUR + s * 1000)] * 2)
def test_a_time_is_from_then_to_before_then(
    parts: list[Batch], since: int | None, until: int | None
) -> None:
    wanted = [
        reading
        for reading in readings_of(parts)
        if (since is None or reading[1] >= since) and (until is None or reading[1] < until)
    ]
    chunks = chunks_of(parts)
    assert exploded(explode(sensor_hours(chunks, catalogue), since, until)) == wanted
    assert exploded(explode_chunks(chunks, catalogue, since, until)) == wanted


def test_since_is_in_and_until_is_not() -> None:
    chunks = chunks_of([batch(n, n * 30_000, [float(n)]) for n in range(6)])
    ends = (HOUR + 30_000, HOUR + 120_000)
    for table in (
        explode(sensor_hours(chunks, catalogue), *ends),
        explode_chunks(chunks, catalogue, *ends),
    ):
        assert table["value"].to_pylist() == [1.0, 2.0, 3.0]


def test_a_literal_table() -> None:
    parts = [batch(0, 5, [1.25, 2.0], quality=[0, 2]), batch(1, 1005, [1.5], [0])]
    table = explode(sensor_hours(chunks_of(parts), catalogue))
    assert table.column_names == [
        "facility", "gateway", "slot", "sensor", "asset", "kind", "unit", "time", "value", "quality"
    ]  # fmt: skip
    assert table["time"].cast(pa.int64()).to_pylist() == [HOUR + 5, HOUR + 1005, HOUR + 5]
    rows = [list(row.values()) for row in table.drop_columns("time").to_pylist()]
    assert rows == [
        ["plant-1", "gw-1", 0, "s0", "a0-1", "temperature", "°C", 1.25, 0],
        ["plant-1", "gw-1", 0, "s0", "a0-1", "temperature", "°C", 1.5, 0],
        ["plant-1", "gw-1", 1, "s1", "a1-1", "pressure", "°C", 2.0, 2],
    ]


def test_rows_that_were_filtered_sliced_and_put_together() -> None:
    odd = [batch(0, 0, [1.5, 1 / 3, 2.0], [0, 1, 2], [0, 7, 0], [0, 2, 0])]
    odd += [batch(1, 100, [2.5, 0.25, 3.0], [0, 1, 2]), batch(2, 300, [9.0], [2])]
    rows = sensor_hours(chunks_of(odd), catalogue)
    whole = exploded(explode(rows))
    assert whole == readings_of(odd)
    for slot in range(3):
        mine = [reading for reading in whole if reading[0] == slot]
        assert exploded(explode(rows.slice(slot, 1))) == mine
        assert exploded(explode(rows.filter(pc.field("slot") == slot))) == mine
    apart = pa.concat_tables([rows.slice(2), rows.slice(0, 2), READINGS_SCHEMA.empty_table()])
    assert sorted(exploded(explode(apart))) == sorted(whole)


def test_chunks_of_several_hours() -> None:
    parts = [batch(1, 3_600_000, [2.0]), batch(0, 59 * MINUTE, [1.0])]
    table = explode_chunks(chunks_of(parts), catalogue)
    assert table["value"].to_pylist() == [1.0, 2.0]


def test_nothing_is_a_table_without_rows() -> None:
    assert explode(READINGS_SCHEMA.empty_table()).equals(EXPLODED_SCHEMA.empty_table())
    assert explode_chunks([], catalogue).equals(EXPLODED_SCHEMA.empty_table())


def test_chunks_of_two_gateways_are_refused() -> None:
    chunks = [collect("plant-1", gateway, HOUR, 1, True, 0, []) for gateway in ("gw-1", "gw-2")]
    with pytest.raises(ValueError, match="several gateways"):
        explode_chunks(chunks, catalogue)
