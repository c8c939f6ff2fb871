"""What is measured of a facility day: nothing is wrong with a good one, and each fault shows as
itself and as nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.settings import LakeSettings
from jobs.lake.tables import READINGS, RESTATEMENTS, ROLLUPS
from tests.lake.compaction_plant import FACILITY, T0, Site, chunk, hour
from tests.quality import plant
from tests.quality.plant import change, compact, found, set_cell, wrong

Change = Callable[[pa.Table], pa.Table]

# level is bad in one of five readings
USUAL = {"kinds.unusable"}


def unusual(measured):
    return {name: rows for name, rows in wrong(measured).items() if name not in USUAL}


def test_a_good_day(site: Site, catalog: Catalog, lake_settings: LakeSettings) -> None:
    measured = found(catalog, lake_settings)
    assert unusual(measured) == {}
    # 3 sensors, 6 ticks a minute
    assert (measured.readings, measured.hours) == (3 * 6 * 120, 2)
    assert measured.proven == measured.told == 3 * 6 * 118  # but for those near the end of the day
    assert [row["hour"] for row in measured.frames["readings"]] == [
        "2026-01-01T00",
        "2026-01-01T01",
    ]
    assert {row["outside"] for row in measured.frames["kinds"]} == {None}  # no range is known
    kinds = {row["kind"]: row["unusable"] for row in measured.frames["kinds"]}
    assert kinds == {"flow": 0.0, "temperature": 0.0, "level": 0.2}


def split_keys(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 1)])


def second_part(rows: pa.Table) -> pa.Table:
    """One reading of the first row once more, as another part."""
    one = rows.slice(0, 1)
    first = one["first_ms"][0].as_py() + 100 * 10_000
    again = set_cell(one, 0, part=1, readings=1, first_ms=first, step_ms=0, times_ms=None,
                     values=one["values"][0].as_py()[100:101])  # fmt: skip
    return pa.concat_tables([rows, again])


def swapped_times(rows: pa.Table) -> pa.Table:
    times = rows["times_ms"].to_pylist()
    row = next(at for at, found in enumerate(times) if found)
    times[row][4], times[row][5] = times[row][5], times[row][4]
    return set_cell(rows, row, times_ms=times[row])


def minutes_of(rows: pa.Table, change: Callable[[bytearray], None], some: slice) -> pa.Table:
    for row in range(len(rows))[some]:
        minutes = bytearray(rows["minutes"][row].as_py())
        change(minutes)
        rows = set_cell(rows, row, minutes=bytes(minutes))
    return rows


def no_minute_7(rows: pa.Table) -> pa.Table:
    """In the first hour; all rows of it say so."""
    first = [row for row, time in enumerate(rows["hour"].to_pylist()) if time.hour == 0]
    for row in first:
        rows = minutes_of(rows, lambda minutes: minutes.__setitem__(7, 0), slice(row, row + 1))
    return rows


ONE_MORE = "1:96-101, 00:15:51 to 00:16:51: told 18, found 19"
READINGS_FAULTS: list[tuple[Change, dict[str, list]]] = [
    (second_part, {"readings.repeated_readings": [("00", 1, "gw-1.p1.flow")],
                   "rollups.different_counts": [("00", 1, "gw-1.p1.flow")],
                   "ledger.different_ranges": [("", 1, ONE_MORE)],
            "ledger.unproven_share": [("", pytest.approx(1 / 118), "")],
                   }),
    (swapped_times, {"readings.unordered_rows": [("00", 1, "gw-1.p1.heat")]}),
    (no_minute_7, {"readings.unnoted_readings": [("00", 18, "gw-1.p1.flow")]}),
    (lambda rows: minutes_of(rows, lambda minutes: minutes.__setitem__(9, 2), slice(0, 1)),
     {"readings.unlike_minutes": [("00", 1, "")]}),
]  # fmt: skip


def test_keys_that_are_there_twice(site: Site, catalog, lake_settings) -> None:
    change(site, READINGS, split_keys)
    seen = unusual(found(catalog, lake_settings))
    assert seen["readings.duplicate_keys"] == [("00", 1, "gw-1.p1.flow")]
    assert seen["rollups.different_counts"] == [("00", 60, "gw-1.p1.flow")]
    # the readings are there twice, too, and no more is found of the kind
    assert set(seen) == {"readings.duplicate_keys", "rollups.different_counts",
                         "ledger.unproven_share"}  # fmt: skip


@pytest.mark.parametrize(("fault", "expected"), READINGS_FAULTS)
def test_faults_of_readings(
    fault: Change, expected: dict, site: Site, catalog: Catalog, lake_settings: LakeSettings
) -> None:
    change(
        site,
        READINGS,
        lambda rows: fault(rows.sort_by([("hour", "ascending"), ("slot", "ascending")])),
    )
    assert unusual(found(catalog, lake_settings)) == expected


MALFORMED = [
    {"step_ms": None}, {"times_ms": [1] * 360}, {"scale": None}, {"values": None},
    {"doubles": [1.0] * 360}, {"readings": 359}, {"qualities": [0]}, {"minutes": bytes(59)},
    {"readings": 0},
]  # fmt: skip


@pytest.mark.parametrize("cells", MALFORMED, ids=lambda cells: next(iter(cells)))
def test_malformed_rows(cells: dict, site: Site, catalog, lake_settings) -> None:
    def fault(rows: pa.Table) -> pa.Table:
        rows = rows.sort_by([("hour", "ascending"), ("slot", "ascending")])
        assert rows["step_ms"][0].as_py() == 10_000
        return set_cell(rows, 0, **cells)

    change(site, READINGS, fault)
    seen = unusual(found(catalog, lake_settings))
    assert seen.pop("readings.malformed_rows") == [("00", 1, "gw-1.p1.flow")]
    # its readings count for nothing
    assert seen.pop("rollups.different_counts") == [("00", 60, "gw-1.p1.flow")]
    assert {name.split(".")[0] for name in seen} <= {"ledger", "readings"}
    if "minutes" not in cells:
        assert "readings.unlike_minutes" not in seen


def test_chunks_that_wait_are_counted_with_the_readings(site, catalog, lake_settings) -> None:
    site.archive(*hour(2))
    plant.tell(site, plant.words(plant.batches(3))[120:])
    measured = found(catalog, lake_settings)
    assert unusual(measured) == {"readings.waiting_chunks": [("02", 60, "minute 0 revision 1")]}
    assert measured.readings == 3 * 6 * 180
    assert measured.proven == measured.told
    compact(site)
    assert unusual(found(catalog, lake_settings)) == {}


def test_a_damaged_chunk_is_one_that_waits(site, catalog, lake_settings) -> None:
    one = chunk(125)
    site.archive((one, b"no chunk"))
    seen = unusual(found(catalog, lake_settings))
    assert seen == {
        "readings.waiting_chunks": [("02", 1, "minute 5 revision 1: 8 bytes are no chunk")]
    }


def test_a_late_chunk_that_waits_is_not_held_against_the_rollups(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    site.archive(*hour()[:5], plant.chunk_without(5, (2,)), *hour()[6:])
    compact(site)
    site.archive(plant.late_chunk(5, (2,)))
    plant.tell(site, plant.words(plant.batches(1)))
    measured = found(catalog, lake_settings)
    seen = unusual(measured)
    assert seen.pop("readings.waiting_chunks") == [("00", 1, "minute 5 revision 2")]
    assert measured.readings == 1080
    assert set(seen) == {"rollups.incomplete_share", "ledger.undeclared_minutes"}


def test_a_chunk_that_is_held_and_not_removed_yet_counts_once(site, catalog, lake_settings) -> None:
    site.archive(chunk(5), chunk(6))
    measured = found(catalog, lake_settings)
    assert unusual(measured) == {}
    assert measured.readings == 2160


def rollup_at(rows: pa.Table, slot: int, minute: int) -> int:
    micros = (T0 + minute * 60_000) * 1000
    return next(
        at for at, (found, time) in enumerate(
            zip(rows["slot"].to_pylist(), rows["minute"].cast(pa.int64()).to_pylist(), strict=True)
        ) if found == slot and time == micros
    )  # fmt: skip


def cell(**values) -> Change:
    return lambda rows: set_cell(rows, rollup_at(rows, 0, 61), **values)


def without(rows: pa.Table) -> pa.Table:
    at = rollup_at(rows, 2, 61)
    return pa.concat_tables([rows.slice(0, at), rows.slice(at + 1)])


def twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(rollup_at(rows, 0, 61), 1)])


FLOW = ("01", 1, "gw-1.p1.flow")
ROLLUPS_FAULTS: list[tuple[Change, dict[str, list]]] = [
    (twice, {"rollups.duplicate_keys": [FLOW]}),
    (cell(revision=0), {"rollups.low_revisions": [FLOW]}),
    (cell(missing=1), {"rollups.unlike_complete": [FLOW]}),
    (cell(max=-1.0), {"rollups.impossible_sums": [FLOW]}),
    (cell(first=1e9), {"rollups.impossible_sums": [FLOW]}),
    (cell(sum=1e9), {"rollups.impossible_sums": [FLOW]}),
    (cell(min=None), {"rollups.impossible_sums": [FLOW]}),
    (cell(sum_sq=-1.0), {"rollups.impossible_sums": [FLOW]}),
    (cell(bad=1), {"rollups.different_counts": [FLOW]}),
    (without, {"rollups.different_counts": [("01", 1, "gw-1.tank.level")]}),
    (cell(revision=2), {"rollups.unaudited_minutes": [("01", 1, "")]}),
    (cell(complete=False, missing=2), {"rollups.incomplete_share": [("01", 1 / 60, "")],
                                       "ledger.undeclared_minutes": [("", 1, "2026-01-01T01:01")]}),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "expected"), ROLLUPS_FAULTS)
def test_faults_of_rollups(
    fault: Change, expected: dict, site: Site, catalog: Catalog, lake_settings: LakeSettings
) -> None:
    change(site, ROLLUPS, fault)
    assert unusual(found(catalog, lake_settings)) == expected


def test_late_readings_are_audited_and_all_agrees(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    site.archive(*hour()[:5], plant.chunk_without(5, (2,)), *hour()[6:])
    compact(site)
    plant.tell(site, plant.words(plant.batches(1)))
    seen = unusual(found(catalog, lake_settings))
    assert seen["rollups.incomplete_share"] == [("00", 1 / 60, "")]
    assert seen["ledger.different_ranges"] == [
        ("", 1, "1:30-35, 00:04:54 to 00:05:54: told 18, found 15")
    ]
    site.archive(plant.late_chunk(5, (2,)))
    compact(site)
    assert unusual(found(catalog, lake_settings)) == {}
    audits = site.table(RESTATEMENTS).scan().to_arrow()
    assert len(audits) == 3

    change(site, RESTATEMENTS, lambda rows: set_cell(rows, 1, sum_after=5.0))
    seen = unusual(found(catalog, lake_settings))
    assert [rows[0][:2] for rows in seen.values()] == [("00", 1)]
    assert set(seen) == {"rollups.different_audits"}

    # restated once more, and the row is not of that revision
    change(
        site,
        RESTATEMENTS,
        lambda rows: set_cell(rows, 1, sum_after=audits["sum_after"][1].as_py(), revision=3),
    )
    assert set(unusual(found(catalog, lake_settings))) == {"rollups.different_audits"}
    change(site, RESTATEMENTS, lambda rows: set_cell(rows, 1, revision=2))
    assert unusual(found(catalog, lake_settings)) == {}


def test_a_restatement_without_its_rows(site, catalog, lake_settings) -> None:
    site.archive(plant.late_chunk(5, (0,)))  # it is there already: nothing changes
    compact(site)
    assert unusual(found(catalog, lake_settings)) == {}


def test_readings_outside_of_their_range(site, catalog, lake_settings) -> None:
    def ranges(gateway: str):
        assert gateway == "gw-1"
        return lambda slots, kinds: (np.array([0.0, -100.0, 0.0])[slots],
                                     np.array([3.0, 150.0, 10.0])[slots])  # fmt: skip

    rows = found(catalog, lake_settings, ranges=ranges).frames["kinds"]
    shares = {(row["hour"][11:], row["kind"]): row["outside"] for row in rows}
    numbers = np.arange(360)
    flow = np.mean((numbers + 1000) % 977 / 100 > 3)
    heat = np.sin(numbers + 1000) * 1e3 / 7
    assert shares["00", "flow"] == pytest.approx(flow)
    assert shares["00", "temperature"] == pytest.approx(np.mean((heat < -100) | (heat > 150)))
    assert shares["00", "level"] == 0
    assert {row["outside_at"] for row in rows if row["kind"] == "flow"} == {"gw-1.p1.flow"}


def test_what_is_no_longer_kept_is_not_compared(site, catalog, lake_settings) -> None:
    change(
        site,
        READINGS,
        lambda rows: rows.filter(pa.array([t.hour == 1 for t in rows["hour"].to_pylist()])),
    )
    seen = unusual(found(catalog, lake_settings))
    assert seen["rollups.different_counts"] == [("00", 180, "gw-1.p1.flow")]
    seen = unusual(found(catalog, lake_settings, kept_since_ms=T0 + 3_600_000))
    assert "rollups.different_counts" not in seen


def test_only_the_hours_that_are_asked_for(site, catalog, lake_settings) -> None:
    change(site, ROLLUPS, cell(revision=0))
    assert unusual(found(catalog, lake_settings, hours=1)) == {}
    assert found(catalog, lake_settings, hours=1).readings == 3 * 6 * 60


def test_gateways_are_kept_apart(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    plant.archive(site, 1, ("gw-1", "gw-2"))
    plant.tell(site, plant.words(plant.batches(1)))
    measured = found(catalog, lake_settings)
    rows = [(row["gateway"], row["readings"]) for row in measured.frames["readings"]]
    assert rows == [("gw-1", 1080), ("gw-2", 1080)]
    assert unusual(measured) == {"ledger.unheard": [("", 1, "")]}
    assert FACILITY == "plant-07"


def test_readings_alone(site, catalog, lake_settings) -> None:
    measured = found(catalog, lake_settings, with_rollups=False)
    assert measured.frames["rollups"] == []
    assert unusual(measured) == {}
