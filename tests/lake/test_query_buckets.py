"""Longer times from minutes, against the obvious way; rollups from chunks and from the table."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.lake.query.buckets import Buckets, from_minutes, from_prepared, joined, once
from jobs.lake.query.rollups import every_ms, finished, prepared
from jobs.lake.query.scope import QueryError
from udfs.archive.coarser import fold_minutes
from udfs.archive.schemas import ROLLUPS_SCHEMA

MINUTE_MS = 60_000

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["gw-1", "gw-2"]),
        st.integers(0, 2),
        st.integers(0, 20),
        st.sampled_from(["cloud", "edge"]),
        st.integers(0, 3),
        st.integers(-4, 4),
        st.booleans(),
    ),
    unique_by=lambda row: row[:3],
    max_size=40,
)


def table(rows: list[Any]) -> pa.Table:
    """Rollups of whole numbers, whose sums are exact in any order."""
    made = []
    for gateway, slot, minute, source, count, value, complete in rows:
        none = count == 0
        made.append({
            "facility": "plant-07", "gateway": gateway, "slot": slot, "sensor": f"s{slot}",
            "asset": "a", "kind": "flow", "unit": "m3/h", "minute": minute * MINUTE_MS * 1000,
            "revision": 1 + count, "complete": complete, "missing": int(not complete),
            "source": source, "count": count, "sum": float(count * value),
            "sum_sq": float(count * value * value), "min": None if none else value - 1.0,
            "max": None if none else value + 1.0, "first": None if none else value - 0.5,
            "last": None if none else value + 0.5, "bad": slot,
        })  # fmt: skip
    return pa.Table.from_pylist(made, schema=ROLLUPS_SCHEMA)


def slowly(rows: list[Any], minutes: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The obvious way: a dictionary of lists."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        groups.setdefault((row[0], row[1], row[2] // minutes * minutes), []).append(row)
    found = {}
    for key, some in groups.items():
        values = sorted((r[2], r[5]) for r in some if r[4])
        count = sum(r[4] for r in some)
        total = sum(r[4] * r[5] for r in some)
        found[key] = {
            "count": count, "sum": total, "sum_sq": sum(r[4] * r[5] ** 2 for r in some),
            "mean": total / count if count else None,
            "min": min(v for _, v in values) - 1 if values else None,
            "max": max(v for _, v in values) + 1 if values else None,
            "bad": sum(r[1] for r in some), "minutes": len(some),
            "edge": sum(r[3] == "edge" for r in some),
            "complete": all(r[6] for r in some) and len(some) == minutes,
            "missing": sum(not r[6] for r in some), "revision": max(1 + r[4] for r in some),
            "first": values[0][1] - 0.5 if values else None,
            "last": values[-1][1] + 0.5 if values else None,
        }  # fmt: skip
    return found


@given(rows=ROWS, minutes=st.sampled_from([2, 5, 7, 30]), cuts=st.lists(st.integers(0, 40)))
@settings(deadline=None, max_examples=60)
def test_the_same_as_the_obvious_way_however_rows_come(
    rows: list[Any], minutes: int, cuts: list[int]
) -> None:
    buckets, ends = Buckets(minutes * MINUTE_MS), sorted({0, *cuts, len(rows)})
    for low, high in pairwise(ends):
        buckets.add(joined(from_minutes(table(rows[low:high]), minutes * MINUTE_MS)))
    found = finished(buckets.take(10**15), minutes * MINUTE_MS).to_pylist()
    wanted = slowly(rows, minutes)
    keys = [(r["gateway"], r["slot"], int(r["time"].timestamp()) // 60) for r in found]
    assert keys == sorted(wanted)
    for key, row in zip(keys, found, strict=True):
        assert {name: row[name] for name in wanted[key]} == wanted[key]
        assert (row["sensor"], row["unit"]) == (f"s{row['slot']}", "m3/h")


def test_what_is_over_is_given_at_once_and_the_rest_stays() -> None:
    buckets = Buckets(5 * MINUTE_MS)
    rows = [("gw-1", 0, minute, "cloud", 1, minute, True) for minute in range(8)]
    buckets.add(joined(from_minutes(table(rows), 5 * MINUTE_MS)))
    first = buckets.take(8 * MINUTE_MS)
    assert first["sum"].to_pylist() == [0 + 1 + 2 + 3 + 4]
    assert len(buckets.take(9 * MINUTE_MS)) == 0
    buckets.add(joined(from_minutes(table([("gw-1", 0, 9, "cloud", 1, 9, True)]), 5 * MINUTE_MS)))
    assert buckets.take(10 * MINUTE_MS)["sum"].to_pylist() == [5 + 6 + 7 + 9]
    assert len(buckets.take(10**15)) == 0


def test_numbers_that_are_no_readings_stay_out() -> None:
    """A minute of bad readings only has sums of 0, and no minimum."""
    rows = [("gw-1", 1, 0, "cloud", 0, 3, True), ("gw-1", 1, 1, "cloud", 0, 3, True)]
    (row,) = finished(joined(from_minutes(table(rows), 5 * MINUTE_MS)), 5 * MINUTE_MS).to_pylist()
    assert (row["count"], row["bad"], row["sum"]) == (0, 2, 0)
    assert [row[name] for name in ("mean", "min", "max", "first", "last")] == [None] * 5
    as_nan = table(rows).to_pylist()
    for each in as_nan:  # as a writer in another language may say it
        each.update(dict.fromkeys(("min", "max", "first", "last"), math.nan))
    rows_nan = pa.Table.from_pylist(as_nan, schema=ROLLUPS_SCHEMA)
    as_read = joined(from_minutes(rows_nan, 5 * MINUTE_MS))
    assert finished(as_read, 5 * MINUTE_MS).to_pylist() == [row]


def test_a_minute_of_cloud_and_edge_is_one_minute() -> None:
    rows = [("gw-1", 0, 0, "cloud", 1, 3, True), ("gw-1", 0, 0, "edge", 2, 4, True)]
    rows += [("gw-1", 0, 1, "edge", 1, 5, True), ("gw-1", 1, 1, "edge", 1, 5, True)]
    made = joined(once(from_minutes(table(rows), 2 * MINUTE_MS)))
    both, other = finished(made, 2 * MINUTE_MS).to_pylist()
    assert (both["minutes"], both["edge"], both["count"], both["complete"]) == (2, 2, 4, True)
    assert (other["minutes"], other["edge"], other["complete"]) == (1, 1, False)


def test_prepared_hours_are_what_their_minutes_are() -> None:
    """Both are made of the same rows, one way here, the other by the maintenance."""
    rows = [("gw-1", slot, minute, "cloud", slot, minute % 5, True) for slot in (0, 1, 2)
            for minute in range(130) if minute != 77]  # fmt: skip
    kept = fold_minutes(table(rows))
    names = ("sum", "count", "mean", "min", "max", "first", "last", "minutes", "complete", "time")
    for hours in (1, 3):
        step_ms = hours * 60 * MINUTE_MS
        here = finished(joined(once(from_minutes(table(rows), step_ms))), step_ms)
        there = finished(joined(from_prepared(kept, step_ms)), step_ms)
        assert here.select(names).to_pylist() == there.select(names).to_pylist()
    hours = finished(joined(from_prepared(kept, 60 * MINUTE_MS)), 60 * MINUTE_MS)
    assert hours["complete"].to_pylist() == [True, False, False] * 3
    with pytest.raises(QueryError, match="only hours and days are prepared"):
        prepared(90 * MINUTE_MS)
    assert prepared(3 * 3_600_000).name == "rollups_hour"
    assert prepared(2 * 86_400_000).name == "rollups_day"


def test_how_long_a_time_is() -> None:
    assert [every_ms(text) // MINUTE_MS for text in ("1m", "15m", "1h", "6h", "1d")] == [
        1, 15, 60, 360, 1440,
    ]  # fmt: skip
    for text in ("", "0m", "1s", "1.5h", "h", "1w", "-1m"):
        with pytest.raises(QueryError, match="is no whole number of minutes: write 1m, 15m"):
            every_ms(text)
    assert np.isfinite(every_ms("9999d"))
