"""Iceberg's metadata with other paths in it: they are absolute, and so is all that a restore moves.

    names = Names("file:///old/chunks")
    names.inner("file:/old/chunks/data/1.parquet")          # "data/1.parquet"
    rewrite_manifest(source, sink, lambda path: new path)

Records are taken as Avro has them, with the schema and the header that their writer gave: what one
library writes and another does not know is kept.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import fastavro

from jobs.lake.maintain.listing import key_of

Change = Callable[[str], str]


class Names:
    """Names of a table's files inside of its folder."""

    def __init__(self, location: str) -> None:
        self._folder = key_of(location).rstrip("/") + "/"

    def inner(self, path: str) -> str:
        """From the table's folder; what lies elsewhere gets a name in `outside`."""
        key = key_of(path)
        if key.startswith(self._folder):
            return key.removeprefix(self._folder)
        mark = hashlib.sha256(key.encode()).hexdigest()[:16]
        return f"outside/data/{mark}-{key.rpartition('/')[2]}"


def rewrite_manifest(source: BinaryIO, sink: BinaryIO, change: Change) -> None:
    """Change the paths of data files."""

    def changed(record: dict[str, Any]) -> dict[str, Any]:
        record["data_file"]["file_path"] = change(record["data_file"]["file_path"])
        return record

    _rewrite(source, sink, changed)


def rewrite_manifest_list(
    source: BinaryIO, sink: BinaryIO, change: Change, size: Callable[[str], int]
) -> None:
    """Change the paths of manifests, and say how long they are now. size: by the old path."""

    def changed(record: dict[str, Any]) -> dict[str, Any]:
        record["manifest_length"] = size(record["manifest_path"])
        record["manifest_path"] = change(record["manifest_path"])
        return record

    _rewrite(source, sink, changed)


def _rewrite(
    source: BinaryIO, sink: BinaryIO, changed: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    reader = fastavro.reader(source)
    more = {key: text for key, text in reader.metadata.items() if not key.startswith("avro.")}
    records: Iterator[dict[str, Any]] = (changed(record) for record in reader)  # type: ignore[arg-type]
    schema = json.loads(reader.metadata["avro.schema"])
    codec = reader.metadata.get("avro.codec", "null")
    fastavro.writer(sink, schema, records, codec=codec, metadata=more)


def read_metadata(name: str, data: bytes) -> dict[str, Any]:
    """A table's metadata.json, packed or not."""
    found: dict[str, Any] = json.loads(gzip.decompress(data) if ".gz." in name else data)
    return found


def move_metadata(
    metadata: dict[str, Any], location: str, change: Change, forget: str | None = None
) -> bytes:
    """The same table elsewhere: snapshots with their summaries stay, the log of what the metadata
    were before goes, for those files are not in a backup.

    Args: forget: a key of the summaries that means nothing where the table goes.
    """
    old = str(metadata["location"])
    moved = metadata | {"location": location, "metadata-log": []}
    for snapshot in moved["snapshots"]:
        snapshot["manifest-list"] = change(snapshot["manifest-list"])
        snapshot.get("summary", {}).pop(forget, None)
    for each in (*moved.get("statistics", ()), *moved.get("partition-statistics", ())):
        each["statistics-path"] = change(each["statistics-path"])
    moved["properties"] = {
        key: location + text.removeprefix(old) if text.startswith(old) else text
        for key, text in moved.get("properties", {}).items()
    }
    return json.dumps(moved).encode()
