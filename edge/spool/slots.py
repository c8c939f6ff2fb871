"""A small file of two slots, each with a counter and a CRC: whole before and after any crash.

Its room is taken when the spool is opened, so writing it never needs space on a full disk. Written
in one copy the slots take turns, and damage to the newer one brings back the older; written in both
(one after the other, each synced) no single damage loses anything.
"""

from __future__ import annotations

import struct
from pathlib import Path

from google_crc32c import value as crc32c

from edge.spool.disk import Disk

_MAGIC = b"HdS1"
_HEAD = struct.Struct("<4sIQII")


class SlotFile:
    """One such file. `load` opens it; `newest` is what it held then, None: nothing readable."""

    def __init__(self, disk: Disk, path: Path, slot_bytes: int) -> None:
        self._disk = disk
        self._slot_bytes = slot_bytes
        self.size = 2 * slot_bytes
        self.room = slot_bytes - _HEAD.size
        self._file = disk.create(path, self.size)
        slots = [self._read(slot) for slot in (0, 1)]
        self._counter, self.newest = max(slots, key=lambda item: item[0])

    def write(self, payload: bytes, copies: int = 2) -> None:
        """Replace what the file holds, durably. Raises: OSError: old or new content is there."""
        for _ in range(copies):
            self._counter += 1
            rest = struct.pack("<QII", self._counter, len(payload), 0) + payload
            data = _MAGIC + crc32c(rest).to_bytes(4, "little") + rest
            self._disk.write(self._file, data, self._counter % 2 * self._slot_bytes)
            self._disk.fdatasync(self._file)

    def close(self) -> None:
        """Close the file."""
        self._disk.close(self._file)

    def _read(self, slot: int) -> tuple[int, bytes | None]:
        data = self._disk.pread(self._file, self._slot_bytes, slot * self._slot_bytes)
        if len(data) < _HEAD.size:
            return 0, None
        magic, crc, counter, length, _ = _HEAD.unpack_from(data)
        end = _HEAD.size + length
        if magic != _MAGIC or end > len(data) or crc32c(data[8:end]) != crc:
            return 0, None
        return counter, data[_HEAD.size : end]
