"""What a backup says of itself: manifest.json, written last, so that a half backup has none.

manifest = read(folder)               # BackupError: none, damaged, or of a newer version
mistakes(folder, manifest)            # files that are missing, damaged or too many
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from jobs.common.errors import HardiotError

NAME = "manifest.json"
VERSION = 1
PIECE = 1 << 20


class BackupError(HardiotError):
    """A backup or a restore that cannot be; the text has all mistakes, one a line."""


class File(BaseModel):
    """A file of the backup. path: from its folder, with "/"."""

    model_config = ConfigDict(frozen=True)

    path: str
    bytes: int
    sha256: str

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError("leads out of the backup")
        return path


class Manifest(BaseModel):
    """The whole. made: when it began, UTC. counts: by part, what is in it. seconds: by part, what
    it took. left_out: what is not in it, and has to be had from elsewhere."""

    version: int = VERSION
    made: str
    counts: dict[str, dict[str, Any]]
    seconds: dict[str, float]
    left_out: list[str]
    files: list[File]


def write(folder: Path, manifest: Manifest) -> None:
    """Make the backup whole: all files are on the disk before the manifest is, which is at once."""
    os.sync()
    new = folder / f"{NAME}.new"
    with new.open("w", encoding="utf-8") as sink:
        sink.write(manifest.model_dump_json(indent=1) + "\n")
        sink.flush()
        os.fsync(sink.fileno())
    new.replace(folder / NAME)


def read(folder: Path) -> Manifest:
    """Raises: BackupError: not a whole backup, or one of a newer version."""
    place = folder / NAME
    try:
        found = json.loads(place.read_bytes())
        version = int(found["version"])
        if version > VERSION:
            raise BackupError(
                f"{place}: of version {version}, and {VERSION} is the newest that is known here: "
                "use the HardIoT that wrote it"
            )
        return Manifest.model_validate(found)
    except FileNotFoundError:
        raise BackupError(f"{folder}: no {NAME}: no backup, or one that did not end") from None
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupError(f"{place}: damaged: {error}") from None


def mistakes(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What is not as the manifest says, a line each. Reads every file."""
    known = {NAME}
    for file in manifest.files:
        known.add(file.path)
        place = folder / file.path
        try:
            with place.open("rb") as source:
                size, sha256 = digest(source)
        except OSError as error:
            yield f"{file.path}: missing ({error.strerror})"
            continue
        if (size, sha256) != (file.bytes, file.sha256):
            yield (
                f"{file.path}: damaged: {size:,} bytes where {file.bytes:,} were written"
                if (size != file.bytes)
                else f"{file.path}: damaged: other content than was written"
            )
    for place in sorted(folder.rglob("*")):
        name = place.relative_to(folder).as_posix()
        if not place.is_dir() and name not in known:
            yield f"{name}: not of this backup"


def digest(source: BinaryIO, sink: BinaryIO | None = None) -> tuple[int, str]:
    """(bytes, sha256) of all that is left in a file, copied on the way if told."""
    size, sha256 = 0, hashlib.sha256()
    while piece := source.read(PIECE):
        size += len(piece)
        sha256.update(piece)
        if sink is not None:
            sink.write(piece)
    return size, sha256.hexdigest()
