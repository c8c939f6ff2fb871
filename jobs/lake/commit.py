"""One commit to a table: files are added and removed in one snapshot, exactly once.

    table = commit(table, add=[made], remove=old, summary={"hardiot.job": "compact_readings"})

The commit names itself in the snapshot's summary. Before each attempt the table is loaded anew and
looked through for that name: so an answer that was lost, a 5xx, or a 409 that a proxy's own second
attempt got, adds nothing twice. An attempt that is still under way somewhere cannot take effect
later: it names the snapshot that it was made for, and that one is no longer the last.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pydantic
import stamina
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    ValidationException,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update.snapshot import _SnapshotProducer
from sqlalchemy.exc import DBAPIError

from jobs.lake.errors import CommitTimeout, FilesChanged

COMMIT_ID = "hardiot.commit-id"
CLAIMS = "hardiot.claims"
LIMIT_S = 300.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 2.0
_JITTER_S = 0.5  # writers that met must not meet again

# what passes: a conflict, a server that is down or restarting, a lost answer (OSError holds those
# of requests), half an answer (pydantic), a locked database
PASSING = (
    CommitFailedException,
    CommitStateUnknownException,
    ServerError,
    ServiceUnavailableError,
    TooManyRequestsError,
    pydantic.ValidationError,
    DBAPIError,
    OSError,
)


def commit(
    table: Table,
    add: Sequence[DataFile] = (),
    remove: Sequence[DataFile] = (),
    summary: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
    claims: Iterable[str] = (),
) -> Table:
    """Remove and add data files in one snapshot; without any the table is only refreshed.

    Args: table: it is refreshed in place. add: files that lie in the table's folder, of
        `write_parquet`. remove: live files, of `data_files`; found by their paths. summary: more
        keys of the snapshot's summary. limit_s: after so long no new attempt begins. claims: names
            of the work, without spaces; somebody who did some of it since `table` was loaded wins.
    Returns: the table, with the commit in it.
    Raises: FilesChanged: a file to remove is no longer live, or a claim is taken; nothing was done.
        CommitTimeout.
    """
    work = _Commit(table, add, remove, dict(summary or {}), frozenset(claims))
    try:
        for attempt in stamina.retry_context(
            PASSING,
            attempts=None,
            timeout=limit_s,
            wait_initial=_FIRST_WAIT_S,
            wait_max=_LONGEST_WAIT_S,
            wait_jitter=_JITTER_S,
        ):
            with attempt:
                work.attempt()
    except PASSING as error:
        raise CommitTimeout(work.explain(limit_s, error)) from error
    return table


class _Unstaged(Transaction):
    """Stages nothing, so the metadata needs no copy: PyIceberg makes a deep one each time that it
    looks, 13 a commit, which with some hundred snapshots is most of what a commit costs.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        return self._table.metadata


class _Commit:
    def __init__(
        self,
        table: Table,
        add: Sequence[DataFile],
        remove: Sequence[DataFile],
        summary: dict[str, str],
        claims: frozenset[str],
    ) -> None:
        self.table, self.add, self.remove = table, add, remove
        self.id = uuid.uuid4().hex
        self.claims, self.known = claims, {s.snapshot_id for s in table.metadata.snapshots}
        claimed = {CLAIMS: " ".join(sorted(claims))} if claims else {}
        self.summary = summary | claimed | {COMMIT_ID: self.id}
        self.refused: list[_SnapshotProducer[Any]] = []
        self.unsure: list[_SnapshotProducer[Any]] = []

    def attempt(self) -> None:
        """Load the table anew; unless an earlier attempt is in it, try once."""
        self.table.refresh()
        done = self._find()
        self._sweep(done)
        if done or not (self.add or self.remove):
            return
        self._check_claims()
        producer = self._producer()
        try:
            updates, requirements = producer._commit()
        except ValidationException as error:
            raise FilesChanged(f"{self._name()}: {error}") from error
        try:
            # PyIceberg's own loop would retry too, and deletes manifests after a 409 without
            # a look whether they are in use
            self.table._do_commit(updates, requirements)
        except CommitFailedException:
            self.refused.append(producer)
            raise
        except Exception:
            self.unsure.append(producer)
            raise
        self._sweep(self.table.current_snapshot())

    def explain(self, limit_s: float, error: Exception) -> str:
        """Why there is no commit, and whether there may be one after all."""
        state = "it may have taken effect" if self.unsure else "it did not take effect"
        return (
            f"{self._name()}: no commit in {limit_s:g} s: {error}; {state} ({COMMIT_ID} {self.id})"
        )

    def _producer(self) -> _SnapshotProducer[Any]:
        """Overwrites find files by their paths; appends merge manifests when there are many."""
        update = _Unstaged(self.table).update_snapshot(self.summary)
        producer = update.overwrite() if self.remove else update.merge_append()
        for file in self.remove:
            producer.delete_data_file(file)
        for file in self.add:
            producer.append_data_file(file)
        return producer

    def _find(self) -> Snapshot | None:
        """The snapshot of this very commit, of whichever attempt."""
        for snapshot in reversed(self.table.metadata.snapshots):
            if snapshot.summary is not None and snapshot.summary[COMMIT_ID] == self.id:
                return snapshot
        return None

    def _check_claims(self) -> None:
        """Raises: FilesChanged: somebody else did the same. Nobody can from here on: the commit
        takes effect only on the table as it is now."""
        for snapshot in self.table.metadata.snapshots if self.claims else ():
            if snapshot.snapshot_id not in self.known and snapshot.summary is not None:
                taken = self.claims.intersection((snapshot.summary[CLAIMS] or "").split())
                if taken:
                    raise FilesChanged(f"{self._name()}: done by somebody else: {min(taken)}")

    def _sweep(self, done: Snapshot | None) -> None:
        """Delete what attempts wrote that can no longer take effect."""
        failed = self.refused + (self.unsure if done else [])
        for producer in failed:
            if done is None or done.manifest_list not in producer._written_manifest_lists:
                producer._clean_all_uncommitted()
        self.refused.clear()
        if done:
            self.unsure.clear()

    def _name(self) -> str:
        return ".".join(self.table.name())
