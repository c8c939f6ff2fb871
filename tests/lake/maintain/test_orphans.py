"""Files that no state of the table names go once they are old, and no others."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pytest

from jobs.lake.commit import commit
from jobs.lake.errors import LakeError
from jobs.lake.evolve import create_or_evolve
from jobs.lake.files import write_parquet
from jobs.lake.maintain.expire import expire
from jobs.lake.maintain.lease import LEASE
from jobs.lake.maintain.listing import key_of, listed
from jobs.lake.maintain.merge import merge
from jobs.lake.maintain.orphans import orphans
from jobs.lake.maintain.policy import DAY_MS, Policy
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.tables import CHUNKS, DEAD_LETTERS, READINGS, TABLES
from tests.lake.chunk_rows import chunk_rows
from tests.lake.maintain.plant import HOUR_MS, Lake, hold, hour_rows, ms, policy
from tests.lake.maintain.plant import TABLES as TIMES
from tests.lake.maintain.test_drop import letters

DAY = ms("2024-01-31")
KEPT = policy(tables=dict.fromkeys(TIMES, "forever"))


@pytest.fixture(autouse=True)
def lease_table(lake: Lake) -> None:
    create_or_evolve(lake.catalog, (lake.settings.namespace, LEASE.name), LEASE)


def in_days(lake: Lake, days: float, rules: Policy | None = None, **more: object) -> Work:
    """A maintainer so many days from now: all that lies there now is so old."""
    now_ms = time.time_ns() // 1_000_000 + round(days * DAY_MS)
    return Work(lake.catalog, lake.settings, rules or KEPT, now_ms, **more)  # type: ignore[arg-type]


def files(lake: Lake) -> set[str]:
    place = Path(lake.settings.warehouse.removeprefix("file://"))
    return {
        str(path) for path in place.rglob("*") if path.is_file() and "catalog.db" not in path.name
    }


def data(deeds: list[Deed], what: str = "delete") -> list[tuple[str, str, int]]:
    return [(d.table, d.facility, d.files) for d in deeds if d.what == what and d.facility]


def test_the_file_of_a_commit_that_never_came_goes_when_it_is_old(lake: Lake) -> None:
    lake.add(READINGS, hour_rows("plant-07", DAY))
    before = files(lake)
    write_parquet(lake.table(READINGS), hour_rows("plant 7/b", DAY), row_group_rows=8)
    assert list(orphans(in_days(lake, 2.9))) == []
    assert data(list(orphans(in_days(lake, 3.1, dry_run=True)))) == [("readings", "plant 7/b", 1)]
    assert len(files(lake)) == len(before) + 1
    assert data(list(orphans(in_days(lake, 3.1)))) == [("readings", "plant 7/b", 1)]
    assert files(lake) == before
    assert len(lake.rows(READINGS)) == 10


def test_a_file_that_a_writer_has_not_committed_yet_stays_and_can_be_committed(lake: Lake) -> None:
    """Flink writes during the checkpoint and commits after it, also after an outage."""
    table = lake.table(CHUNKS)
    old = write_parquet(table, chunk_rows([0]), row_group_rows=8)
    pending = write_parquet(table, chunk_rows([1]), row_group_rows=8)
    manifest = Path(table.location().removeprefix("file://")) / "metadata" / "jobid-00000-1.avro"
    manifest.write_bytes(b"what Flink keeps for the committer")
    for path in (old.file_path, pending.file_path, str(manifest)):
        age_s = 4 * 86_400 if path == old.file_path else 2.9 * 86_400
        os.utime(path.removeprefix("file://"), (time.time() - age_s,) * 2)
    assert data(list(orphans(in_days(lake, 0)))) == [("chunks", "plant-07", 1)]
    assert manifest.exists()
    commit(table, [pending])
    assert lake.rows(CHUNKS)["chunk"].to_pylist() == [b"chunk of 1"]


def test_merged_files_stay_while_a_snapshot_names_them(lake: Lake) -> None:
    lake.add(READINGS, *(hour_rows("plant-07", DAY + n * HOUR_MS) for n in range(3)))
    before = lake.readings()
    list(merge(in_days(lake, 1)))
    assert data(list(orphans(in_days(lake, 9)))) == []
    list(expire(in_days(lake, 9)))
    assert data(list(orphans(in_days(lake, 9)))) == [("readings", "plant-07", 3)]
    assert lake.readings().equals(before)
    assert len(lake.files(READINGS)) == 1


def test_metadata_that_was_replaced_goes_and_what_counts_stays(lake: Lake) -> None:
    table = lake.table(CHUNKS)
    for minute in range(4):
        commit(table, [write_parquet(table, chunk_rows([minute]), row_group_rows=8)])
    list(expire(in_days(lake, 9)))
    before = files(lake)
    deeds = [deed for deed in orphans(in_days(lake, 9)) if deed.table == "chunks"]
    # of the four snapshots three are forgotten: their manifest lists; manifests are shared
    assert [(d.facility, d.what, d.files) for d in deeds] == [("", "delete", 3)]
    gone = {Path(path).name for path in before - files(lake)}
    assert all(name.startswith("snap-") for name in gone)
    assert len(lake.rows(CHUNKS)) == 4
    for spec in TABLES:
        assert lake.table(spec).scan().to_arrow() is not None


def test_what_is_committed_between_listing_and_looking_is_no_orphan(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = lake.table(CHUNKS)
    pending = write_parquet(table, chunk_rows([1]), row_group_rows=8)

    def then_committed(which: object) -> object:
        found = list(listed(which))  # type: ignore[arg-type]
        if which.name()[-1] == "chunks":  # type: ignore[attr-defined]
            commit(table, [pending])
        return iter(found)

    monkeypatch.setattr("jobs.lake.maintain.orphans.listed", then_committed)
    assert data(list(orphans(in_days(lake, 9)))) == []
    assert len(lake.rows(CHUNKS)) == 1


def test_a_hold_keeps_the_files_themselves(lake: Lake) -> None:
    table = lake.table(READINGS)
    for name in ("plant-07", "plant-08"):
        write_parquet(table, hour_rows(name, DAY), row_group_rows=8)
    write_parquet(lake.table(DEAD_LETTERS), letters(["plant-07"], DAY), row_group_rows=8)
    rules = policy(holds=[hold("plant-07", to=date(2020, 1, 1))])
    deeds = list(orphans(in_days(lake, 9, rules)))
    assert data(deeds) == [("readings", "plant-08", 1)]
    assert [(d.table, d.facility) for d in deeds if d.what == "held"] == [
        ("readings", "plant-07"),
        ("dead_letters", ""),
    ]


def test_tables_that_share_a_folder_are_left_alone(lake: Lake) -> None:
    place = lake.table(READINGS).location()
    lake.catalog.drop_table((lake.settings.namespace, "ledger"))
    spec = next(spec for spec in TABLES if spec.name == "ledger")
    lake.catalog.create_table(
        (lake.settings.namespace, "ledger"), spec.schema(), location=f"{place}/ledger",
        partition_spec=spec.partition_spec(),
    )  # fmt: skip
    with pytest.raises(LakeError, match=r"telemetry.readings and telemetry.ledger share"):
        list(orphans(in_days(lake, 9)))


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("file:///a/b=1%2F2/c#d?e.parquet", "/a/b=1%2F2/c#d?e.parquet"),
        ("file:/a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("s3a://bucket/a", "s3://bucket/a"),
    ],
)
def test_one_place_is_written_in_several_ways(path: str, key: str) -> None:
    assert key_of(path) == key
