"""Merged files hold what the old ones held, value by value; a merge is done whole or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.lake.commit import commit
from jobs.lake.errors import LakeError
from jobs.lake.files import data_files, write_parquet
from jobs.lake.maintain import layout
from jobs.lake.maintain.merge import merge
from jobs.lake.maintain.work import Sizes
from jobs.lake.maintain.write import write
from jobs.lake.tables import CHUNKS, LEDGER, READINGS, ROLLUPS
from tests.lake.chunk_rows import chunk_rows
from tests.lake.maintain.plant import (
    DAY_MS,
    HOUR_MS,
    TABLES,
    Lake,
    changed,
    hold,
    hour_rows,
    minute_rows,
    ms,
    policy,
)

DAY = ms("2026-01-31")
# later than these tests run, for commits must be long ago; and nothing is past its time
LATER = "2126-01-01"
KEPT = policy(tables=dict.fromkeys(TABLES, "forever"))


def a_day(lake: Lake, facility: str = "plant-07") -> pa.Table:
    """24 hours in files of their own. Returns: its readings, one a row."""
    lake.add(READINGS, *(hour_rows(facility, DAY + hour * HOUR_MS) for hour in range(24)))
    return lake.readings()


def test_a_day_becomes_one_file_with_every_reading_in_it(lake: Lake) -> None:
    before = a_day(lake)
    (deed,) = merge(lake.work(LATER, KEPT))
    assert (deed.table, deed.facility, deed.files, deed.rows) == ("readings", "plant-07", 24, 240)
    assert len(before) == 24 * 60 * 10
    assert lake.readings().equals(before)
    (path,) = lake.files(READINGS)
    rows = pq.ParquetFile(path.removeprefix("file://")).read()
    assert rows.equals(rows.sort_by([(n, "ascending") for n in ("gateway", "slot", "hour")]))
    assert list(merge(lake.work(LATER, KEPT))) == []


def test_late_parts_become_one_with_the_first(lake: Lake) -> None:
    before = a_day(lake)
    late = hour_rows("plant-07", DAY + 5 * HOUR_MS, gateways=["gw-2"], slots=3)
    values = [[value + 1 for value in row] for row in late["values"].to_pylist()]
    late = changed(late, part=[1] * 3, minutes=[bytes([2] * 60)] * 3, values=values)
    first, *_ = merge(lake.work(LATER, KEPT))
    lake.add(READINGS, late)
    both = lake.readings()
    assert len(both) == len(before) + 180
    (deed,) = merge(lake.work(LATER, KEPT))
    assert (first.files, deed.files, deed.rows) == (24, 2, 243)
    assert lake.readings().equals(both)
    rows = lake.rows(READINGS)
    assert len(rows) == 240
    assert set(rows["part"].to_pylist()) == {0}
    of_late = rows.filter(pa.compute.equal(rows["readings"], 120))
    assert len(of_late) == 3
    # of the whole gateway hour: also the sensors that nothing came late of
    assert Counter(rows["minutes"].to_pylist()) == {bytes([1] * 60): 235, bytes([2] * 60): 5}


def test_large_days_become_several_files_without_a_sensor_hour_twice(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = layout._READINGS
    small = replace(usual, parquet=dict(usual.parquet) | {"row_group_rows": 128})
    monkeypatch.setitem(layout._LAYOUTS, "readings", small)
    a_day(lake)
    lake.add(READINGS, hour_rows("plant-07", DAY, ["gw-3"]))
    before = lake.readings()
    size = sum(file.file_size_in_bytes for file in data_files(lake.table(READINGS)))
    sizes = Sizes(least_bytes=size // 24, most_bytes=size // 2, settled_ms=0)
    (deed,) = merge(lake.work(LATER, KEPT, sizes=sizes))
    assert deed.why == "2026-01-31, into 3"
    assert len(lake.files(READINGS)) == 2  # a row group is 128 rows, of 245
    assert lake.readings().equals(before)
    assert list(merge(lake.work(LATER, KEPT, sizes=sizes))) == []


@pytest.mark.parametrize(("now", "due"), [("2026-02-01T05:59", False), ("2026-02-01T06:00", True)])
def test_a_day_is_merged_once_it_is_settled(lake: Lake, now: str, due: bool) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY), hour_rows("plant-07", DAY + HOUR_MS))
    lake.add(READINGS, hour_rows("plant-07", DAY + 2 * HOUR_MS))
    work = replace(lake.work(now), sizes=Sizes(settled_ms=6 * HOUR_MS))
    assert list(merge(work)) == []  # the commits are of now, which is later than that: not quiet
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.lake.maintain.merge_plan._is_quiet", lambda *_: True)
        assert len(list(merge(work))) == due


def test_a_day_with_chunks_waits_for_compaction(lake: Lake) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY))
    lake.add(READINGS, hour_rows("plant-07", DAY + HOUR_MS))
    lake.add(READINGS, hour_rows("plant-08", DAY))
    lake.add(READINGS, hour_rows("plant-08", DAY + HOUR_MS))
    lake.add(CHUNKS, chunk_rows([120]))
    assert [deed.facility for deed in merge(lake.work(LATER, KEPT))] == ["plant-08"]


def test_rollups_of_a_month_are_sorted_by_day_and_lose_what_is_superseded(lake: Lake) -> None:
    hours = [day + hour * HOUR_MS for day in (DAY - DAY_MS, DAY) for hour in range(12)]
    lake.add(ROLLUPS, *(minute_rows("plant-07", hour) for hour in hours))
    before = lake.rows(ROLLUPS)
    again = minute_rows("plant-07", DAY + 3 * HOUR_MS, 2, ["gw-2"], 1, revision=2, shift=8.0)
    lake.add(ROLLUPS, again)
    (deed,) = merge(lake.work(LATER, KEPT))
    assert (deed.files, deed.rows) == (25, len(before) + 2)
    after = lake.rows(ROLLUPS)
    assert len(after) == len(before)
    restated = pa.compute.equal(after["revision"], 2)
    assert after.filter(restated).equals(again.cast(after.schema))
    old = before.filter(pa.compute.invert(restated))
    assert after.filter(pa.compute.invert(restated)).equals(old)
    (path,) = lake.files(ROLLUPS)
    rows = pq.ParquetFile(path.removeprefix("file://")).read()
    days = pa.compute.floor_temporal(rows["minute"], unit="day")
    sorted_rows = rows.append_column("day", days).sort_by(
        [(n, "ascending") for n in ("day", "gateway", "slot", "minute")]
    )
    assert rows.equals(sorted_rows.drop_columns("day"))


def test_a_file_that_is_in_no_order_is_merged_as_well(lake: Lake) -> None:
    hours = [minute_rows("plant-07", DAY + hour * HOUR_MS) for hour in range(3)]
    lake.add(ROLLUPS, *(rows.sort_by([("minute", "descending")]) for rows in hours))
    before = lake.rows(ROLLUPS)
    assert [deed.files for deed in merge(lake.work(LATER, KEPT))] == [3]
    assert lake.rows(ROLLUPS).equals(before)


def test_few_small_files_wait_while_their_month_lasts(lake: Lake) -> None:
    start = ms("2026-03-10")
    lake.add(ROLLUPS, *(minute_rows("plant-07", start + n * HOUR_MS, 1) for n in range(23)))
    assert list(merge(lake.work("2026-03-20"))) == []
    lake.add(ROLLUPS, minute_rows("plant-07", start + 23 * HOUR_MS, 1))
    assert [deed.files for deed in merge(lake.work("2026-03-20"))] == [24]


def test_events_keep_their_rows(lake: Lake) -> None:
    table = lake.table(LEDGER)
    for second in range(3):
        row = {f.name: [_some(str(f.field_type))] for f in table.schema().fields if f.required}
        at = pa.array([DAY * 1000 + second * 1_000_000]).cast(pa.timestamp("us", "UTC"))
        row |= {"time": at, "received": at}
        row["body"] = [b"word %d" % second]
        arrow = pa.table(row)
        commit(table, [write_parquet(table, arrow, row_group_rows=10)])
    before = lake.rows(LEDGER)
    assert [deed.files for deed in merge(lake.work(LATER, KEPT))] == [3]
    assert lake.rows(LEDGER).equals(before)
    assert before["body"].to_pylist() == [b"word 0", b"word 1", b"word 2"]


def _some(kind: str) -> object:
    return {"string": "plant-07", "long": 1, "int": 1, "binary": b"", "timestamptz": None}[kind]


def test_a_dry_run_reads_and_writes_nothing(lake: Lake) -> None:
    a_day(lake)
    files, snapshot = lake.files(READINGS), lake.table(READINGS).metadata_location
    dry = list(merge(lake.work(LATER, KEPT, dry_run=True)))
    assert lake.files(READINGS) == files
    assert lake.table(READINGS).metadata_location == snapshot
    assert dry == list(merge(lake.work(LATER, KEPT)))


def test_files_that_somebody_replaced_meanwhile_are_put_off(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = a_day(lake)
    table = lake.table(READINGS)

    def slow(*args: object) -> object:
        made = write(*args)  # type: ignore[arg-type]
        commit(lake.table(READINGS), remove=data_files(table)[:1])
        return made

    monkeypatch.setattr("jobs.lake.maintain.merge.write", slow)
    (deed,) = merge(lake.work(LATER, KEPT))
    assert (deed.what, deed.files) == ("put off", 0)
    assert len(lake.readings()) == len(before) - 600
    assert len(lake.files(READINGS)) == 23


def test_a_crash_before_the_commit_leaves_the_table_as_it_was(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = a_day(lake)
    files = lake.files(READINGS)

    def crash(*_: object, **__: object) -> None:
        raise LakeError("gone")

    with monkeypatch.context() as patch, pytest.raises(LakeError, match="gone"):
        patch.setattr("jobs.lake.maintain.work.commit", crash)
        list(merge(lake.work(LATER, KEPT)))
    assert lake.files(READINGS) == files
    assert [deed.files for deed in merge(lake.work(LATER, KEPT))] == [24]
    assert lake.readings().equals(before)


def test_what_is_past_its_time_is_not_merged_before_it_is_dropped(lake: Lake) -> None:
    a_day(lake)
    assert list(merge(lake.work(LATER))) == []
    held = policy(holds=[hold("plant-07")])
    assert [deed.files for deed in merge(lake.work(LATER, held))] == [24]
