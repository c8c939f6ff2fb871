"""Small files that are replaced as a whole: after a power cut the old one is there, or the new."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import google_crc32c

FULL = (errno.ENOSPC, errno.EDQUOT)  # what a disk without room says
_PREFIX = struct.Struct("<II")  # CRC32C of the rest, its length


def replace_file(path: Path, data: bytes) -> None:
    """Write, sync, rename, sync the folder. Raises: OSError; then the old file is still there."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(data: bytes) -> bytes:
    """The data with a checksum in front."""
    return _PREFIX.pack(google_crc32c.value(data), len(data)) + data


def unseal(raw: bytes) -> bytes:
    """What was sealed. Raises: ValueError: damaged, or cut short."""
    data = raw[_PREFIX.size :]
    if len(raw) < _PREFIX.size or _PREFIX.unpack_from(raw) != (
        google_crc32c.value(data),
        len(data),
    ):
        raise ValueError("its checksum is wrong")
    return data
