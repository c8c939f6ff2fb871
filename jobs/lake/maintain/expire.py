"""Step expire: old states of tables are forgotten, but for those that somebody still needs.

Flink's sink finds out what it has committed by walking back from the newest snapshot, from parent
to parent, to one of its own job; where the walk ends too early it commits again what is there. So
not only the newest snapshot of each job is kept, but all after it. Files are not deleted here:
those that no snapshot names any more are orphans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import TableUpdate

from jobs.lake.events.tables import OFFSETS
from jobs.lake.maintain.coarser_job import MAKINGS
from jobs.lake.maintain.marks import load_mark
from jobs.lake.maintain.metadata import change, forgotten
from jobs.lake.maintain.policy import Upkeep
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.tables import TABLES

STEP = "expire"
JOB = "flink.job-id"
OPERATOR = "flink.operator-id"
CHECKPOINT = "flink.max-committed-checkpoint-id"


def expire(work: Work) -> Iterator[Deed]:
    """Forget old snapshots of every table."""
    more = work.deadline()
    marked = {making.source.name: making.target for making in MAKINGS}
    for spec in TABLES:
        if not more():
            return
        table = work.table(spec)
        target = marked.get(spec.name)
        read = load_mark(work.table(target)).needed() if target else set[int]()
        gone = old_snapshots(table.metadata, work.policy.upkeep, work.now_ms, read)
        if gone and not work.dry_run:
            _forget(table, {snapshot.snapshot_id for snapshot in gone})
        if gone:
            yield Deed(STEP, spec.name, "", "expire", why=f"{len(gone)} snapshots")


def old_snapshots(
    metadata: TableMetadata, upkeep: Upkeep, now_ms: int, read: Iterable[int] = ()
) -> list[Snapshot]:
    """The snapshots that nobody needs.

    Args: read: ids of those that a reader will compare with.
    """
    needed = set(read) | {ref.snapshot_id for ref in metadata.refs.values()}
    needed |= _of_writers(metadata, now_ms - upkeep.writers)
    old_ms = now_ms - upkeep.snapshots
    return [
        snapshot
        for snapshot in metadata.snapshots
        if snapshot.timestamp_ms < old_ms and snapshot.snapshot_id not in needed
    ]


def _of_writers(metadata: TableMetadata, since_ms: int) -> set[int]:
    """On every branch: the newest snapshot of each writer that is not gone, and all after it."""
    needed: set[int] = set()
    for ref in metadata.refs.values():
        chain = list(_back(metadata, ref.snapshot_id))
        seen: set[tuple[str | None, ...]] = set()
        keep = 0
        for place, snapshot in enumerate(chain, 1):
            writer = _writer(snapshot)
            if writer and writer not in seen and snapshot.timestamp_ms >= since_ms:
                seen.add(writer)
                keep = place
        needed.update(snapshot.snapshot_id for snapshot in chain[:keep])
    return needed


def _back(metadata: TableMetadata, snapshot_id: int | None) -> Iterator[Snapshot]:
    """A snapshot and its parents, as far as they are there."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in metadata.snapshots}
    while snapshot_id in by_id:
        snapshot = by_id[snapshot_id]
        yield snapshot
        snapshot_id = snapshot.parent_snapshot_id


def _writer(snapshot: Snapshot) -> tuple[str | None, ...] | None:
    """Which operator of which Flink job made it, or that archive_events did, which finds out in the
    same way how far it is; None: another program.
    """
    summary = snapshot.summary
    if summary is not None and summary[OFFSETS] is not None:
        return (OFFSETS,)
    if summary is None or summary[JOB] is None or summary[CHECKPOINT] is None:
        return None
    return summary[JOB], summary[OPERATOR]


def _forget(table: Table, ids: set[int]) -> None:
    def updates(now: Table) -> tuple[TableUpdate, ...]:
        there = ids & {snapshot.snapshot_id for snapshot in now.metadata.snapshots}
        there -= {ref.snapshot_id for ref in now.metadata.refs.values()}
        return (forgotten(there),) if there else ()

    change(table, updates)
