"""Commits through faults of the catalog: each takes effect once, and none waits for good."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import CommitTableResponse, Table

from jobs.lake import catalog as catalog_module
from jobs.lake import commit as commit_module
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import COMMIT_ID, commit
from jobs.lake.errors import CommitTimeout, FilesChanged
from jobs.lake.evolve import create_or_evolve
from jobs.lake.files import data_files, write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, load_table
from tests.lake.chunk_rows import chunk_rows, minutes_in
from tests.support.http_faults import HttpFaults
from tests.support.rest_catalog import RestCatalogServer

COMMITS = {"method": "POST", "path": "/tables/chunks"}
LOADS = {"method": "GET", "path": "/tables/chunks"}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_module, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(commit_module, "_JITTER_S", 0.05)


@pytest.fixture
def faults(rest_server: RestCatalogServer) -> Iterator[HttpFaults]:
    with HttpFaults(rest_server.url) as found:
        yield found


@pytest.fixture
def chunks(faults: HttpFaults) -> Iterator[Table]:
    """Table chunks with minute 1, through a REST catalog that fails as it is told."""
    settings = LakeSettings(catalog="rest", catalog_uri=faults.url)
    with open_catalog(settings) as catalog:
        table = make_chunks(catalog, settings)
        yield commit(table, add=[write_parquet(table, chunk_rows([1]), row_group_rows=1)])


@pytest.fixture
def catalog(lake_settings: LakeSettings) -> Iterator[Catalog]:
    with open_catalog(lake_settings) as found:
        make_chunks(found, lake_settings)
        yield found


def make_chunks(catalog: Catalog, settings: LakeSettings) -> Table:
    """Table chunks alone."""
    catalog.create_namespace(settings.namespace)
    create_or_evolve(catalog, (settings.namespace, CHUNKS.name), CHUNKS)
    return load_table(catalog, settings, CHUNKS)


def put(table: Table, minute: int, **more: Any) -> Table:
    made = write_parquet(table, chunk_rows([minute]), row_group_rows=1)
    return commit(table, add=[made], **more)  # type: ignore[arg-type]


def replace(table: Table, minute: int, **more: float) -> Table:
    """All that is there by one row."""
    made = write_parquet(table, chunk_rows([minute]), row_group_rows=1)
    return commit(table, add=[made], remove=data_files(table), **more)  # type: ignore[arg-type]


def tries(faults: HttpFaults) -> list[int | None]:
    """What the commits after the first were answered."""
    path = COMMITS["path"]
    return [seen.status for seen in faults.seen if seen.method == "POST" and path in seen.path][1:]


def metadata_files(table: Table) -> set[str]:
    """Manifests and manifest lists in the table's folder, by name."""
    folder = Path(table.location().removeprefix("file://")) / "metadata"
    return {path.name for path in folder.glob("*.avro")}


def used_metadata(table: Table) -> set[str]:
    """Those that a snapshot uses."""
    snapshots = table.snapshots()
    lists = [snapshot.manifest_list for snapshot in snapshots]
    manifests = [m.manifest_path for snapshot in snapshots for m in snapshot.manifests(table.io)]
    return {Path(path).name for path in lists + manifests}


def test_one_snapshot_removes_and_adds_and_names_itself(catalog: Catalog) -> None:
    table = catalog.load_table("telemetry.chunks")
    put(table, 1)
    old = data_files(table)
    put(table, 2)
    made = write_parquet(table, chunk_rows([3]), row_group_rows=1)
    returned = commit(table, add=[made], remove=old, summary={"hardiot.job": "a test"})
    assert returned is table
    assert minutes_in(table) == [2, 3]
    assert len(table.snapshots()) == 3
    summary = table.current_snapshot().summary  # type: ignore[union-attr]
    assert summary is not None
    assert summary["hardiot.job"] == "a test"
    assert summary["added-data-files"] == summary["deleted-data-files"] == "1"
    assert summary["total-records"] == "2"
    ids = {snapshot.summary[COMMIT_ID] for snapshot in table.snapshots() if snapshot.summary}
    assert len(ids) == 3


def test_of_two_who_did_the_same_work_the_first_wins(catalog: Catalog) -> None:
    first, second, third = (catalog.load_table("telemetry.chunks") for _ in range(3))
    put(first, 1, claims=["plant-1/7", "plant-1/8"])
    with pytest.raises(FilesChanged, match=r"^telemetry.chunks: done by somebody else: plant-1/8$"):
        put(second, 2, claims=["plant-1/8", "plant-1/9"])
    put(third, 3, claims=["plant-1/9"])
    put(second, 4, claims=["plant-1/8"])  # it knows of the first now
    assert minutes_in(third.refresh()) == [1, 3, 4]
    assert metadata_files(third) == used_metadata(third)


