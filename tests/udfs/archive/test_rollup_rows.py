"""Rows of table `rollups`: what they say, and that a rollup comes back from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from tests.udfs.archive.plant import HOUR, batch, batches, catalogue, chunks_of
from udfs.archive.rollup_rows import EDGE, rollup_of, rollup_rows
from udfs.archive.rollups import roll_up
from udfs.archive.schemas import ROLLUPS_SCHEMA
from udfs.batch import Batch
from udfs.rollup import MinuteRollup


def one(*parts: Batch) -> MinuteRollup:
    return roll_up(chunks_of(parts))


@settings(max_examples=60, deadline=None)
@given(batches())
def test_there_and_back_to_the_bit(parts: list[Batch]) -> None:
    for chunk in chunks_of(parts):
        item = roll_up([chunk])
        rows = rollup_rows(item, catalogue(2))
        rows.validate(full=True)
        assert rows.schema == ROLLUPS_SCHEMA and len(rows) == len(item.count)
        if len(rows):
            got = rollup_of(rows[::-1], item.catalogue)
            assert got.same_as(replace(item, batches=0, epoch=0, traceparent=""))


def test_literal_rows() -> None:
    parts = [batch(0, 0, [3.0, 1.0], [1, 2], quality=[0, 2]), batch(1, 1000, [4.0], [1])]
    item = replace(one(*parts), revision=3, complete=False, missing=2**40)
    same = {
        "facility": "plant-1", "gateway": "gw-1", "unit": "°C", "revision": 3, "complete": False,
        "missing": 2**40, "source": "edge",
    }  # fmt: skip
    rows = rollup_rows(item, catalogue(), EDGE)
    assert rows["minute"].cast(pa.int64()).to_pylist() == [HOUR * 1000] * 2
    assert rows.drop_columns("minute").to_pylist() == [
        same | {
            "slot": 1, "sensor": "s1", "asset": "a1-1", "kind": "pressure", "count": 2,
            "sum": 7.0, "sum_sq": 25.0, "min": 3.0, "max": 4.0, "first": 3.0, "last": 4.0, "bad": 0,
        },
        same | {
            "slot": 2, "sensor": "s2", "asset": "a2-1", "kind": "temperature", "count": 0,
            "sum": 0.0, "sum_sq": 0.0, "min": None, "max": None, "first": None, "last": None,
            "bad": 1,
        },
    ]  # fmt: skip


def test_where_some_were_restated_the_highest_revision_speaks() -> None:
    item = replace(one(batch(0, 0, [3.0, 1.0])), complete=False, missing=1)
    restated = replace(item, revision=2, complete=True, missing=0, sum=np.array([9.0, 9.0]))
    old, new = (rollup_rows(each, catalogue()) for each in (item, restated))
    got = rollup_of(pa.concat_tables([new[1:], old[:1]]))
    assert (got.revision, got.complete, got.missing) == (2, True, 0)
    assert got.sum.tolist() == [3.0, 9.0]


def test_a_minute_of_nothing_has_no_rows() -> None:
    assert rollup_rows(one(batch(0, 0, [])), catalogue()).equals(ROLLUPS_SCHEMA.empty_table())


def test_rows_that_are_no_minute_are_refused() -> None:
    rows = rollup_rows(one(batch(0, 0, [1.0])), catalogue())
    later = rollup_rows(one(batch(0, 60_000, [1.0])), catalogue())
    edge = rollup_rows(one(batch(0, 0, [1.0])), catalogue(), EDGE)
    for wrong in ([rows[:0]], [rows, later], [rows, edge], [rows, rows]):
        with pytest.raises(ValueError, match="one gateway minute and one source"):
            rollup_of(pa.concat_tables(wrong))


def test_a_slot_that_the_catalogue_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="slot 7; catalogue plant-1/gw-1/1 has 5"):
        rollup_rows(one(batch(0, 0, [1.0], [7])), catalogue())
