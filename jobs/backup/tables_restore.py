"""The part `lake`, the way back: into another catalog, another place, and no other table.

back = TablesBack(folder, manifest, catalog, settings)
back.mistakes(); back.plan(); back.restore()
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import fastavro
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from jobs.backup.manifest import BackupError, Manifest
from jobs.backup.moved import (
    Names,
    move_metadata,
    read_metadata,
    rewrite_manifest,
    rewrite_manifest_list,
)
from jobs.backup.pending import CHECKPOINT, JOB, OPERATOR, Waiting, by_commit
from jobs.backup.tables import PART, folder_of
from jobs.lake.commit import commit
from jobs.lake.events.tables import OFFSETS
from jobs.lake.maintain.listing import listed
from jobs.lake.settings import LakeSettings


class TablesBack:
    """What a backup has of the lake, and where it goes.

    new_kafka: its topics begin anew, so what tables say of their offsets is of others.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        catalog: Catalog,
        settings: LakeSettings,
        new_kafka: bool = False,
    ) -> None:
        self._manifest, self._catalog = manifest, catalog
        self._settings = settings
        self._forget = OFFSETS if new_kafka else None
        names = manifest.counts.get(PART, {})
        self._tables = [_Back(folder_of(folder, name), name) for name in names]

    def mistakes(self) -> Iterator[str]:
        """Why it cannot be, a line each."""
        catalog, space = self._catalog, self._settings.namespace
        there = set()
        if catalog.namespace_exists(space):
            there = {name[-1] for name in catalog.list_tables(space)}
        for each in self._tables:
            if each.name in there:
                yield f"{space}.{each.name}: is in the catalog {self._settings.catalog_uri}"
            yield from each.missing(catalog)

    def plan(self) -> Iterator[str]:
        """What will be done."""
        for each in self._tables:
            count = self._manifest.counts[PART][each.name]
            yield (
                f"table {self._settings.namespace}.{each.name}: {count['rows']:,} rows, "
                f"{count['bytes']:,} bytes, to {self._settings.catalog_uri}"
            )

    def restore(self) -> None:
        """All files first, then the catalog. Raises: BackupError: a place is not empty."""
        space = self._settings.namespace
        self._catalog.create_namespace_if_not_exists(space)
        moves = [each.to(self._catalog, space) for each in self._tables]
        if full := [move.location for move in moves if move.is_full()]:
            raise BackupError("\n".join(f"{place}: not empty" for place in full))
        heads = [move.files(self._forget) for move in moves]
        for move, head in zip(moves, heads, strict=True):
            move.register(self._catalog, space, head)