def test_nothing_to_do_is_no_snapshot(catalog: Catalog) -> None:
    table = catalog.load_table("telemetry.chunks")
    old = catalog.load_table("telemetry.chunks")
    put(table, 1)
    assert minutes_in(commit(old)) == [1]
    assert len(old.snapshots()) == 1


def test_what_came_meanwhile_stays(catalog: Catalog) -> None:
    table, other = (catalog.load_table("telemetry.chunks") for _ in range(2))
    put(table, 1)
    files = data_files(table)
    put(other, 2)
    commit(table, remove=files)
    assert minutes_in(table) == [2]


def test_files_that_somebody_removed_are_not_replaced(catalog: Catalog) -> None:
    table = catalog.load_table("telemetry.chunks")
    put(table, 1)
    old = data_files(table)
    replace(table, 2)
    made = write_parquet(table, chunk_rows([3]), row_group_rows=1)
    with pytest.raises(FilesChanged, match=r"^telemetry.chunks: .*minute_hour=2026-01-31-00/"):
        commit(table, add=[made], remove=old)
    assert minutes_in(table) == [2]
    assert metadata_files(table) == used_metadata(table)


def test_conflicts_are_tried_again(chunks: Table, faults: HttpFaults) -> None:
    faults.answer(409, times=3, **COMMITS)
    replace(chunks, 2)
    assert minutes_in(chunks) == [2]
    assert tries(faults) == [409, 409, 409, 200]
    assert metadata_files(chunks) == used_metadata(chunks)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_server_that_does_not_do_it_is_asked_again(
    chunks: Table, faults: HttpFaults, status: int
) -> None:
    faults.answer(status, times=2, **COMMITS)
    put(chunks, 2)
    assert minutes_in(chunks) == [1, 2]
    assert tries(faults) == [status, status, 200]
    assert metadata_files(chunks) == used_metadata(chunks)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 409])
def test_what_took_effect_is_not_done_again(chunks: Table, faults: HttpFaults, status: int) -> None:
    """409: a proxy on the way tried again by itself after its first try took effect."""
    faults.answer(status, executed=True, times=1, **COMMITS)
    put(chunks, 2)
    assert minutes_in(chunks) == [1, 2]
    assert tries(faults) == [status]
    assert metadata_files(chunks) == used_metadata(chunks)
    replace(chunks, 3)
    assert minutes_in(chunks) == [3]


@pytest.mark.parametrize("executed", [False, True])
def test_a_connection_that_ends(chunks: Table, faults: HttpFaults, executed: bool) -> None:
    faults.drop(executed=executed, times=1, **COMMITS)
    replace(chunks, 2)
    assert minutes_in(chunks) == [2]
    assert tries(faults) == [None] if executed else [None, 200]
    assert metadata_files(chunks) == used_metadata(chunks)


def test_half_an_answer(chunks: Table, faults: HttpFaults) -> None:
    faults.answer(200, executed=True, times=1, body=b"<html>", **COMMITS)
    put(chunks, 2)
    assert (minutes_in(chunks), tries(faults)) == ([1, 2], [200])


def test_a_lost_answer_while_the_catalog_does_not_answer_at_all(
    chunks: Table, faults: HttpFaults
) -> None:
    faults.delay(0, times=1, **LOADS)
    faults.drop(executed=True, times=1, **COMMITS)
    faults.drop(executed=False, times=2, **LOADS)
    put(chunks, 2)
    assert (minutes_in(chunks), tries(faults)) == ([1, 2], [None])


def test_a_lost_answer_and_then_the_commit_of_another(
    chunks: Table, faults: HttpFaults, rest_server: RestCatalogServer
) -> None:
    """The own snapshot is then not the last one."""
    faults.delay(0, times=1, **LOADS)
    faults.drop(executed=True, times=1, **COMMITS)
    faults.drop(executed=False, **LOADS)
    writer = threading.Thread(target=put, args=(chunks, 2))
    writer.start()
    while tries(faults) != [None]:
        time.sleep(0.01)
    put(rest_server.catalog.load_table("telemetry.chunks"), 3)
    faults.clear()
    writer.join()
    assert (minutes_in(chunks), tries(faults)) == ([1, 2, 3], [None])
    assert metadata_files(chunks) == used_metadata(chunks)


