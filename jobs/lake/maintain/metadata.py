"""Changes of a table that add and remove no files: properties, snapshots that are forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import stamina
from pyiceberg.table import Table
from pyiceberg.table.update import AssertTableUUID, RemoveSnapshotsUpdate, TableUpdate

from jobs.lake.commit import PASSING

Change = Callable[[Table], tuple[TableUpdate, ...]]


def forgotten(ids: Iterable[int]) -> RemoveSnapshotsUpdate:
    """That these snapshots are forgotten."""
    return RemoveSnapshotsUpdate.model_validate({"snapshot-ids": sorted(ids)})


def change(table: Table, updates: Change, limit_s: float = 60.0) -> None:
    """Load the table anew and commit what `updates` says of it; again when that passes.

    Args: updates: what is to be changed in the table as it is; nothing: all is done.
    """
    for attempt in stamina.retry_context(PASSING, attempts=None, timeout=limit_s, wait_max=5.0):
        with attempt:
            table.refresh()
            if found := updates(table):
                table._do_commit(found, (AssertTableUUID(uuid=table.metadata.table_uuid),))
