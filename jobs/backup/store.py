"""The folder that a backup is written into: each file is hashed on its way.

store = Store(folder)               # BackupError: something is in it
store.write("kafka/topics.json", data)
with source: store.copy("lake/chunks/data/1.parquet", source)
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from jobs.backup.manifest import NAME, BackupError, File, digest, read


class Store:
    """Only its owner can read it. files: what is in it so far. linked: bytes of it that an earlier
    backup in the same parent has, and that take no room."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BackupError(f"{folder}: not empty: give each backup a folder of its own")
        folder.chmod(0o700)
        self.folder = folder.resolve()
        self.files: dict[str, File] = {}
        self.linked = 0
        self._earlier = _earlier(self.folder)

    def write(self, path: str, data: bytes) -> None:
        """A small file."""
        self.copy(path, io.BytesIO(data))

    def write_json(self, path: str, value: Any) -> None:
        """A small file of JSON."""
        self.write(path, (json.dumps(value, indent=1) + "\n").encode())

    def write_pieces(self, path: str, pieces: Iterable[bytes]) -> None:
        """A file of any size, a piece of it in memory."""
        with self._place(path).open("xb") as sink:
            for piece in pieces:
                sink.write(piece)
        self.adopt(path)

    def copy(self, path: str, source: BinaryIO) -> None:
        """A file of any size."""
        with self._place(path).open("xb") as sink:
            self._note(path, *digest(source, sink))

    def link(self, path: str, size: int) -> bool:
        """Whether an earlier backup has this file, of a name that is given once only."""
        found = self._earlier.get(path)
        if found is None or found[1].bytes != size:
            return False
        try:
            os.link(found[0], self._place(path))
        except OSError:  # gone meanwhile, or on another disk
            return False
        self._note(path, size, found[1].sha256)
        self.linked += size
        return True

    def adopt(self, path: str) -> None:
        """A file that somebody else wrote into the folder."""
        with (self.folder / path).open("rb") as source:
            self._note(path, *digest(source))

    def forget(self, under: str) -> None:
        """Remove what was written below a place."""
        for path in [each for each in self.files if each.startswith(under)]:
            (self.folder / path).unlink(missing_ok=True)
            del self.files[path]

    def _place(self, path: str) -> Path:
        place = self.folder / File(path=path, bytes=0, sha256="").path
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def _note(self, path: str, size: int, sha256: str) -> None:
        self.files[path] = File(path=path, bytes=size, sha256=sha256)


def _earlier(folder: Path) -> dict[str, tuple[Path, File]]:
    """Data files of the backups beside this one, by their paths."""
    found = {}
    for place in sorted(folder.parent.glob(f"*/{NAME}")):
        try:
            manifest = read(place.parent)
        except BackupError:
            continue
        for file in manifest.files:
            if file.path.startswith("lake/") and "/data/" in file.path:
                found[file.path] = (place.parent / file.path, file)
    return found
