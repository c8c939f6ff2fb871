"""The files under a table's location, by the file system that its FileIO uses.

for file in listed(table):
    file.key, file.path, file.bytes, file.changed_ms
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from pyarrow.fs import FileSelector, FileType
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from jobs.lake.errors import LakeError


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that lies there. key: the same for every way to write its place."""

    path: str
    key: str
    bytes: int
    changed_ms: int


def key_of(path: str) -> str:
    """`file:/a`, `file:///a` and `/a` are one file, `s3a://b/c` and `s3://b/c` as well."""
    found = urlsplit(path)
    # a name may hold what is special in a URL
    rest = path.partition(":")[2] if found.scheme else path
    if found.scheme in ("", "file"):
        return "/" + rest.lstrip("/")
    return "s3:" + rest if found.scheme in ("s3", "s3a", "s3n") else path


def listed(table: Table) -> Iterator[Listed]:
    """All files in the table's folder, one of its inner folders in memory at a time.

    Raises: LakeError: the table's files are not on a file system of PyArrow.
    """
    if not isinstance(table.io, PyArrowFileIO):
        raise LakeError(f"{table.location()}: cannot be listed with {type(table.io).__name__}")
    scheme, netloc, place = PyArrowFileIO.parse_location(table.location())
    system = table.io.fs_by_scheme(scheme, netloc)
    prefix = table.location().removesuffix("/")
    folders = [place]
    depth = {place: 0}
    while folders:
        folder = folders.pop()
        deep = depth[folder] >= 2  # data/facility=...: below it all at once
        selector = FileSelector(folder, recursive=deep, allow_not_found=True)
        for info in system.get_file_info(selector):
            if info.type == FileType.File:
                path = prefix + cast(str, info.path).removeprefix(place.removesuffix("/"))
                yield Listed(path, key_of(path), info.size, (info.mtime_ns or 0) // 1_000_000)
            elif info.type == FileType.Directory and not deep:
                folders.append(info.path)
                depth[info.path] = depth[folder] + 1
