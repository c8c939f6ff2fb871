"""Hours and days are what a plain loop over the minutes gives, also after late minutes came."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.lake.commit import commit
from jobs.lake.errors import LakeError
from jobs.lake.files import data_files, write_parquet
from jobs.lake.maintain.coarser import coarser
from jobs.lake.maintain.expire import expire
from jobs.lake.maintain.marks import load_mark
from jobs.lake.maintain.merge import merge
from jobs.lake.tables import ROLLUPS, ROLLUPS_DAY, ROLLUPS_HOUR
from tests.lake.maintain.plant import DAY_MS, HOUR_MS, Lake, changed, minute_rows, ms, policy
from udfs.archive.coarser import fold_hours, fold_minutes

DAY = ms("2026-01-31")
SHARED = ("sum", "sum_sq", "count", "bad")


def slowly(rows: pa.Table, unit_ms: int, whole: int, column: str) -> list[dict[str, Any]]:
    """The same by a loop over plain rows in order of time."""
    groups = defaultdict(list)
    for row in rows.to_pylist():
        start = int(row[column].timestamp() * 1000) // unit_ms * unit_ms
        groups[row["facility"], row["gateway"], row["slot"], start].append(row)
    found = []
    for (facility, gateway, slot, start), some in sorted(groups.items()):
        has = [row for row in some if row["count"]]
        made = {n: some[-1][n] for n in ("sensor", "asset", "kind", "unit")}
        made |= {"facility": facility, "gateway": gateway, "slot": slot, "time": start}
        made |= {name: sum(row[name] for row in some) for name in SHARED}
        made["min"] = min((row["min"] for row in has), default=None)
        made["max"] = max((row["max"] for row in has), default=None)
        made["first"] = has[0]["first"] if has else None
        made["last"] = has[-1]["last"] if has else None
        times = {row[column] for row in some}
        made["minutes"] = sum(row["minutes"] for row in some) if column == "time" else len(times)
        made["complete"] = all(row["complete"] for row in some) and len(times) == whole
        found.append(made)
    return found


def plain(rows: pa.Table) -> list[dict[str, Any]]:
    keys = [(name, "ascending") for name in ("facility", "gateway", "slot", "time")]
    found = rows.sort_by(keys).to_pylist()
    return [row | {"time": int(row["time"].timestamp() * 1000)} for row in found]


def same(lake: Lake) -> bool:
    """Whether hours are those of the minutes there are, and days those of the hours."""
    hours = lake.rows(ROLLUPS_HOUR)
    assert plain(hours) == slowly(lake.rows(ROLLUPS), HOUR_MS, 60, "minute")
    assert plain(lake.rows(ROLLUPS_DAY)) == slowly(hours, DAY_MS, 24, "time")
    return True


def test_hours_and_days_are_the_sums_of_their_minutes(lake: Lake) -> None:
    lake.add(ROLLUPS, *(minute_rows("plant-07", DAY + n * HOUR_MS, slots=2) for n in range(24)))
    lake.add(ROLLUPS, minute_rows("plant-08", DAY, 59))
    deeds = list(coarser(lake.work("2026-02-01")))
    assert [(d.table, d.facility, d.what, d.files, d.rows) for d in deeds] == [
        ("rollups_hour", "plant-07", "24 hours", 1, 96),
        ("rollups_hour", "plant-08", "1 hours", 1, 10),
        ("rollups_day", "plant-07", "1 days", 1, 4),
        ("rollups_day", "plant-08", "1 days", 1, 10),
    ]
    assert same(lake)
    days = lake.rows(ROLLUPS_DAY)
    assert days["complete"].to_pylist() == [True] * 4 + [False] * 10
    assert days["minutes"].to_pylist() == [1440] * 4 + [59] * 10
    # by hand: slot 0 has 1 + m % 5 readings of m / 4 in minute m, and none where m % 7 is 3
    first = lake.rows(ROLLUPS_HOUR).slice(0, 1).to_pylist()[0]
    counts = [0 if m % 7 == 3 else 1 + m % 5 for m in range(60)]
    assert first["count"] == sum(counts) == 152
    assert first["sum"] == sum(c * m / 4 for m, c in enumerate(counts))
    ends = [first[name] for name in ("min", "max", "first", "last")]
    assert ends == [-1, 15.5, -0.5, 15]  # of minutes 0 and 58


def test_only_what_is_over_is_made_and_what_was_not_over_then_is_made_later(lake: Lake) -> None:
    lake.add(ROLLUPS, minute_rows("plant-07", DAY), minute_rows("plant-07", DAY + HOUR_MS, 30))
    deeds = list(coarser(lake.work("2026-01-31T01:59")))
    assert [deed.what for deed in deeds] == ["1 hours"]
    # nothing came for it: its end alone is why it is due
    assert [deed.what for deed in coarser(lake.work("2026-01-31T02:00"))] == ["1 hours"]
    assert [deed.what for deed in coarser(lake.work("2026-01-31T23:59"))] == []
    assert [deed.what for deed in coarser(lake.work("2026-02-01"))] == ["1 days"]
    assert same(lake)
    assert list(coarser(lake.work("2026-02-02"))) == []


def test_restated_minutes_are_in_the_hour_and_the_day_and_nothing_else_is_made_again(
    lake: Lake,
) -> None:
    lake.add(ROLLUPS, *(minute_rows("plant-07", DAY + n * HOUR_MS) for n in range(24)))
    list(coarser(lake.work("2026-02-03")))
    list(merge(lake.work("2026-03-03")))
    assert list(coarser(lake.work("2026-03-03"))) == []  # a merge is no change
    table = lake.table(ROLLUPS)
    rows = lake.rows(ROLLUPS)
    late = pc.equal(rows["minute"], pc.min(rows["minute"]))
    twice = [
        n + 1 if hit else n
        for n, hit in zip(rows["revision"].to_pylist(), late.to_pylist(), strict=True)
    ]
    more = [
        x + 4.0 if hit else x
        for x, hit in zip(rows["sum"].to_pylist(), late.to_pylist(), strict=True)
    ]
    commit(
        table,
        [write_parquet(table, changed(rows, revision=twice, sum=more), row_group_rows=1000)],
        data_files(table),
    )
    deeds = list(coarser(lake.work("2026-03-03T01:00")))
    assert [(d.table, d.what) for d in deeds] == [
        ("rollups_hour", "1 hours"),
        ("rollups_day", "1 days"),
    ]
    assert same(lake)


def test_a_minute_that_comes_late_is_added_to_a_merged_file(lake: Lake) -> None:
    lake.add(ROLLUPS, minute_rows("plant-07", DAY, 50), minute_rows("plant-07", DAY + HOUR_MS))
    list(coarser(lake.work("2026-02-03")))
    lake.add(ROLLUPS, minute_rows("plant-07", DAY + 50 * 60_000, 10, ["gw-2"], 2))
    assert [deed.what for deed in coarser(lake.work("2026-02-03"))] == ["1 hours", "1 days"]
    assert same(lake)
    assert lake.rows(ROLLUPS_HOUR)["complete"].to_pylist().count(True) == 12


def test_what_a_gateway_rolled_up_itself_is_added(lake: Lake) -> None:
    cloud = minute_rows("plant-07", DAY, complete=False)
    lake.add(
        ROLLUPS, cloud, minute_rows("plant-07", DAY, 20, ["gw-1"], 1, shift=0.25, source="edge")
    )
    list(coarser(lake.work("2026-02-03")))
    assert same(lake)
    hour = lake.rows(ROLLUPS_HOUR).slice(0, 1).to_pylist()[0]
    assert (hour["minutes"], hour["complete"]) == (60, False)


def test_hours_whose_minutes_are_past_stay_as_they_are(lake: Lake) -> None:
    rules = policy(tables={"rollups": "30d"})
    lake.add(ROLLUPS, minute_rows("plant-07", DAY), minute_rows("plant-07", DAY + HOUR_MS))
    list(coarser(lake.work("2026-02-03", rules)))
    before = lake.rows(ROLLUPS_HOUR)
    table = lake.table(ROLLUPS)
    commit(table, remove=data_files(table))  # as the step drop does
    assert list(coarser(lake.work("2026-04-01", rules))) == []
    lake.add(ROLLUPS, minute_rows("plant-07", DAY, 1))  # came too late by months
    assert list(coarser(lake.work("2026-04-01", rules))) == []
    assert lake.rows(ROLLUPS_HOUR).equals(before)


def test_a_round_without_time_goes_on_where_it_ended(lake: Lake) -> None:
    for name in ("a", "b", "c"):
        lake.add(ROLLUPS, minute_rows(f"plant-{name}", DAY))
    ticks = iter(range(100))
    work = lake.work("2026-02-03", clock=lambda: float(next(ticks)), limit_s=2.5)
    assert [deed.facility for deed in coarser(work)] == ["plant-a", "plant-b"]
    mark = load_mark(lake.table(ROLLUPS_HOUR))
    assert (mark.made, mark.through) == (None, ("plant-b", 672))
    again = [(d.table, d.facility) for d in coarser(lake.work("2026-02-03"))]
    assert again[0] == ("rollups_hour", "plant-c")
    assert [facility for name, facility in again if name == "rollups_day"] == [
        "plant-a",
        "plant-b",
        "plant-c",
    ]
    assert same(lake)


def test_a_crash_before_the_mark_only_makes_the_same_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.add(ROLLUPS, minute_rows("plant-07", DAY))

    def crash(*_: object) -> None:
        raise LakeError("gone")

    with monkeypatch.context() as patch, pytest.raises(LakeError, match="gone"):
        patch.setattr("jobs.lake.maintain.coarser.save_mark", crash)
        list(coarser(lake.work("2026-02-03")))
    assert len(lake.rows(ROLLUPS_HOUR)) == 10
    list(coarser(lake.work("2026-02-03")))
    assert same(lake)
    assert len(lake.files(ROLLUPS_HOUR)) == 1


def test_a_lost_mark_makes_everything_anew(lake: Lake) -> None:
    lake.add(ROLLUPS, minute_rows("plant-07", DAY))
    list(coarser(lake.work("2026-02-03")))
    made = load_mark(lake.table(ROLLUPS_HOUR)).made
    lake.add(ROLLUPS, minute_rows("plant-07", DAY + HOUR_MS))
    list(expire(lake.work("2027-02-03")))
    assert lake.table(ROLLUPS).snapshot_by_id(made or 0) is not None  # the step expire knows of it
    table = lake.table(ROLLUPS)
    table.maintenance.expire_snapshots().by_id(made or 0).commit()
    assert [deed.what for deed in coarser(lake.work("2026-02-04"))] == ["2 hours", "1 days"]
    assert same(lake)


def test_a_dry_run_makes_nothing(lake: Lake) -> None:
    lake.add(ROLLUPS, minute_rows("plant-07", DAY))
    (deed,) = coarser(lake.work("2026-02-03", dry_run=True))
    assert (deed.table, deed.facility, deed.what) == ("rollups_hour", "plant-07", "1 hours")
    assert lake.files(ROLLUPS_HOUR) == []
    assert load_mark(lake.table(ROLLUPS_HOUR)).making is None


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1500), st.integers(0, 2), st.sampled_from(["cloud", "edge"])),
        unique=True,
    )
)
def test_folding_is_what_a_loop_gives(keys: list[tuple[int, int, str]]) -> None:
    parts = [
        minute_rows("p", DAY + minute * 60_000, 1, ["g"], 3, source=source).slice(slot, 1)
        for minute, slot, source in keys
    ]
    rows = pa.concat_tables([minute_rows("p", DAY, 1, slots=0), *parts])
    rows = rows.sort_by([(n, "ascending") for n in ("gateway", "slot", "minute", "source")])
    hours = fold_minutes(rows)
    assert plain(hours) == slowly(rows, HOUR_MS, 60, "minute")
    assert plain(fold_hours(hours)) == slowly(hours, DAY_MS, 24, "time")
