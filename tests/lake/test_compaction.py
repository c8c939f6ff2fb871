"""Facility hours of chunks become rollups and sensor hours, once, whatever breaks."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.common.errors import HardiotError
from jobs.lake.catalog import open_catalog
from jobs.lake.compaction import commits
from jobs.lake.compaction.compactor import Limits
from jobs.lake.compaction.rows import Kind
from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, READINGS
from tests.lake.compaction_plant import (
    HOUR_MS,
    T0,
    TICKS,
    Site,
    batch,
    batches,
    chunk,
    hour,
    readings,
    rolled_up,
    same_values,
)
from udfs.archive.chunk import collect, encode

ENDED = T0 + HOUR_MS
SETTLED = ENDED + 900_000


@pytest.fixture
def site(catalog: Catalog, lake_settings: LakeSettings) -> Site:
    return Site(catalog, lake_settings)


def assert_all_there(site: Site, minutes: range, *gateways: str) -> None:
    """Tables equal the closed form: each reading once, each rollup as it was published."""
    sent = {gateway: batches(minutes, gateway) for gateway in gateways}
    assert site.readings() == sorted(r for each in sent.values() for r in readings(each))
    expected = {key: r for each in sent.values() for key, r in rolled_up(each).items()}
    found = site.rollups()
    assert found.keys() == expected.keys()
    assert all(same_values(found[key], expected[key]) for key in expected)


def test_a_complete_hour_is_compacted_as_soon_as_it_ended(site: Site) -> None:
    site.archive(*hour(0)[:40])
    site.archive(*hour(0)[40:], *hour(0, "gw-2"))
    assert site.compactor().round(ENDED - 1).hours == 0
    report = site.compactor().round(ENDED)
    assert (report.hours, report.readings, report.restated) == (1, 2 * 60 * 18, 0)
    assert (report.problems, report.failed, site.published) == ([], [], [])
    assert report.bytes > 0
    assert_all_there(site, range(60), "gw-1", "gw-2")
    assert site.chunk_files() == [] and site.audit() == []


def test_rows_are_in_order_and_say_what_they_hold(site: Site) -> None:
    site.archive(*hour(0, "gw-2"), *hour(0))
    site.compactor().round(ENDED)
    rows = site.table(READINGS).scan().to_arrow().to_pylist()
    assert [(row["gateway"], row["slot"]) for row in rows] == [
        ("gw-1", 0), ("gw-1", 1), ("gw-1", 2), ("gw-2", 0), ("gw-2", 1), ("gw-2", 2),
    ]  # fmt: skip
    assert {(row["part"], row["minutes"], row["readings"]) for row in rows} == {
        (0, bytes([1] * 60), 360)
    }
    assert rows[0]["sensor"] == "gw-1.p1.flow" and rows[0]["unit"] == "m3/h"


def test_an_hour_with_a_hole_waits_until_it_settled(site: Site) -> None:
    site.archive(*hour(0), *hour(0, "gw-2")[1:])
    compactor = site.compactor()
    assert compactor.round(SETTLED - 1).hours == 0
    assert site.readings() == []
    assert compactor.round(SETTLED).hours == 1
    assert len(site.readings()) == 119 * 18


def test_files_of_an_hour_under_way_are_looked_into_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.archive(*hour(0)[:59])
    compactor = site.compactor()
    compactor.round(ENDED)
    monkeypatch.setattr("jobs.lake.compaction.plan.read_file", None)
    assert compactor.round(ENDED + 1).hours == 0


def test_what_comes_later_is_a_further_part(site: Site) -> None:
    site.archive(*hour(0)[:30])
    assert site.compactor().round(SETTLED).hours == 1
    site.archive(*hour(0)[30:])  # a backlog
    assert site.compactor().round(SETTLED + 60_000).hours == 1
    assert_all_there(site, range(60), "gw-1")
    rows = site.table(READINGS).scan().to_arrow()
    assert sorted(set(rows["part"].to_pylist())) == [0, 1]
    assert site.audit() == [] and site.published == []


def test_hours_of_several_facilities_take_one_set_of_commits(site: Site) -> None:
    for facility in ("plant-01", "plant-02", "plant-03"):
        for number in (0, 1):
            site.archive(*hour(number, facility=facility)[:2])
    before = site.snapshots()
    report = site.compactor(Limits(hours_a_commit=6)).round(SETTLED + HOUR_MS)
    assert report.hours == 6
    assert [b - a for a, b in zip(before, site.snapshots(), strict=True)] == [1, 1, 1, 0]
    assert site.chunk_files() == []


def test_a_large_gateway_is_taken_by_slices_of_sensors(site: Site) -> None:
    site.archive(*hour(0), chunk(5, "gw-2"))
    site.compactor(Limits(slice_readings=400)).round(SETTLED)
    sent = [*batches(range(60)), *batches([5], "gw-2")]
    assert site.readings() == readings(sent)
    rows = site.table(READINGS).scan().to_arrow()
    keys = list(zip(rows["gateway"].to_pylist(), rows["slot"].to_pylist(), strict=True))
    assert len(keys) == len(set(keys)) == 6


def test_only_the_facilities_that_are_its_own(site: Site) -> None:
    site.archive(*hour(0, facility="plant-01"))
    site.archive(*hour(0, facility="mill-01"))
    assert site.compactor(Limits(facilities="plant-.*")).round(SETTLED).hours == 1
    assert len(site.chunk_files()) == 1


def test_a_minute_that_was_lost_as_a_whole_makes_no_rows(site: Site) -> None:
    site.archive(*hour(0)[:59], chunk(59, ticks=(), complete=False))
    report = site.compactor().round(ENDED)
    assert (report.hours, report.failed) == (1, [])
    assert len(site.rollups()) == 59
    assert site.chunk_files() == []


# -- what cannot be read


def test_a_damaged_chunk_stays_and_blocks_nothing_else(site: Site) -> None:
    bad = encode(chunk(7))[:-3] + b"abc"
    site.archive(*hour(0)[:7], (chunk(7), bad), *hour(0)[8:20])
    site.archive(*hour(0)[20:], *hour(0, "gw-2"))
    site.archive(chunk(7, ticks=(5,), revision=2))  # its minute waits as a whole
    compactor = site.compactor()
    report = compactor.round(SETTLED)
    assert report.hours == 1
    assert [problem.kind for problem in report.problems] == [Kind.DAMAGED]
    path = report.problems[0].text.split(": ")[0]
    assert f"plant-07/gw-1: minute {T0 + 7 * 60_000} revision 1" in report.problems[0].text
    left = site.chunk_files()
    assert path in left and len(left) == 2
    assert compactor.planner.damaged() == 1
    sent = [b for b in batches(range(60)) if b.time_ms // 60_000 != T0 // 60_000 + 7]
    assert site.readings() == readings([*sent, *batches(range(60), "gw-2")])
    assert ("gw-1", 7) not in site.rollups()
    # neither is it tried every minute, nor forgotten by a new one
    again = compactor.round(SETTLED + 60_000)
    assert (again.hours, compactor.planner.damaged(), compactor.planner.lag_s(SETTLED)) == (0, 1, 0)
    fresh = site.compactor()
    report = fresh.round(SETTLED + 60_000)
    assert len(report.problems) == fresh.planner.damaged() == 1
    assert sorted(site.chunk_files()) == sorted(left)
    assert site.readings() == readings([*sent, *batches(range(60), "gw-2")])


def test_bytes_of_another_chunk_are_damage(site: Site) -> None:
    site.archive((chunk(3), encode(chunk(4))), chunk(5))
    (problem,) = site.compactor().round(SETTLED).problems
    assert "it says that it is ('plant-07', 'gw-1'" in problem.text
    assert site.readings() == readings(batches([5]))


def test_a_file_that_is_none_holds_back_its_hour_only(site: Site) -> None:
    site.archive(*hour(0))
    site.archive(*hour(0)[:1])
    site.archive(*hour(1))
    broken = [path for path in site.chunk_files() if site_rows(site, path) == 1]
    Path(broken[0].removeprefix("file://")).write_bytes(b"no Parquet at all")
    compactor = site.compactor()
    report = compactor.round(SETTLED + HOUR_MS)
    assert report.hours == 1 and len(report.problems) == 1
    assert broken[0] in report.problems[0].text
    assert compactor.planner.damaged() == 1
    assert site.readings() == readings(batches(range(60, 120)))
    assert compactor.round(SETTLED + HOUR_MS).problems == []


def site_rows(site: Site, path: str) -> int:
    return next(f.record_count for f in data_files(site.table(CHUNKS)) if f.file_path == path)


def test_a_catalogue_that_is_not_known_yet_is_waited_for(site: Site) -> None:
    site.archive(*hour(0), chunk(0, "gw-2"))
    known = site.compactor()
    unknown = site.compactor()
    unknown._find = lambda f, g, v: None if g == "gw-2" else known._find(f, g, v)
    report = unknown.round(SETTLED)
    assert [problem.kind for problem in report.problems] == [Kind.UNNAMED]
    assert "catalogue plant-07/gw-2/1 is not known" in report.problems[0].text
    assert site.readings() == readings(batches(range(60)))
    assert unknown.planner.lag_s(SETTLED + 60_000) == 60
    unknown._find = known._find
    assert unknown.round(SETTLED + 60_000).problems == []
    assert site.readings() == readings([*batches(range(60)), *batches([0], "gw-2")])
    assert site.chunk_files() == []


# -- late readings


def test_late_readings_of_an_hour_that_was_not_compacted(site: Site) -> None:
    first = chunk(3, ticks=(0, 1, 3, 4, 5), complete=False)
    site.archive(*hour(0)[:3], first, *hour(0)[4:])
    site.archive(chunk(3, ticks=(2,), revision=2))
    report = site.compactor().round(SETTLED)
    assert_restated(site, report.restated)


def test_late_readings_of_an_hour_that_was_compacted(site: Site) -> None:
    first = chunk(3, ticks=(0, 1, 3, 4, 5), complete=False)
    site.archive(*hour(0)[:3], first, *hour(0)[4:])
    site.compactor().round(ENDED)
    assert site.published == []
    site.archive(chunk(3, ticks=(2,), revision=2))
    report = site.compactor().round(ENDED + 1)  # at once
    assert_restated(site, report.restated)


def assert_restated(site: Site, restated: int) -> None:
    """Minute 3 of gw-1 was published without tick 2, which is there now."""
    assert restated == 3
    assert site.readings() == readings(batches(range(60)))
    expected = rolled_up(batches(range(60)))
    expected["gw-1", 3] = replace(expected["gw-1", 3], revision=2)
    found = site.rollups()
    assert found.keys() == expected.keys()
    assert all(same_values(found[key], expected[key]) for key in expected)
    (sent,) = site.published
    assert same_values(sent, expected["gw-1", 3]) and sent.catalogue == 1
    assert site.chunk_files() == []
    rows = site.audit()
    assert [row["slot"] for row in rows] == [0, 1, 2]
    assert len({row["id"] for row in rows}) == 3
    one = rows[0]
    assert (one["reason"], one["author"], one["readings"]) == (
        "late readings", "compact_readings", None,
    )  # fmt: skip
    assert (one["revision_before"], one["revision"]) == (1, 2)
    assert (one["count_before"], one["count_after"]) == (5, 6)
    values = [batch(3, tick).value[0] for tick in TICKS]
    assert one["sum_after"] == sum(values[1:], values[0])
    assert one["sum_before"] == pytest.approx(sum(values) - values[2])
    assert one["sensor"] == "gw-1.p1.flow" and one["source"] == "cloud"


def test_late_readings_of_a_minute_that_was_empty(site: Site) -> None:
    site.archive(*hour(0)[:59], chunk(59, ticks=(), complete=False))
    site.compactor().round(ENDED)
    site.archive(chunk(59, revision=2))
    report = site.compactor().round(SETTLED)
    assert report.restated == 3
    assert site.readings() == readings(batches(range(60)))
    assert [row["count_before"] for row in site.audit()] == [None] * 3
    assert site.rollups()["gw-1", 59].revision == 2


def test_a_minute_in_several_chunks_is_not_late(site: Site) -> None:
    halves = chunk(3, ticks=(0, 1, 2)), chunk(3, ticks=(3, 4, 5), revision=2)
    site.archive(*hour(0)[:3], *halves, *hour(0)[4:6])
    assert site.compactor().round(SETTLED).restated == 0
    assert_all_there(site, range(6), "gw-1")
    assert site.audit() == [] and site.published == []


def test_a_late_reading_that_is_there_already_is_dropped(site: Site) -> None:
    first = chunk(3, ticks=(0, 1, 3, 4, 5), complete=False)
    site.archive(*hour(0)[:3], first, *hour(0)[4:])
    site.compactor().round(ENDED)
    site.archive(chunk(3, ticks=(1, 2, 3), revision=2))
    site.compactor().round(SETTLED)
    assert site.readings() == readings(batches(range(60)))
    assert site.rollups()["gw-1", 3].count.tolist()[0] == 6
    site.archive(chunk(3, ticks=(2,), revision=3))  # nothing new at all
    report = site.compactor().round(SETTLED)
    assert (report.restated, site.chunk_files()) == (0, [])
    assert site.readings() == readings(batches(range(60)))
    assert site.rollups()["gw-1", 3].revision == 2
    assert len(site.audit()) == 3


def test_late_readings_of_some_sensors_leave_the_others_as_they_are(site: Site) -> None:
    less = [b if b.sequence != 20 else cut(b, [0, 2]) for b in batches([3])]
    of = ("plant-07", "gw-1", T0 + 3 * 60_000)
    site.archive(*hour(0)[:3], collect(*of, 1, False, 1, less), *hour(0)[4:])
    site.compactor().round(ENDED)
    before = site.rollups()["gw-1", 3]
    site.archive(collect(*of, 2, True, 0, [cut(batch(3, 2), [1])]))
    assert site.compactor().round(SETTLED).restated == 1
    after = site.rollups()["gw-1", 3]
    assert same_values(after, replace(rolled_up(batches(range(60)))["gw-1", 3], revision=2))
    assert after.sum[[0, 2]].tobytes() == before.sum[[0, 2]].tobytes()
    assert [row["slot"] for row in site.audit()] == [1]


def cut(one, slots):
    which = np.array(slots)
    return replace(
        one, value=one.value[which], sensor=which.astype(np.uint32), offset_ms=one.offset_ms[which],
        quality=one.quality[which],
    )  # fmt: skip


# -- crashes


class Crash(BaseException):
    """Not an error that anybody may catch."""


@pytest.mark.parametrize("compacted", [False, True], ids=["fresh", "compacted"])
def test_a_crash_after_any_step_does_no_harm(
    site: Site, monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    first = chunk(3, ticks=(0, 1, 3, 4, 5), complete=False)
    site.archive(*hour(0)[:3], first, *hour(0)[4:6])
    if compacted:
        site.compactor().round(SETTLED)
    site.archive(*hour(0, "gw-2")[:6])
    site.archive(chunk(3, ticks=(2,), revision=2))
    done = crash_at_every_step(site, monkeypatch)
    assert done == ["rollups", "restatements", "rollups", "topic", "topic", "readings", "chunks"]
    assert site.compactor().round(SETTLED).hours == 0
    assert_as_if_nothing_had_happened(site)


def crash_at_every_step(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """New compactors that each end after one further step, until there is nothing to do."""
    done: list[str] = []
    real, publish = commits.commit, site.published.extend

    def step(name: str, run: Callable[[], object]) -> None:
        run()
        done.append(name)
        # minutes are sent again by whoever does not know that they were
        if name != "topic" or done.count("topic") == 1:
            raise Crash

    monkeypatch.setattr(
        commits,
        "commit",
        lambda table, *a, **k: step(table.name()[-1], lambda: real(table, *a, **k)),
    )
    for _ in range(6):
        compactor = site.compactor()
        compactor._publish = lambda minutes: step("topic", lambda: publish(minutes))
        with pytest.raises(Crash):
            compactor.round(SETTLED)
    monkeypatch.setattr(commits, "commit", real)
    return done


def assert_as_if_nothing_had_happened(site: Site) -> None:
    """Both gateways' hours, with minute 3 of gw-1 restated."""
    assert site.readings() == readings([*batches(range(6)), *batches(range(6), "gw-2")])
    expected = rolled_up(batches(range(6))) | rolled_up(batches(range(6), "gw-2"))
    expected["gw-1", 3] = replace(expected["gw-1", 3], revision=2)
    found = site.rollups()
    assert found.keys() == expected.keys()
    assert all(same_values(found[key], expected[key]) for key in expected)
    assert len(site.audit()) == 3 and site.chunk_files() == []
    assert site.published and all(same_values(r, expected["gw-1", 3]) for r in site.published)


