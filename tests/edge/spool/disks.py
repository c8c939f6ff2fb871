"""A disk in memory that knows what was synced, and what a power cut may leave of the rest."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.spool.disk import Disk, File

SECTOR = 512


class PowerCut(BaseException):
    """The machine stops here."""


@dataclass(eq=False)
class Inode:
    """now: what programs see. durable: what is synced. changes: writes and sizes since then."""

    now: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)


@dataclass
class Rename:
    """Names that an operation takes and gives, durable with a sync of `folder`."""

    folder: Path
    removes: Path | None = None
    adds: Path | None = None
    inode: Inode | None = None


class MemoryDisk(Disk):
    """`after_each` runs after each operation that changes something, its name given."""

    def __init__(self) -> None:
        self.names_now: dict[Path, Inode] = {}
        self.names_durable: dict[Path, Inode] = {}
        self.moves: list[Rename] = []
        self.open_files: dict[int, Inode] = {}
        self.after_each: Callable[[str], None] = lambda name: None
        self.capacity = 1 << 40

    # -- what the spool calls

    def make_folder(self, path: Path) -> None:
        return

    def free_bytes(self, folder: Path) -> int:
        return self.capacity - sum(len(inode.now) for inode in self.names_now.values())

    def names(self, folder: Path) -> list[str]:
        return sorted(path.name for path in self.names_now if path.parent == folder)

    def size(self, path: Path) -> int:
        return len(self._inode(path).now)

    def lock(self, path: Path) -> File:
        return self._open(path, Inode())

    def create(self, path: Path, size: int) -> File:
        if path not in self.names_now:
            inode = self.names_now[path] = Inode()
            self.moves.append(Rename(path.parent, adds=path, inode=inode))
            self.after_each("create")
        file = self.open(path)
        self.allocate(file, size)
        return file

    def allocate(self, file: File, size: int) -> None:
        inode = self.open_files[file.descriptor]
        more = size - len(inode.now)
        if more > 0:
            if sum(len(i.now) for i in self.names_now.values()) + more > self.capacity:
                raise OSError(errno.ENOSPC, "No space left on device")
            inode.now += bytes(more)
            inode.changes.append((size, None))
            self.after_each("allocate")

    def open(self, path: Path) -> File:
        return self._open(path, self._inode(path))

    def close(self, file: File) -> None:
        del self.open_files[file.descriptor]

    def pwrite(self, file: File, data: memoryview, offset: int) -> int:
        inode = self.open_files[file.descriptor]
        inode.now[offset : offset + len(data)] = data
        inode.changes.append((offset, bytes(data)))
        self.after_each("write")
        return len(data)

    def pread(self, file: File, size: int, offset: int) -> bytes:
        return bytes(self.open_files[file.descriptor].now[offset : offset + size])

    def fdatasync(self, file: File) -> None:
        self.after_each("before sync")
        inode = self.open_files[file.descriptor]
        # only what was written since: a page that is clean is not written again
        inode.durable, inode.changes = _torn(inode, lambda: True), []
        self.after_each("sync")

    def truncate(self, file: File, size: int) -> None:
        inode = self.open_files[file.descriptor]
        del inode.now[size:]
        inode.changes.append((size, None))
        self.after_each("truncate")

    def rename(self, old: Path, new: Path) -> None:
        inode = self.names_now.pop(old)
        self.names_now[new] = inode
        self.moves.append(Rename(new.parent, old, new, inode))
        self.after_each("rename")

    def unlink(self, path: Path) -> None:
        if self.names_now.pop(path, None) is not None:
            self.moves.append(Rename(path.parent, removes=path))
            self.after_each("unlink")

    def sync_folder(self, folder: Path) -> None:
        done = [move for move in self.moves if move.folder == folder]
        for move in done:
            _apply(self.names_durable, move)
        gone = [(move.removes, move.inode) for move in done if move.adds]
        rest = [move for move in self.moves if move.folder != folder]
        self.moves = [move for move in rest if (move.adds, move.inode) not in gone]
        self.after_each("sync folder")

    def _inode(self, path: Path) -> Inode:
        try:
            return self.names_now[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, "No such file", str(path)) from None

    def _open(self, path: Path, inode: Inode) -> File:
        descriptor = max(self.open_files, default=0) + 1
        self.open_files[descriptor] = inode
        return File(path, descriptor)

    # -- what the tests do

    def image(self, random: Random | None, unsynced: bool = False) -> MemoryDisk:
        """What a power cut leaves: all that is synced, and of the rest everything (`unsynced`),
        nothing (no `random`), or any of its sectors, sizes and names.
        """

        def happens() -> bool:
            return unsynced or (random is not None and random.random() < 0.5)

        names = dict(self.names_durable)
        for move in self.moves:
            if happens():
                _apply(names, move)
        disk = MemoryDisk()
        contents: dict[int, Inode] = {}
        for path, inode in names.items():
            if id(inode) not in contents:
                data = _torn(inode, happens)
                contents[id(inode)] = Inode(bytearray(data), data)
            disk.names_now[path] = contents[id(inode)]
        disk.names_durable = dict(disk.names_now)
        return disk

    def killed(self) -> MemoryDisk:
        """What the next process finds after a kill: everything, synced or not."""
        disk = MemoryDisk()
        disk.names_now, disk.names_durable = self.names_now, self.names_durable
        disk.moves, disk.capacity = self.moves, self.capacity
        return disk

    def copy(self) -> MemoryDisk:
        """The same disk once more, as programs see it, all of it synced."""
        disk = MemoryDisk()
        disk.capacity = self.capacity
        for path, inode in self.names_now.items():
            disk.names_now[path] = Inode(bytearray(inode.now), bytes(inode.now))
        disk.names_durable = dict(disk.names_now)
        return disk

    def data(self, path: Path) -> bytearray:
        """A file's bytes, to be damaged."""
        return self._inode(path).now


def _apply(names: dict[Path, Inode], move: Rename) -> None:
    if move.removes is not None:
        names.pop(move.removes, None)
    if move.adds is not None and move.inode is not None:
        names[move.adds] = move.inode


def _torn(inode: Inode, happens: Callable[[], bool]) -> bytes:
    data = bytearray(inode.durable)
    for at, written in inode.changes:
        if written is None:
            if happens():
                data[at:] = bytes(max(at - len(data), 0))
            continue
        begin = at
        while begin < at + len(written):
            end = min((begin // SECTOR + 1) * SECTOR, at + len(written))
            if happens():
                data += bytes(max(end - len(data), 0))
                data[begin:end] = written[begin - at : end - at]
            begin = end
    return bytes(data)
