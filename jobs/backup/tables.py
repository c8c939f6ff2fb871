"""The part `lake`: each table as it was at one moment, with its history and its files.

Tables are looked at in the order in which compaction would have been stopped by a crash, the last
write first, so that what lies in the backup is a state that it goes on from.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.backup.manifest import BackupError
from jobs.backup.moved import Names
from jobs.backup.pending import Waiting, committed, waiting
from jobs.backup.store import Store
from jobs.lake.maintain.lease import LEASE, Lease
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import (
    CHUNKS,
    READINGS,
    RESTATEMENTS,
    ROLLUPS,
    ROLLUPS_DAY,
    ROLLUPS_HOUR,
)

PART = "lake"
_FIRST = [t.name for t in (CHUNKS, READINGS, ROLLUPS_DAY, ROLLUPS_HOUR, ROLLUPS, RESTATEMENTS)]
_DELETED = 2


class Newer(Exception):
    """The table went on past a savepoint: take another savepoint."""


@dataclass
class Pinned:
    """A table as it was loaded once. waiting: what a savepoint will commit to it."""

    table: Table
    waiting: list[Waiting] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.table.name()[-1]


def hold(catalog: Catalog, settings: LakeSettings) -> Lease:
    """Keeps maintenance from deleting what is being copied. Raises: LeaseTaken, on entry."""
    return Lease(catalog, settings, f"backup/{socket.gethostname()}/{os.getpid()}")


def pin(
    store: Store, catalog: Catalog, settings: LakeSettings, savepoints: Mapping[str, int]
) -> list[Pinned]:
    """Load all tables, and copy at once what a commit of Flink's would delete.

    Args: savepoints: the checkpoint of each job's savepoint, by job id, in folder `flink`.
    Raises: Newer.
    """
    found = {name[-1] for name in catalog.list_tables(settings.namespace)} - {LEASE.name}
    first = [name for name in _FIRST if name in found]
    names = first + sorted(found - set(first))
    pinned = [Pinned(catalog.load_table((settings.namespace, name))) for name in names]
    for each in pinned if savepoints else ():
        _wait_for(store, each, catalog, savepoints)
    return pinned


def _wait_for(
    store: Store, pinned: Pinned, catalog: Catalog, savepoints: Mapping[str, int]
) -> None:
    table = pinned.table
    for job, checkpoint in savepoints.items():
        if committed(table, job) > checkpoint:
            raise Newer(f"{pinned.name}: has commits after the savepoint")
        pinned.waiting += waiting(table, store.folder / "flink" / job)
    for each in pinned.waiting:
        path = f"{table.location().rstrip('/')}/metadata/{each.name}"
        try:
            with table.io.new_input(path).open() as source:
                store.copy(f"{PART}/{pinned.name}/metadata/{each.name}", source)  # type: ignore[arg-type]
        except FileNotFoundError:
            raise Newer(f"{pinned.name}: {each.name} was committed meanwhile") from None


def copy_tables(
    store: Store, pinned: Sequence[Pinned], lease: Lease, with_data: bool
) -> dict[str, Any]:
    """Copy the files. Returns: rows, files and bytes of each table."""
    counts = {}
    for each in pinned:
        counts[each.name] = _Copy(store, each, lease, with_data).all()
    return counts


class _Copy:
    def __init__(self, store: Store, pinned: Pinned, lease: Lease, with_data: bool) -> None:
        self._store, self._pinned, self._lease, self._with_data = store, pinned, lease, with_data
        self._table = pinned.table
        self._names = Names(self._table.location())
        self._folder = f"{PART}/{pinned.name}"

    def all(self) -> dict[str, int]:
        """Metadata, manifests of all snapshots, and the data files that they name."""
        table, metadata = self._table, self._table.metadata
        self._file(table.metadata_location)
        for statistics in (*metadata.statistics, *metadata.partition_statistics):
            self._file(statistics.statistics_path)
        for snapshot in metadata.snapshots:
            self._file(snapshot.manifest_list)
            for record in self._records(snapshot.manifest_list):
                self._manifest(record["manifest_path"])
        for each in self._pinned.waiting:
            self._manifest(f"{self._folder_of_metadata()}/{each.name}")
        self._store.write_json(f"{self._folder}/table.json", self._facts())
        return self._count()

    def _manifest(self, path: str) -> None:
        self._file(path)
        for record in self._records(path) if self._with_data else ():
            if record["status"] != _DELETED:
                file = record["data_file"]
                self._file(file["file_path"], file["file_size_in_bytes"])

    def _file(self, path: str, size: int | None = None) -> None:
        """Copy a file, once."""
        name = f"{self._folder}/{self._names.inner(path)}"
        if name in self._store.files or (size is not None and self._store.link(name, size)):
            return
        self._lease.renew()
        try:
            with self._table.io.new_input(path).open() as source:
                self._store.copy(name, source)  # type: ignore[arg-type]
        except FileNotFoundError:
            raise BackupError(
                f"{path}: table {self._pinned.name} names it, and it is gone"
            ) from None

    def _records(self, path: str) -> Iterator[dict[str, Any]]:
        """Of a file of Avro that was copied."""
        with (self._store.folder / self._folder / self._names.inner(path)).open("rb") as source:
            yield from fastavro.reader(source)  # type: ignore[misc]

    def _facts(self) -> dict[str, Any]:
        """What a restore has to know beside the metadata."""
        return {
            "location": self._table.location(),
            "metadata": self._names.inner(self._table.metadata_location),
            "with_data": self._with_data,
            "waiting": [vars(each) for each in self._pinned.waiting],
        }

    def _count(self) -> dict[str, int]:
        snapshot = self._table.current_snapshot()
        summary: Mapping[str, str] = (snapshot.summary if snapshot else None) or {}
        under = f"{self._folder}/"
        mine = [file for path, file in self._store.files.items() if path.startswith(under)]
        return {
            "rows": int(summary.get("total-records") or 0) + self._waiting_rows(),
            "snapshots": len(self._table.metadata.snapshots),
            "files": len(mine),
            "bytes": sum(file.bytes for file in mine),
        }

    def _waiting_rows(self) -> int:
        paths = [f"{self._folder_of_metadata()}/{each.name}" for each in self._pinned.waiting]
        return sum(r["data_file"]["record_count"] for path in paths for r in self._records(path))

    def _folder_of_metadata(self) -> str:
        return f"{self._table.location().rstrip('/')}/metadata"


def folder_of(folder: Path, table: str) -> Path:
    """Where a backup has a table."""
    return folder / PART / table
