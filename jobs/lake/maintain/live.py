"""The live files of a table, one manifest in memory at a time.

    for live in live_files(table):
        live.facility, live.low_ms, live.high_ms

A DataFile holds the bounds of every column, some kilobytes; of a table with a million of them only
what a step decides by is kept, and the few that it removes are fetched again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import TimestamptzType

from jobs.lake.maintain.policy import FOREVER_MS
from jobs.lake.spec import TableSpec

_TIME = TimestamptzType()


@dataclass(frozen=True, slots=True)
class Live:
    """A live data file. partition: its values in the spec's order. facility: None where the table
    is not partitioned by it. low_ms, high_ms: ends of the partitioned time column, both included;
    without bounds in the manifest all time. sequence: of the commit that added it.
    """

    path: str
    facility: str | None
    partition: tuple[object, ...]
    low_ms: int
    high_ms: int
    rows: int
    bytes: int
    sequence: int
    snapshot_id: int

    def meets(self, low_ms: int, end_ms: int) -> bool:
        """Whether it may have rows at or after low_ms and before end_ms."""
        return self.low_ms < end_ms and self.high_ms >= low_ms


def time_column(spec: TableSpec) -> str:
    """The column by whose time the table is partitioned."""
    return next(name for name, how in spec.partitions.items() if how)


def live_files(table: Table, spec: TableSpec, snapshot: Snapshot | None = None) -> Iterator[Live]:
    """Files that are live in a snapshot, else in the table as it was loaded."""
    snapshot = snapshot or table.current_snapshot()
    for manifest in manifests(table, snapshot):
        yield from live_in(table, spec, manifest)


def manifests(table: Table, snapshot: Snapshot | None) -> list[ManifestFile]:
    """The manifests of data files of a snapshot; none where there is no snapshot."""
    found = snapshot.manifests(table.io) if snapshot else []
    return [each for each in found if each.content == ManifestContent.DATA]


def live_in(table: Table, spec: TableSpec, manifest: ManifestFile) -> Iterator[Live]:
    """The live files that a manifest names."""
    time_id = table.schema().find_field(time_column(spec)).field_id
    facility = next((n for n, name in enumerate(spec.partitions) if name == "facility"), None)
    for entry in manifest.fetch_manifest_entry(table.io):
        yield _live(entry, time_id, facility)


def _live(entry: ManifestEntry, time_id: int, facility: int | None) -> Live:
    file = entry.data_file
    partition = tuple(file.partition[n] for n in range(len(file.partition)))
    return Live(
        file.file_path,
        None if facility is None else str(partition[facility]),
        partition,
        _bound_ms(file.lower_bounds, time_id, -FOREVER_MS),
        _bound_ms(file.upper_bounds, time_id, FOREVER_MS),
        file.record_count,
        file.file_size_in_bytes,
        entry.sequence_number or 0,
        entry.snapshot_id or 0,
    )


def _bound_ms(bounds: dict[int, bytes] | None, field_id: int, absent: int) -> int:
    found = (bounds or {}).get(field_id)
    return absent if found is None else int(from_bytes(_TIME, found)) // 1000


def pick(table: Table, paths: Collection[str]) -> list[DataFile]:
    """The data files of these paths, as a commit takes them; those that are gone are left out."""
    wanted = set(paths)
    return [
        entry.data_file
        for manifest in (manifests(table, table.current_snapshot()) if wanted else ())
        for entry in manifest.fetch_manifest_entry(table.io)
        if entry.data_file.file_path in wanted
    ]


def facilities_in(table: Table, live: Live) -> list[str]:
    """Whose rows a file has, sorted; of tables that are not partitioned by it, the file is read."""
    if live.facility is not None:
        return [live.facility]
    with table.io.new_input(live.path).open() as source:
        column = pq.ParquetFile(source).read(["facility"])["facility"]
    return sorted(pc.unique(column).to_pylist())
