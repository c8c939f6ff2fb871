"""Old snapshots go; those of Flink's jobs, and all after them, stay while the job may come back."""

from __future__ import annotations

import time

import pyarrow as pa
import pytest
from pyiceberg.table import Table

from jobs.lake.commit import commit
from jobs.lake.events.tables import OFFSETS
from jobs.lake.files import write_parquet
from jobs.lake.maintain.expire import CHECKPOINT, JOB, OPERATOR, expire, old_snapshots
from jobs.lake.maintain.policy import DAY_MS, HOUR_MS, Upkeep
from jobs.lake.tables import CHUNKS
from tests.lake.chunk_rows import chunk_rows
from tests.lake.maintain.plant import Lake

UPKEEP = Upkeep()


def flink(job: str, checkpoint: int, operator: str = "sink") -> dict[str, str]:
    """What Flink's sink writes into the summary of a commit."""
    return {JOB: job, OPERATOR: operator, CHECKPOINT: str(checkpoint)}


def history(lake: Lake, *summaries: dict[str, str]) -> Table:
    """A commit each, of one minute."""
    table = lake.table(CHUNKS)
    for minute, summary in enumerate(summaries):
        made = write_parquet(table, chunk_rows([minute]), row_group_rows=10)
        commit(table, [made], summary=summary)
    return table


def ages(table: Table, *hours_ago: float) -> tuple[Table, int]:
    """The table as if its commits were so old. Returns: it, and the time."""
    now_ms = time.time_ns() // 1_000_000
    snapshots = [
        snapshot.model_copy(update={"timestamp_ms": now_ms - round(hours * HOUR_MS)})
        for snapshot, hours in zip(table.metadata.snapshots, hours_ago, strict=True)
    ]
    table.metadata = table.metadata.model_copy(update={"snapshots": snapshots})
    return table, now_ms


def left(table: Table, now_ms: int, read: tuple[int, ...] = ()) -> list[int]:
    """Which of its commits stay, by their place."""
    gone = {s.snapshot_id for s in old_snapshots(table.metadata, UPKEEP, now_ms, read)}
    there = [s.snapshot_id for s in table.metadata.snapshots]
    return [place for place, number in enumerate(there) if number not in gone]


def test_what_nobody_needs_goes_after_a_day(lake: Lake) -> None:
    table, now_ms = ages(history(lake, {}, {}, {}, {}), 30, 24.1, 23.9, 1)
    assert left(table, now_ms) == [2, 3]


def test_the_last_state_stays_however_old_it_is(lake: Lake) -> None:
    table, now_ms = ages(history(lake, {}, {}), 9000, 8000)
    assert left(table, now_ms) == [1]


def test_from_the_newest_commit_of_a_job_that_is_down_all_stay(lake: Lake) -> None:
    table = history(lake, flink("a", 1), flink("a", 2), {}, {}, {})
    table, now_ms = ages(table, 60, 59, 50, 40, 1)
    # Flink walks from 4 to 3, 2 and 1, where it finds checkpoint 2 of job a
    assert left(table, now_ms) == [1, 2, 3, 4]


def test_how_far_archive_events_is_stays_known(lake: Lake) -> None:
    table = history(lake, {OFFSETS: "[]"}, {OFFSETS: "[]"}, {}, {})
    table, now_ms = ages(table, 60, 59, 50, 1)
    assert left(table, now_ms) == [1, 2, 3]


def test_each_job_and_each_operator_counts(lake: Lake) -> None:
    table = history(lake, flink("a", 7), flink("b", 1, "x"), flink("b", 1, "y"), flink("b", 2, "x"))
    table, now_ms = ages(table, 60, 50, 40, 30)
    assert left(table, now_ms) == [0, 1, 2, 3]
    table, now_ms = ages(table, 73, 50, 40, 30)  # job a is gone for three days
    assert left(table, now_ms) == [2, 3]


def test_what_a_reader_compares_with_stays_alone(lake: Lake) -> None:
    table, now_ms = ages(history(lake, {}, {}, {}), 100, 90, 1)
    first = table.metadata.snapshots[0].snapshot_id
    assert left(table, now_ms, (first,)) == [0, 2]


def test_tags_stay(lake: Lake) -> None:
    table = history(lake, {}, {}, {})
    table.manage_snapshots().create_tag(table.metadata.snapshots[1].snapshot_id, "audit").commit()
    table, now_ms = ages(table, 100, 90, 1)
    assert left(table, now_ms) == [1, 2]


def test_the_parents_that_flink_walks_along_are_still_there(lake: Lake) -> None:
    history(lake, {}, flink("a", 5), {}, {})
    now_ms = time.time_ns() // 1_000_000
    work = lake.work("2026-01-01")
    late = type(work)(**{**vars(work), "now_ms": now_ms + 2 * DAY_MS})
    dry = list(expire(type(work)(**{**vars(late), "dry_run": True})))
    assert len(lake.table(CHUNKS).metadata.snapshots) == 4
    assert [(d.table, d.why) for d in dry] == [("chunks", "1 snapshots")]
    assert list(expire(late)) == dry
    metadata = lake.table(CHUNKS).metadata
    assert len(metadata.snapshots) == 3
    at, found = metadata.current_snapshot(), None
    while at is not None and found is None:
        found = at.summary[CHECKPOINT] if at.summary else None
        at = metadata.snapshot_by_id(at.parent_snapshot_id or 0)
    assert found == "5"
    assert len(lake.rows(CHUNKS)) == 4


def test_a_commit_at_the_same_time_is_not_lost(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    history(lake, {}, {})
    refresh = Table.refresh
    other: list[pa.Table] = []

    def meanwhile(table: Table) -> Table:
        if not other:
            other.append(chunk_rows([30]))
            lake.add(CHUNKS, other[0])
        return refresh(table)

    work = lake.work("2126-01-01")
    monkeypatch.setattr("jobs.lake.maintain.metadata.Table.refresh", meanwhile)
    list(expire(work))
    assert len(lake.rows(CHUNKS)) == 3
