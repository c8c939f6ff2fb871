"""System calls that fail: after one that should have stored something, nothing is trusted."""

from __future__ import annotations

import errno
from random import Random

import pytest

from edge.spool import Log, SpoolFailed
from edge.spool.disk import File
from tests.edge.spool.disks import MemoryDisk
from tests.edge.spool.promises import Load, numbers_lost, open_small, read_all


class FailingDisk(MemoryDisk):
    """The n-th call of one kind fails; a failed sync loses what it should have written."""

    def __init__(self) -> None:
        super().__init__()
        self.left = {"fdatasync": 1 << 30, "pwrite": 1 << 30, "unlink": 1 << 30}
        self.error = errno.EIO
        self.short = False

    def _count(self, call: str) -> None:
        self.left[call] -= 1
        if self.left[call] == 0:
            raise OSError(self.error, "failed on purpose")

    def fdatasync(self, file: File) -> None:
        inode = self.open_files[file.descriptor]
        try:
            self._count("fdatasync")
        except OSError:
            inode.changes = []  # the kernel has marked the pages clean; `now` still shows them
            raise
        super().fdatasync(file)

    def pwrite(self, file: File, data: memoryview, offset: int) -> int:
        self._count("pwrite")
        return super().pwrite(file, data[: max(len(data) // 3, 1)] if self.short else data, offset)


def fill(load: Load, turns: int) -> None:
    for turn in range(turns):
        load.append(3000)
        if turn % 3 == 0:
            load.alert()
        load.commit()


@pytest.mark.parametrize("call", ["fdatasync", "pwrite"])
@pytest.mark.parametrize("nth", range(1, 40, 3))
def test_a_failure_is_final_and_all_that_was_committed_is_there_again(call: str, nth: int) -> None:
    disk = FailingDisk()
    load = Load(open_small(disk), Random(nth))
    fill(load, 10)
    disk.left[call], disk.error = nth, errno.ENOSPC if call == "pwrite" else errno.EIO
    with pytest.raises(SpoolFailed, match="start the gateway again"):
        fill(load, 200)
    for refused in (
        lambda: load.append(),
        load.spool.commit,
        load.spool.save_pointer,
        lambda: load.spool.acknowledge(Log.RAW, 0, 1),
        lambda: load.spool.read(Log.RAW, 0, 1),
        load.alert,
    ):
        with pytest.raises(SpoolFailed):
            refused()
    restarted = disk.killed()
    spool = open_small(restarted)
    held = {(r.epoch, r.sequence): r.body for r in read_all(spool, Log.RAW)}
    lost = numbers_lost(spool)
    assert all(held.get(n, b) == b and (n in held or n in lost) for n, b in load.raw.items())
    alerts = {r.index: r.body for r in read_all(spool, Log.ALERTS)}
    assert all(alerts[index] == body for index, body in load.alerts.items())
    # what was only in the page cache after the failed sync is on disk now, or not offered
    after = open_small(restarted.image(None))
    assert {(r.epoch, r.sequence): r.body for r in read_all(after, Log.RAW)} == held


def test_short_writes_go_on_where_they_stopped() -> None:
    disk = FailingDisk()
    disk.short = True
    load = Load(open_small(disk), Random(1))
    fill(load, 20)
    assert [r.body for r in read_all(open_small(disk.image(None)), Log.RAW)] == list(
        load.raw.values()
    )


def test_what_cannot_be_read_is_damage_and_does_not_come_back() -> None:
    disk = MemoryDisk()
    load = Load(open_small(disk), Random(1))
    fill(load, 20)
    sector = range(4096, 8192)
    reading = disk.pread

    def pread(file: File, size: int, offset: int) -> bytes:
        bad = offset < sector.stop and offset + size > sector.start
        if bad and file.path.parts[-2:] == ("raw", "0000000000000000.seg"):
            raise OSError(errno.EIO, "failed on purpose")
        return reading(file, size, offset)

    disk.pread = pread  # type: ignore[method-assign]
    held = {(r.epoch, r.sequence) for r in read_all(load.spool, Log.RAW)}
    lost = numbers_lost(load.spool)
    assert 0 < len(lost) < 7 and load.raw.keys() - held == lost.keys()
    disk.pread = reading  # type: ignore[method-assign]
    assert {r.sequence for r in load.spool.tail(Log.RAW, -1)} == {n for _, n in held}
