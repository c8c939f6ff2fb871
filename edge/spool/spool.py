"""The spool: three logs on disk that lose nothing which was committed, or say what they lost.

    spool = Spool.open(settings, now_ms)
    epoch, sequence = spool.append(body, time_ms=..., readings=5000, fingerprint=...)
    if spool.due(now_ms):
        spool.commit()                          # now it may be acknowledged, and sent
    for first, last in spool.pending(Log.RAW):
        for record in spool.read(Log.RAW, first, last): ...
    spool.acknowledge(Log.RAW, first, last)

Opening is fast however full it is: only headers and the newest file of each log are read. Bodies
are checked when they are read to be sent, and what is damaged is declared lost then; how much it
held is known from the totals in the headers around it.

One thread appends and commits, another reads and acknowledges. A lock guards what both know. It is
not held during the write and sync of a commit, nor while records are read.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import EdgeError
from edge.settings import SpoolSettings
from edge.spool.books import Books, Run
from edge.spool.disk import Disk
from edge.spool.eviction import RollUp, Room
from edge.spool.log import SegmentLog
from edge.spool.losses import Lost, Why
from edge.spool.opening import Opener
from edge.spool.reader import Reader
from edge.spool.record import Header, Kind, Log, Stored, Totals
from edge.spool.recovery import Recovery, load_log
from edge.spool.segment import Segment

_READ_BYTES = 4 * 1024 * 1024
_SAMPLE_MS = 10_000
_SAMPLES = 31  # five minutes
_BY_RANK = (Log.ALERTS, Log.ROLLUPS, Log.RAW)


class SpoolFailed(Exception):
    """A write or a sync failed. Nothing more is stored or acknowledged; start the process again."""


class Spool:
    """See the module. `recovery` says what opening found."""

    recovery: Recovery

    @classmethod
    def open(cls, settings: SpoolSettings, now_ms: int, disk: Disk | None = None) -> Spool:
        """Open or make the spool. Bad data never fail it.

        Raises: EdgeError: the folder cannot be used, or another process has it.
        """
        try:
            return cls(settings, now_ms, disk or Disk())
        except BlockingIOError:
            raise EdgeError(
                f"{settings.folder}: another gateway uses this spool. Stop it, or set another "
                "spool.folder"
            ) from None
        except OSError as error:
            raise EdgeError(
                f"{settings.folder}: cannot be used as spool: {error.strerror}. Check the disk, "
                "the owner of the folder, and spool.folder"
            ) from error

    def __init__(self, settings: SpoolSettings, now_ms: int, disk: Disk) -> None:
        started = time.perf_counter()
        self._settings, self._disk, self._now_ms = settings, disk, now_ms
        self._lock = threading.RLock()
        self._failure: str | None = None
        self._waiting_since: int | None = None
        self._written = 0
        self._samples: deque[tuple[int, int]] = deque(maxlen=_SAMPLES)
        self.recovery = Recovery()
        folder = settings.folder
        disk.make_folder(folder)
        self._guard_file = disk.lock(folder / "lock")
        try:
            self._open(folder, now_ms)
        except BaseException:
            disk.close(self._guard_file)
            raise
        self.recovery.seconds = time.perf_counter() - started

    def _open(self, folder: Path, now_ms: int) -> None:
        for log in Log:
            self._disk.make_folder(folder / log)
        self._logs = {log: load_log(self._disk, folder / log, log) for log in Log}
        self._books = Books(self._disk, folder)
        self._readers = {log: self._reader(log) for log in Log}
        self._room = Room(
            self._disk, folder, self._books, self._logs, {log: self._reader(log) for log in Log},
            self._settings.max_bytes, self._segment_bytes(),
        )  # fmt: skip
        self._room.now_ms = now_ms
        newest = {log: one.segments[-1:] for log, one in self._logs.items()}
        opener = Opener(self._disk, self._books, self._room, self.recovery, now_ms)
        for log in _BY_RANK:
            opener.open(self._logs[log])
        for log in Log:
            opener.settle_front(self._logs[log])
        self.epoch = self._books.epochs.table[-1].number
        self._save_opened(folder)
        for log in Log:
            self._check(log, newest[log])

    def _save_opened(self, folder: Path) -> None:
        self._books.pointer.epoch = self.epoch
        self._books.save_epochs()
        self._books.save_losses()  # it may have been in the page cache only, and is told from now on
        self._save_pointer(2)
        self._room.refill(evict=False)
        for name in (*Log, "."):
            self._disk.sync_folder(folder / name)

    def _check(self, log: Log, segments: list[Segment]) -> None:
        """Declare what is damaged in a file that was the newest one and is not any more."""
        for segment in segments:
            if segment in self._logs[log].segments[:-1] and self.recovery.damaged_records:
                for _ in self._records(log, segment.first, self._logs[log].last(segment)):
                    pass

    def _segment_bytes(self) -> int:
        """So that three newest files and two spares leave most of the cap to older ones."""
        return min(self._settings.segment_bytes, self._settings.max_bytes // 16) // 4096 * 4096

    def _reader(self, log: Log) -> Reader:
        return Reader(self._disk, self._logs[log], self._lock, self._on_missing)

    # -- the pipeline

    @property
    def roll_up(self) -> RollUp | None:
        """Gives (body, time_ms) of the rollups to keep of raw records that must be dropped."""
        return self._room.roll_up

    @roll_up.setter
    def roll_up(self, value: RollUp | None) -> None:
        self._room.roll_up = value

    @property
    def next_sequence(self) -> int:
        """The number of the next batch."""
        return self._logs[Log.RAW].next_index - self._books.epochs.table[-1].base

    def append(
        self, body: bytes, *, time_ms: int, readings: int, fingerprint: int
    ) -> tuple[int, int]:
        """Take a batch for the next commit. Returns its (epoch, sequence)."""
        self._check_failure()
        log, sequence = self._logs[Log.RAW], self.next_sequence
        totals = log.totals.plus(readings, fingerprint)
        header = Header(
            Kind.BATCH, log.next_index, self.epoch, sequence, time_ms, readings, fingerprint, totals
        )
        log.append(header, body)
        return self.epoch, sequence

    def append_record(self, kind: Kind, body: bytes, time_ms: int) -> int:
        """Take a rollup, a refused message or an alert for the next commit. Returns its index."""
        self._check_failure()
        log = self._logs[Log.ALERTS if kind is Kind.ALERT else Log.ROLLUPS]
        index = log.next_index
        log.append(Header(kind, index, time_ms=time_ms), body)
        return index

    def due(self, now_ms: int) -> bool:
        """Whether enough waits to be committed, or waits long enough."""
        self._now_ms = self._room.now_ms = now_ms
        self._sample(now_ms)
        waiting = sum(log.waiting_bytes for log in self._logs.values())
        if not waiting:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now_ms
        late = now_ms - self._waiting_since >= self._settings.group_ms
        return late or waiting >= self._settings.group_bytes

    def commit(self) -> None:
        """Make everything that was appended durable. Raises: SpoolFailed."""
        with self._failing():
            for log in _BY_RANK:
                self._flush(self._logs[log])
            self._waiting_since = None
            with self._lock:
                self._room.refill()

    def _flush(self, log: SegmentLog) -> None:
        if log.waiting_bytes and not log.fits():
            with self._lock:
                self._make_room(log)
        if not log.waiting_bytes:
            return
        log.write()
        with self._lock:
            self._written += log.publish()

    def _make_room(self, log: SegmentLog) -> None:
        size = max(self._room.segment_bytes, self._room.whole(log.needed()))
        file = self._room.take(size)
        if file is not None:
            log.rotate(file, size)
            return
        before, after = log.committed_totals, log.totals
        run = Run(*log.waiting_range(), *after.minus(*before))
        self._books.declare(log.log, [run], Why.SPOOL_FULL, self._now_ms)
        log.discard()

    def covered(self, index: int) -> None:
        """The checkpoint holds everything up to this raw index."""
        with self._lock:
            self._room.covered = max(self._room.covered, index)

    # -- the uplink

    def committed(self, log: Log) -> int:
        """The highest index that was committed, -1 when none ever was."""
        return self._logs[log].committed

    def pending(self, log: Log) -> tuple[tuple[int, int], ...]:
        """Ranges of indices that are committed and neither acknowledged nor lost, ascending."""
        with self._lock:
            return tuple(self._books.pending(log, 0, self._logs[log].committed))

    def read(self, log: Log, first: int, last: int, max_bytes: int = _READ_BYTES) -> list[Stored]:
        """Records of an index range, at least one and more up to `max_bytes`, in order.

        Without what is lost; what turns out to be damaged is declared lost.
        """
        with self._failing():
            records = self._readers[log].read(first, last, max_bytes)
            lost = self._books.losses.indices[log]
            with self._lock:
                return [r for r in records if r.index not in lost] if len(lost) else records

    def acknowledge(self, log: Log, first: int, last: int) -> None:
        """These arrived. Files of which nothing is needed go with the next `save_pointer`."""
        self._check_failure()
        with self._lock:
            self._books.acknowledge(log, first, min(last, self._logs[log].committed))

    def save_pointer(self) -> None:
        """Make what was acknowledged durable, and delete what is not needed any more."""
        with self._failing(), self._lock:
            self._save_pointer(1)
            self._room.release()

    def _save_pointer(self, copies: int) -> None:
        for log, one in self._logs.items():
            self._books.pointer.committed[log] = one.committed
        self._books.save_pointer(copies)

    def tail(self, log: Log, after_index: int) -> Iterator[Stored]:
        """All readable records behind an index, acknowledged ones too; at start."""
        with self._failing():
            yield from self._records(log, after_index + 1, self._logs[log].committed)

    def _records(self, log: Log, first: int, last: int) -> Iterator[Stored]:
        reader = self._reader(log)
        while records := reader.read(first, last, _READ_BYTES):
            lost = self._books.losses.indices[log]
            yield from (r for r in records if r.index not in lost)
            first = records[-1].index + 1

    def _on_missing(self, log: SegmentLog, segment: Segment, runs: list[Run]) -> None:
        with self._lock:
            gone = [run for run in runs if run.elsewhere and self._books.pointer_lost]
            for run in gone:
                self._books.acknowledge(log.log, run.first, run.last)
            damaged = [run for run in runs if not run.elsewhere]
            self._books.declare(
                log.log, [r for r in runs if r not in gone], Why.DAMAGED, self._now_ms
            )
            if damaged and segment in log.segments[:-1]:
                log.set_aside(segment)

    # -- what anybody may ask

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Numbers of batches that will not come."""
        with self._lock:
            return tuple(r for r in self._books.losses.rows if r.log is Log.RAW)

    @property
    def ended(self) -> tuple[tuple[int, int | None], ...]:
        """(epoch, last sequence) of epochs that are over; None: nobody knows the last."""
        return self._books.epochs.ended()

    def dropped(self, log: Log) -> int:
        """How many records of a log were declared lost, of those still remembered."""
        with self._lock:
            rows = [r for r in self._books.losses.rows if r.log is log]
        return sum(r.last - r.first + 1 for r in rows)

    def totals(self, epoch: int) -> Totals:
        """(readings, fingerprint) of everything committed in an epoch, what was lost included."""
        with self._lock:
            if epoch == self.epoch:
                return self._logs[Log.RAW].committed_totals
            known = self._books.epochs.named(epoch)
        return known.totals if known else Totals()

    @property
    def used_bytes(self) -> int:
        """Bytes of everything in the folder."""
        with self._lock:
            return self._room.used()

    @property
    def max_bytes(self) -> int:
        """The cap of `used_bytes`."""
        return self._settings.max_bytes

    def hours_left(self, now_ms: int) -> float | None:
        """Until the cap is reached, at the rate of the last minutes; None: no rate is known."""
        with self._lock:
            if not self._samples or now_ms <= self._samples[0][0]:
                return None
            since_ms, written = self._samples[0]
            rate = (self._written - written) / (now_ms - since_ms)
            raw = self._logs[Log.RAW]
            free = self.max_bytes - self._room.used() + raw.active.size - raw.end
        return max(free, 0) / rate / 3_600_000 if rate > 0 else None

    def _sample(self, now_ms: int) -> None:
        if not self._samples or now_ms - self._samples[-1][0] >= _SAMPLE_MS:
            with self._lock:
                self._samples.append((now_ms, self._written))

    # -- the end

    def close(self) -> None:
        """Close the files. What was not committed is gone."""
        for log in self._logs.values():
            log.close()
        self._books.close()
        self._disk.close(self._guard_file)

    def _check_failure(self) -> None:
        if self._failure is not None:
            raise SpoolFailed(self._failure)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """A failed system call is final."""
        self._check_failure()
        try:
            yield
        except OSError as error:
            self._failure = (
                f"{self._settings.folder}: {error.strerror or error}. What was not committed is "
                "not acknowledged; check the disk and start the gateway again"
            )
            raise SpoolFailed(self._failure) from error
