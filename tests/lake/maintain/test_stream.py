"""A stream of files is what sorting all of their rows at once gives, and no sensor is cut."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.lake.maintain.stream import SENSOR, Window, stream
from jobs.lake.tables import ROLLUPS
from tests.lake.maintain.plant import HOUR_MS, Lake, minute_rows, ms

DAY = ms("2026-01-31")
ORDER = ("gateway", "slot", "minute")
KEYS = [(name, "ascending") for name in ORDER]


def spread(lake: Lake, seed: int, files: int, shuffled: bool) -> pa.Table:
    """Rows of 200 minutes of 24 sensors, dealt out to files. Returns: all, sorted."""
    rows = minute_rows("plant-07", DAY, 200, [f"gw-{n}" for n in range(4)], 6)
    random = np.random.default_rng(seed)
    # some sensors in one file only, others in all
    weight = random.integers(0, files, 24)[np.arange(len(rows)) // 200]
    which = np.where(random.random(len(rows)) < 0.5, weight, random.integers(0, files, len(rows)))
    parts = [rows.filter(pa.array(which == n)) for n in range(files)]
    if shuffled:
        parts[0] = parts[0].take(pa.array(random.permutation(len(parts[0]))))
    lake.add(ROLLUPS, *parts, group=150)
    return rows.sort_by(KEYS)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_streamed_is_sorted(lake: Lake, seed: int, size: int) -> None:
    rows = spread(lake, seed, 2 + seed, shuffled=seed % 2 == 1)
    table = lake.table(ROLLUPS)
    parts = list(stream(table, lake.files(ROLLUPS), ORDER, rows=size))
    assert pa.concat_tables(parts).select(rows.column_names).cast(rows.schema).equals(rows)
    sensors = [
        set(map(tuple, zip(*(part[n].to_pylist() for n in SENSOR), strict=True))) for part in parts
    ]
    assert sum(map(len, sensors)) == len(set.union(*sensors)) == 24
    if size == 1:
        assert len(parts) > 5  # bounded: not all at once


def test_a_window_reads_only_row_groups_that_meet_it(lake: Lake) -> None:
    rows = [minute_rows("plant-07", DAY + n * HOUR_MS, 60, ["gw-1"], 1) for n in range(4)]
    lake.add(ROLLUPS, pa.concat_tables(rows), group=60)
    (path,) = lake.files(ROLLUPS)
    window = Window("minute", DAY + 90 * 60_000, DAY + 2 * HOUR_MS)
    (found,) = stream(lake.table(ROLLUPS), [path], ORDER, window)
    assert found["minute"].to_pylist() == rows[1]["minute"].to_pylist()[30:]
    file = pq.ParquetFile(path.removeprefix("file://"))
    assert window.row_groups(file) == [1]
    assert Window("minute", DAY - HOUR_MS, DAY).row_groups(file) == []
    assert list(stream(lake.table(ROLLUPS), [path], ORDER, Window("minute", 0, DAY))) == []