def test_an_attempt_that_is_still_under_way_cannot_take_effect_later(
    chunks: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hangs in a proxy, and reaches the server when the second was done."""
    really, held = chunks.catalog.commit_table, []

    def hold(*request: Any) -> CommitTableResponse:
        if held:
            return really(*request)
        held.append(request)
        raise CommitStateUnknownException("504")

    monkeypatch.setattr(chunks.catalog, "commit_table", hold)
    put(chunks, 2)
    with pytest.raises(CommitFailedException):
        really(*held[0])
    assert minutes_in(chunks.refresh()) == [1, 2]


def test_no_catalog_is_told_after_the_limit(chunks: Table, faults: HttpFaults) -> None:
    faults.answer(503, **COMMITS)
    start = time.monotonic()
    with pytest.raises(CommitTimeout, match=r"chunks: no commit in 0.5 s: .*may have taken effect"):
        put(chunks, 2, limit_s=0.5)
    assert time.monotonic() - start < 5
    faults.clear()
    faults.answer(409, **COMMITS)
    with pytest.raises(CommitTimeout, match="it did not take effect"):
        put(chunks, 2, limit_s=0.5)
    faults.clear()
    assert minutes_in(chunks.refresh()) == [1]


def test_a_server_that_says_nothing_does_not_hold_a_commit(
    chunks: Table, faults: HttpFaults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "_ANSWER_S", 0.3)
    faults.delay(2.0, times=1, **COMMITS)
    start = time.monotonic()
    put(chunks, 2)
    assert time.monotonic() - start < 2
    assert minutes_in(chunks) == [1, 2]


def test_a_locked_sqlite_file_is_waited_for(
    catalog: Catalog, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_module, "BUSY_S", 0)
    path = lake_settings.catalog_uri.removeprefix("sqlite:")
    writer = sqlite3.connect(path, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, writer.rollback).start()
    with open_catalog(lake_settings) as impatient:
        table = put(load_table(impatient, lake_settings, CHUNKS), 1)
        assert (minutes_in(table), len(table.snapshots())) == ([1], 1)
    writer.close()


@pytest.mark.parametrize("kind", ["sqlite", "rest", "rest with faults"])
def test_writers_beside_each_other(
    kind: str, lake_settings: LakeSettings, rest_server: RestCatalogServer, faults: HttpFaults
) -> None:
    """Three add minutes, one replaces what it finds by its double (day 0 to day 1), always."""
    if kind != "sqlite":
        url = faults.url if kind == "rest with faults" else rest_server.url
        lake_settings = LakeSettings(catalog="rest", catalog_uri=url)
    if kind == "rest with faults":
        for status in (503, 502, 409, 500):
            faults.answer(status, executed=True, times=3, **COMMITS)
            faults.answer(status, times=3, **COMMITS)
        faults.drop(executed=True, times=3, **COMMITS)
    with open_catalog(lake_settings) as catalog:
        make_chunks(catalog, lake_settings)
    adding = [
        threading.Thread(target=_add_minutes, args=(lake_settings, range(first, 15, 3)))
        for first in range(3)
    ]
    for thread in adding:
        thread.start()
    removed = _compact(lake_settings, adding)
    with open_catalog(lake_settings) as catalog:
        table = load_table(catalog, lake_settings, CHUNKS)
        assert removed == list(range(15))
        assert minutes_in(table) == [24 + minute for minute in range(15)]
        ids = Counter(snapshot.summary[COMMIT_ID] for snapshot in table.snapshots())  # type: ignore[index]
        assert set(ids.values()) == {1}
        assert metadata_files(table) == used_metadata(table)


def _add_minutes(settings: LakeSettings, minutes: range) -> None:
    with open_catalog(settings) as catalog:
        table = load_table(catalog, settings, CHUNKS)
        for minute in minutes:
            put(table, minute)


def _compact(settings: LakeSettings, adding: list[threading.Thread]) -> list[int]:
    """Replace minutes below 24 by those 24 later until all came. Returns: what was replaced."""
    removed: list[int] = []
    made: set[str] = set()
    with open_catalog(settings) as catalog:
        while True:
            over = not any(thread.is_alive() for thread in adding)
            table = load_table(catalog, settings, CHUNKS)
            files = [file for file in data_files(table) if file.file_path not in made]
            found = [minute for minute in minutes_in(table) if minute < 24]
            assert len(files) == len(found)
            if found:
                rows = chunk_rows([24 + minute for minute in found])
                new = write_parquet(table, rows, row_group_rows=100)
                commit(table, add=[new], remove=files)
                made.add(new.file_path)
                removed += found
            elif over:
                return sorted(removed)