class _Back:
    """One table in the backup."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        facts = json.loads((folder / "table.json").read_text())
        self.metadata_name: str = facts["metadata"]
        self.with_data: bool = facts["with_data"]
        self.waiting = [Waiting(**each) for each in facts["waiting"]]
        self.names = Names(facts["location"])
        data = (folder / self.metadata_name).read_bytes()
        self.metadata = read_metadata(self.metadata_name, data)

    def records(self, path: str) -> Iterator[dict[str, Any]]:
        """Of a file of Avro, by its old path."""
        with (self.folder / self.names.inner(path)).open("rb") as source:
            yield from fastavro.reader(source)  # type: ignore[misc]

    def manifests(self) -> list[str]:
        """Old paths of all manifests, each once."""
        lists = [snapshot["manifest-list"] for snapshot in self.metadata["snapshots"]]
        named = (record["manifest_path"] for path in lists for record in self.records(path))
        place = f"{self.metadata['location'].rstrip('/')}/metadata"
        return list(dict.fromkeys([*named, *(f"{place}/{each.name}" for each in self.waiting)]))

    def data_files(self) -> Iterator[tuple[str, int]]:
        """Old paths of data files and their sizes, each once."""
        known = set()
        for manifest in self.manifests():
            for record in self.records(manifest):
                path = record["data_file"]["file_path"]
                if record["status"] != 2 and path not in known:
                    known.add(path)
                    yield path, record["data_file"]["file_size_in_bytes"]

    def missing(self, catalog: Catalog) -> Iterator[str]:
        """Data files that were left out of the backup and are not where they were, either."""
        if self.with_data:
            return
        files = catalog._load_file_io(location=self.metadata["location"])
        for path, size in self.data_files():
            source = files.new_input(path)
            if not source.exists() or len(source) != size:
                yield f"{path}: not in the backup (--without-data), and not as it was"

    def to(self, catalog: Catalog, space: str) -> _Move:
        """Where the catalog puts it; nothing is made."""
        staged = catalog.create_table_transaction((space, self.name), Schema())
        return _Move(self, staged._table)


class _Move:
    """One table on its way."""

    def __init__(self, back: _Back, staged: Table) -> None:
        self._back, self._staged, self._io = back, staged, staged.io
        self.location = staged.location().rstrip("/")

    def is_full(self) -> bool:
        """Whether some file is there already."""
        return next(iter(listed(self._staged)), None) is not None

    def files(self, forget: str | None) -> str:
        """Write all files. Returns: the path of the metadata."""
        back, sizes = self._back, dict[str, int]()
        if back.with_data:
            for path, _ in back.data_files():
                self._plain(path)
        for path in back.manifests():
            sizes[path] = self._avro(path, lambda a, b: rewrite_manifest(a, b, self._data))
        for snapshot in back.metadata["snapshots"]:
            self._avro(
                snapshot["manifest-list"],
                lambda a, b: rewrite_manifest_list(a, b, self._moved, sizes.__getitem__),
            )
        for kind in ("statistics", "partition-statistics"):
            for each in back.metadata.get(kind, ()):
                self._plain(each["statistics-path"])
        head = f"{self.location}/{back.metadata_name.replace('.gz.', '.')}"
        data = move_metadata(back.metadata, self.location, self._moved, forget)
        self._write(head, io.BytesIO(data))
        return head

    def register(self, catalog: Catalog, space: str, head: str) -> None:
        """Make it a table, and finish what Flink had not committed."""
        table = catalog.register_table((space, self._back.name), head)
        for (job, operator), items in by_commit(self._back.waiting).items():
            files = [file for item in items for file in _data_files(table, item)]
            last = str(max(item.checkpoint for item in items))
            commit(table, files, summary={JOB: job, OPERATOR: operator, CHECKPOINT: last})

    def _moved(self, path: str) -> str:
        return f"{self.location}/{self._back.names.inner(path)}"

    def _data(self, path: str) -> str:
        return self._moved(path) if self._back.with_data else path

    def _plain(self, path: str) -> None:
        with (self._back.folder / self._back.names.inner(path)).open("rb") as source:
            self._write(self._moved(path), source)

    def _avro(self, path: str, rewrite: Callable[[BinaryIO, BinaryIO], None]) -> int:
        sink = io.BytesIO()  # some megabytes at most, and its length is wanted
        with (self._back.folder / self._back.names.inner(path)).open("rb") as source:
            rewrite(source, sink)
        sink.seek(0)
        self._write(self._moved(path), sink)
        return sink.getbuffer().nbytes

    def _write(self, path: str, source: BinaryIO) -> None:
        with self._io.new_output(path).create() as sink:
            while piece := source.read(1 << 20):
                sink.write(piece)


def _data_files(table: Table, item: Waiting) -> Iterator[DataFile]:
    """The data files of a manifest of Flink's, as a commit takes them."""
    path = f"{table.location().rstrip('/')}/metadata/{item.name}"
    manifest = ManifestFile.from_args(
        manifest_path=path,
        manifest_length=len(table.io.new_input(path)),
        partition_spec_id=table.spec().spec_id,
        content=ManifestContent.DATA,
        sequence_number=0,
        added_snapshot_id=0,
    )
    for entry in manifest.fetch_manifest_entry(table.io):
        if entry.data_file.content != DataFileContent.DATA:
            raise BackupError(f"{path}: deletes rows, which no job of the suite does")
        entry.data_file.spec_id = manifest.partition_spec_id
        yield entry.data_file
