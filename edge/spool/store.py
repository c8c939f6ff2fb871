"""What stands behind the front: logs, books, room and readers, put together when it is opened."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edge.settings import SpoolSettings
from edge.spool.books import Books, Run
from edge.spool.disk import Disk
from edge.spool.eviction import Room
from edge.spool.log import SegmentLog
from edge.spool.losses import Why
from edge.spool.opening import Opener
from edge.spool.reader import Reader
from edge.spool.record import Log, Stored
from edge.spool.recovery import Recovery, load_log
from edge.spool.segment import PAGE, Segment

READ_BYTES = 4 * 1024 * 1024


class Store:
    """Methods raise OSError when a system call fails. `lock` guards everything but the appending.

    now_ms: wall clock, as it was last told.
    """

    def __init__(self, settings: SpoolSettings, now_ms: int, disk: Disk) -> None:
        started = time.perf_counter()
        self.disk, self.now_ms = disk, now_ms
        self.lock = threading.RLock()
        self.recovery = Recovery()
        disk.make_folder(settings.folder)
        self._locked = disk.lock(settings.folder / "lock")
        try:
            self._open(settings)
        except BaseException:
            disk.close(self._locked)
            raise
        self.recovery.seconds = time.perf_counter() - started

    def _open(self, settings: SpoolSettings) -> None:
        folder = settings.folder
        for log in Log:
            self.disk.make_folder(folder / log)
        self.logs = {log: load_log(self.disk, folder / log, log) for log in Log}
        self.books = Books(self.disk, folder)
        self.readers = {log: self._reader(log) for log in Log}
        self.room = Room(
            self.disk, folder, self.books, self.logs, {log: self._reader(log) for log in Log},
            settings.max_bytes, segment_bytes(settings),
        )  # fmt: skip
        newest = {log: one.segments[-1:] for log, one in self.logs.items()}
        self._open_logs()
        self.epoch = self.books.epochs.table[-1].number
        self._save_opened(folder)
        for log in Log:
            self._check(log, newest[log])

    def _open_logs(self) -> None:
        opener = Opener(self.disk, self.books, self.room, self.recovery, self.now_ms)
        for log in self.logs.values():
            opener.open(log)
        for log in self.logs.values():
            opener.settle_front(log)

    def _save_opened(self, folder: Path) -> None:
        """What was read may have been in the page cache only; it counts from now on."""
        self.books.pointer.epoch = self.epoch
        self.books.save_epochs()
        self.books.save_losses()
        self.save_pointer(2)
        self.room.refill(self.now_ms, evict=False)
        for name in (*Log, "."):
            self.disk.sync_folder(folder / name)

    def _check(self, log: Log, segments: list[Segment]) -> None:
        """Declare what is damaged in a file that was the newest one and is not any more."""
        for segment in segments:
            if segment in self.logs[log].segments[:-1] and self.recovery.damaged_records:
                for _ in self.records(log, segment.first, self.logs[log].last(segment)):
                    pass

    def _reader(self, log: Log) -> Reader:
        return Reader(self.disk, self.logs[log], self.lock, self._on_missing)

    # -- writing

    def flush(self, log: SegmentLog) -> int:
        """Write and sync what waits, outside the lock. Returns how many bytes it was."""
        if log.waiting_bytes and not log.fits():
            with self.lock:
                self._make_room(log)
        if not log.waiting_bytes:
            return 0
        log.write()
        with self.lock:
            return log.publish()

    def _make_room(self, log: SegmentLog) -> None:
        """A new file for what waits; where there is none, what waits is lost."""
        size = max(self.room.segment_bytes, self.room.whole(log.needed()))
        file = self.room.take(size, self.now_ms)
        if file is not None:
            log.rotate(file, size)
            return
        run = Run(*log.waiting_range(), *log.totals.minus(*log.committed_totals))
        self.books.declare(log.log, [run], Why.SPOOL_FULL, self.now_ms)
        log.discard()

    def save_pointer(self, copies: int = 1) -> None:
        """Make durable what is acknowledged and how far each log goes."""
        for log, one in self.logs.items():
            self.books.pointer.committed[log] = one.committed
        self.books.save_pointer(copies)

    # -- reading

    def records(self, log: Log, first: int, last: int) -> Iterator[Stored]:
        """All readable records of an index range that are not lost."""
        reader = self._reader(log)
        while records := reader.read(first, last, READ_BYTES):
            yield from self.without_lost(log, records)
            first = records[-1].index + 1

    def without_lost(self, log: Log, records: list[Stored]) -> list[Stored]:
        """What was declared lost stays lost, even where it can be read after all."""
        lost = self.books.losses.indices[log]
        with self.lock:
            return [r for r in records if r.index not in lost] if len(lost) else records

    def _on_missing(self, log: SegmentLog, segment: Segment, runs: list[Run]) -> None:
        with self.lock:
            gone = [run for run in runs if run.elsewhere and self.books.pointer_lost]
            for run in gone:
                self.books.acknowledge(log.log, run.first, run.last)
            rest = [run for run in runs if run not in gone]
            self.books.declare(log.log, rest, Why.DAMAGED, self.now_ms)
            damaged = any(not run.elsewhere for run in runs)
            if damaged and segment in log.segments[:-1]:
                log.set_aside(segment)

    def close(self) -> None:
        """Close all files."""
        for log in self.logs.values():
            log.close()
        self.books.close()
        self.disk.close(self._locked)


def segment_bytes(settings: SpoolSettings) -> int:
    """So that three newest files and two spares leave most of the cap to older ones."""
    return min(settings.segment_bytes, settings.max_bytes // 16) // PAGE * PAGE
