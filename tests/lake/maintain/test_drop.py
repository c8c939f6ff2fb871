"""What is past its time goes, and not a moment before; a hold stops it."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from jobs.lake.maintain.drop import drop
from jobs.lake.maintain.policy import Policy
from jobs.lake.maintain.work import Deed
from jobs.lake.tables import DEAD_LETTERS, READINGS, ROLLUPS
from tests.lake.maintain.plant import (
    DAY_MS,
    HOUR_MS,
    Lake,
    hold,
    hour_rows,
    minute_rows,
    ms,
    policy,
)

DAY = ms("2026-01-31")


def letters(facilities: list[str], time_ms: int) -> pa.Table:
    n = len(facilities)
    time = pa.array([time_ms * 1000] * n).cast(pa.timestamp("us", "UTC"))
    texts = dict.fromkeys(
        ("gateway", "reason", "detail", "job", "source_topic", "topic"), ["x"] * n
    )
    numbers = {"source_partition": [0] * n, "source_offset": range(n), "partition": [0] * n}
    more = {"refused": time, "received": time, "offset": range(n), "body": [b"?"] * n}
    return pa.table({"facility": facilities, **texts, **numbers, **more})


# the last hour ends with the 31st of January; 90 days after it the 2nd of May begins
@pytest.mark.parametrize(("now", "left"), [("2026-05-01T23:59:59.999", 2), ("2026-05-02", 0)])
def test_a_file_goes_when_its_last_hour_is_past(lake: Lake, now: str, left: int) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY), hour_rows("plant-07", DAY + 23 * HOUR_MS))
    assert ms("2026-05-02") - 90 * DAY_MS == DAY + DAY_MS
    old = lake.files(READINGS)
    list(drop(lake.work("2026-05-01T00:59:59.999")))
    assert lake.files(READINGS) == old
    list(drop(lake.work(now)))
    assert len(lake.files(READINGS)) == (1 if left else 0)


def test_a_month_file_stays_until_all_of_it_is_past(lake: Lake) -> None:
    rules = policy(tables={"rollups": "30d"})
    rows = [minute_rows("plant-07", day, 1) for day in (ms("2026-01-01"), DAY)]
    lake.add(ROLLUPS, pa.concat_tables(rows))
    assert list(drop(lake.work("2026-02-28", rules))) == []
    # rows of 00:00 are over at 00:01
    assert list(drop(lake.work("2026-03-02T00:00:59.999", rules))) == []
    (deed,) = drop(lake.work("2026-03-02T00:01", rules))
    assert (deed.what, deed.files, deed.rows) == ("drop", 1, 20)
    assert lake.files(ROLLUPS) == []


def test_a_facility_may_be_kept_for_less_or_more(lake: Lake) -> None:
    rules = policy(
        facilities=[
            {"facility": "lab-*", "why": "test benches", "tables": {"readings": "7d"}},
            {"facility": "lab-1", "why": "comes too late", "tables": {"readings": "1d"}},
            {"facility": "plant-09", "why": "its contract", "tables": {"readings": "5y"}},
        ]
    )
    lake.add(READINGS, *(hour_rows(name, DAY) for name in ("lab-1", "plant-07", "plant-09")))
    assert list(drop(lake.work("2026-02-03", rules))) == []
    assert [deed.facility for deed in drop(lake.work("2026-02-08", rules))] == ["lab-1"]
    assert [deed.facility for deed in drop(lake.work("2026-06-01", rules))] == ["plant-07"]
    assert [deed.facility for deed in drop(lake.work("2031-03-01", rules))] == ["plant-09"]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (hold("plant-*"), True),
        (hold("plant-08"), False),
        ({**hold("plant-07"), "from": date(2026, 1, 31)}, True),
        ({**hold("plant-07"), "from": date(2026, 2, 1)}, False),
        (hold("plant-07", to=date(2026, 1, 31)), True),
        (hold("plant-07", to=date(2026, 1, 30)), False),
        (hold("plant-07", expires=date(2026, 6, 2)), True),
        (hold("plant-07", expires=date(2026, 6, 1)), False),
    ],
)
def test_a_hold_stops_what_it_touches(lake: Lake, rule: dict[str, object], kept: bool) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY))
    (deed,) = drop(lake.work("2026-06-01", policy(holds=[rule])))
    assert deed.what == ("held" if kept else "drop")
    assert len(lake.files(READINGS)) == kept


def test_a_dry_run_says_the_same_and_does_nothing(lake: Lake) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY), hour_rows("plant-08", DAY))
    rules = policy(holds=[hold("plant-08")])
    place = lake.table(READINGS).metadata_location
    dry = list(drop(lake.work("2026-06-01", rules, dry_run=True)))
    assert lake.table(READINGS).metadata_location == place
    assert [(d.facility, d.what, d.files, d.rows) for d in dry] == [
        ("plant-07", "drop", 1, 10),
        ("plant-08", "held", 1, 10),
    ]
    assert dry == list(drop(lake.work("2026-06-01", rules)))


def test_a_file_of_several_facilities_waits_for_the_last_and_for_any_hold(lake: Lake) -> None:
    lake.add(DEAD_LETTERS, letters(["lab-1", "plant-07", "lab-1"], DAY))

    def drops(now: str, rules: Policy) -> list[Deed]:
        return list(drop(lake.work(now, rules, dry_run=True)))

    longer = {"facility": "plant-*", "why": "x", "tables": {"dead_letters": "180d"}}
    assert drops("2026-06-01", policy(facilities=[longer])) == []
    (deed,) = drops("2026-06-01", policy(holds=[hold("plant-07")]))
    assert (deed.facility, deed.what) == ("lab-1, plant-07", "held")
    assert [deed.what for deed in drops("2026-06-01", policy(holds=[hold("plant-08")]))] == ["drop"]
