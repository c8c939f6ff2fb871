"""The few system calls that the spool needs, in one class that tests replace by one that fails.

What the spool relies on, and nothing else: data are durable after `fdatasync` of the file, names
after `sync_folder`; a rename is atomic; until then a write may be there, or not, or in some of its
sectors, in any order; and a sector that is written again holds the old bytes or the new ones, so
the synced records at the start of a shared sector survive.
"""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """An open file."""

    path: Path
    descriptor: int


class Disk:
    """Files with mode 0600 in folders with mode 0700. Every method may raise OSError."""

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it, unless it is there."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        """Names of everything in a folder, sorted."""
        return sorted(path.name for path in folder.iterdir())

    def size(self, path: Path) -> int:
        """Bytes of a file."""
        return path.stat().st_size

    def free_bytes(self, folder: Path) -> int:
        """Bytes that may still be taken on the folder's disk."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def lock(self, path: Path) -> File:
        """Open a file and lock it until it is closed. Raises: BlockingIOError: another has it."""
        file = File(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            fcntl.flock(file.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close(file)
            raise
        return file

    def create(self, path: Path, size: int) -> File:
        """A file that holds at least `size` bytes, with room on disk for each; new bytes are 0."""
        file = File(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self.allocate(file, size)
        except OSError:
            self.close(file)
            raise
        return file

    def allocate(self, file: File, size: int) -> None:
        """Give the file room for `size` bytes. Raises: OSError: ENOSPC: the disk is full."""
        os.posix_fallocate(file.descriptor, 0, size)

    def open(self, path: Path) -> File:
        """Open an existing file for reading and writing."""
        return File(path, os.open(path, os.O_RDWR))

    def close(self, file: File) -> None:
        """Close a file."""
        os.close(file.descriptor)

    def write(self, file: File, data: bytes, offset: int) -> None:
        """Write all of `data`; a short write goes on where it stopped."""
        view = memoryview(data)
        while view:
            done = self.pwrite(file, view, offset)
            if not done:
                raise OSError(errno.EIO, "nothing was written", str(file.path))
            view, offset = view[done:], offset + done

    def pwrite(self, file: File, data: memoryview, offset: int) -> int:
        """Write some of `data`. Returns how many bytes."""
        return os.pwrite(file.descriptor, data, offset)

    def pread(self, file: File, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""
        return os.pread(file.descriptor, size, offset)

    def fdatasync(self, file: File) -> None:
        """Make the file's bytes and size durable."""
        os.fdatasync(file.descriptor)

    def truncate(self, file: File, size: int) -> None:
        """Cut the file."""
        os.ftruncate(file.descriptor, size)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file; what had the new name is gone."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Remove a file, unless it is gone already."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Make created, renamed and removed names in a folder durable."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
