"""Columns cut into batches: nothing lost, in order, and admitted by the contract."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.plant import T0, catalogue
from udfs.batch import check
from udfs.trial.ticks import Columns, cut

SENSORS = catalogue(("flow",) * 4)

readings = st.lists(
    st.tuples(st.integers(0, 40_000), st.integers(0, 3), st.integers(0, 4)), max_size=60
)


def columns(rows: list[tuple[int, int, int]]) -> Columns:
    time, slot, quality = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    value = np.arange(len(rows), dtype=np.float64)
    return Columns(T0 + time, slot.astype(np.uint32), value, quality.astype(np.uint8))


@pytest.mark.parametrize("tick_ms", [1000, 10_000])
@given(rows=readings)
def test_every_reading_is_in_the_batch_of_its_tick(
    tick_ms: int, rows: list[tuple[int, int, int]]
) -> None:
    given_columns = columns(rows)
    batches = list(cut(given_columns, SENSORS, tick_ms, first=7))
    seen = []
    for number, batch in enumerate(batches):
        check(batch, "plant-1", len(SENSORS), T0 + 60_000)
        assert (batch.sequence, batch.time_ms % tick_ms) == (7 + number, 0)
        offset = np.zeros(len(batch), np.int64) + (
            0 if batch.offset_ms is None else batch.offset_ms
        )
        assert batch.quality is not None and (offset < tick_ms).all()
        time = batch.time_ms + offset - T0
        seen += list(zip(time, batch.slots(), batch.quality, batch.value, strict=True))
    times = [batch.time_ms for batch in batches]
    assert times == sorted(set(times))
    assert sorted(seen, key=lambda row: row[3]) == [(*row, i) for i, row in enumerate(rows)]


def test_the_usual_batch_has_values_only_and_copies_none() -> None:
    value = np.arange(8, dtype=np.float64)
    time = T0 + np.repeat([0, 1000], 4)
    first, second = cut(Columns(time, np.tile(np.arange(4, dtype=np.uint32), 2), value), SENSORS)
    assert (first.sensor, first.offset_ms, first.quality) == (None, None, None)
    assert second.time_ms == T0 + 1000 and np.shares_memory(second.value, value)


def test_no_readings_are_no_batches() -> None:
    assert list(cut(columns([]), SENSORS)) == []