@pytest.mark.parametrize("when", ["rollups", "readings"])
def test_two_compactors_of_the_same_hour_do_no_harm(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The second begins and ends while the first has its files ready, or has written rollups."""
    site.archive(*hour(0))
    commit, others = commits._commit, []

    def overtaken(table: Table, *args: Any, **more: Any) -> None:
        if table.name()[-1] == when and not others:
            others.append(1)
            others.append(site.compactor().round(ENDED).hours)
        commit(table, *args, **more)

    monkeypatch.setattr(commits, "_commit", overtaken)
    report = site.compactor().round(ENDED)
    assert others == [1, 1] and report.hours == 0
    assert "done by somebody else: plant-07/" in report.failed[0]
    assert site.compactor().round(ENDED).hours == 0
    assert_all_there(site, range(60), "gw-1")
    assert site.chunk_files() == []


def test_what_fails_is_told_and_done_in_the_next_round(site: Site) -> None:
    site.archive(*hour(0)[:3], chunk(3, ticks=(0, 1, 3, 4, 5), complete=False), *hour(0)[4:6])
    site.archive(*hour(0, "gw-2")[:6], chunk(3, ticks=(2,), revision=2))
    compactor = site.compactor()

    def no_kafka(_: object) -> None:
        raise HardiotError("no Kafka at 127.0.0.1:1")

    compactor._publish = no_kafka
    report = compactor.round(SETTLED)
    assert report.hours == 0
    assert report.failed == ["plant-07 2026-01-01T00: no Kafka at 127.0.0.1:1"]
    assert compactor.planner.lag_s(SETTLED + 30_000) == 30
    folder = Path(site.table(READINGS).location().removeprefix("file://")) / "data"
    assert list(folder.rglob("*.parquet")) == []  # nothing is left behind
    compactor._publish = site.published.extend
    assert compactor.round(SETTLED + 60_000).hours == 1
    assert compactor.planner.lag_s(SETTLED + 60_000) == 0
    assert_as_if_nothing_had_happened(site)


def test_kill_9_between_a_data_file_and_its_commit(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.archive(*hour(0)[:3], chunk(3, ticks=(0, 1, 3, 4, 5), complete=False), *hour(0)[4:6])
    site.archive(*hour(0, "gw-2")[:6], chunk(3, ticks=(2,), revision=2))
    real = commits.commit
    for victim in ("rollups", "restatements", "readings", "chunks"):

        def killed(table: Table, *arguments: Any, victim: str = victim, **more: Any) -> None:
            if table.name()[-1] == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            real(table, *arguments, **more)

        monkeypatch.setattr(commits, "commit", killed)
        assert exit_code_of_a_process(site) == -signal.SIGKILL, victim
    monkeypatch.setattr(commits, "commit", real)
    assert site.compactor().round(SETTLED).hours == 1
    site.published.append(site.rollups()["gw-1", 3])  # what the killed ones sent went with them
    assert_as_if_nothing_had_happened(site)


def exit_code_of_a_process(site: Site) -> int | None:
    """Of a process of its own that makes a round."""

    def run() -> None:
        with open_catalog(site.lake) as catalog:
            Site(catalog, site.lake).compactor().round(SETTLED)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    return process.exitcode
