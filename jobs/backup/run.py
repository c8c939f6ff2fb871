"""A backup, part by part, in the order that makes it fit together (docs/backup.md says why).

    manifest = back_up(folder, Places(bootstrap=..., flink=..., lake=settings), PARTS)

Offsets before what was made of the records; savepoints before the tables, and again when a table
went on meanwhile; the tables before InfluxDB, which takes every point twice without harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pyiceberg.catalog import Catalog

from jobs.backup import conf, manifest, points, savepoints, tables, topics
from jobs.backup.manifest import BackupError, Manifest
from jobs.backup.store import Store
from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings

PARTS = ("conf", "offsets", "kafka", "flink", "lake", "influx")
TRIES = 3
_TOKENS = "tokens of InfluxDB, Kafka, the catalog and object storage: set them anew"

Told = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where the parts are; those of parts that are not wanted do not matter."""

    bootstrap: str = ""
    flink: str = ""
    lake: LakeSettings = field(default_factory=lambda: LakeSettings())  # type: ignore[call-arg]
    influx: str = ""
    influx_token: SecretStr = field(default_factory=lambda: SecretStr(""))
    conf: Path = Path("flink-conf")


def back_up(
    folder: Path,
    places: Places,
    parts: Collection[str] = PARTS,
    with_data: bool = True,
    told: Told = lambda line: None,
) -> Manifest:
    """Write a backup into an empty folder. Raises: BackupError, LeaseTaken: it is none."""
    return _Run(folder, places, with_data, told).run(parts)


class _Run:
    def __init__(self, folder: Path, places: Places, with_data: bool, told: Told) -> None:
        self._store, self._places = Store(folder), places
        self._with_data, self._told = with_data, told
        self._counts: dict[str, dict[str, Any]] = {}
        self._seconds: dict[str, float] = {}
        self._left_out = [_TOKENS]

    def run(self, parts: Collection[str]) -> Manifest:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        places = self._places
        if "conf" in parts:
            with self._timed("conf"):
                self._counts["conf"], secrets = conf.store_conf(self._store, places.conf)
                self._left_out += secrets
        if "offsets" in parts:
            with self._timed("offsets"):
                self._counts["offsets"] = topics.store_offsets(self._store, places.bootstrap)
        if "kafka" in parts:
            with self._timed("kafka"):
                self._counts["kafka"] = topics.store_topics(self._store, places.bootstrap)
                self._left_out.append("kafka: records of topics that are not compacted")
        if "lake" in parts:
            self._lake("flink" in parts)
        elif "flink" in parts:
            self._savepoints()
        if "influx" in parts:
            with self._timed("influx"):
                self._buckets()
        self._left_out += [f"part {part}: not wanted" for part in PARTS if part not in parts]
        return self._end(made)

    def _end(self, made: str) -> Manifest:
        found = Manifest(
            made=made,
            counts=self._counts,
            seconds=self._seconds,
            left_out=self._left_out,
            files=list(self._store.files.values()),
        )
        manifest.write(self._store.folder, found)
        return found

    def _lake(self, with_savepoints: bool) -> None:
        """Savepoints, and the tables as they belong to them."""
        lake = self._places.lake
        with open_catalog(lake) as catalog, tables.hold(catalog, lake) as lease:
            pinned = self._pin(catalog, with_savepoints)
            with self._timed("lake"):
                counts = tables.copy_tables(self._store, pinned, lease, self._with_data)
        self._counts["lake"] = counts
        if not self._with_data:
            self._left_out.append("lake: data files (--without-data)")
        if self._store.linked:
            self._told(f"{self._store.linked:,} bytes are those of an earlier backup: linked")

    def _pin(self, catalog: Catalog, with_savepoints: bool) -> list[tables.Pinned]:
        for attempt in range(1, TRIES + 1):
            taken = self._savepoints() if with_savepoints else {}
            try:
                return tables.pin(self._store, catalog, self._places.lake, taken)
            except tables.Newer as newer:
                self._told(f"{newer}: attempt {attempt} of {TRIES}")
                self._store.forget("flink/")
                self._store.forget("lake/")
        raise BackupError(
            f"tables went on past {TRIES} savepoints: commit less often (archive_readings, "
            "commit_every_s) or cancel the job for the time of the backup"
        )

    def _savepoints(self) -> dict[str, int]:
        with self._timed("flink"):
            taken = savepoints.take(self._store, self._places.flink)
        size = sum(each.bytes for each in taken)
        self._counts["flink"] = {"savepoints": len(taken), "bytes": size}
        return {each.id: each.checkpoint for each in taken}

    def _buckets(self) -> None:
        server = points.Server(self._places.influx, self._places.influx_token)
        try:
            self._counts["influx"] = points.store_buckets(self._store, server)
        finally:
            server.close()
        self._left_out.append("influx: users, dashboards, tasks, and buckets of its own")

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[part] = round(time.monotonic() - began, 3)
        self._told(f"{part}: {self._seconds[part]:.1f} s")
