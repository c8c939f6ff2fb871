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

from collections.abc import Iterator
from contextlib import contextmanager

from edge.errors import EdgeError
from edge.settings import SpoolSettings
from edge.spool.disk import Disk
from edge.spool.eviction import RollUp
from edge.spool.losses import Lost
from edge.spool.rate import Rate
from edge.spool.record import NOTHING, Header, Kind, Log, Stored, Totals
from edge.spool.recovery import Recovery
from edge.spool.store import READ_BYTES, Store

_BY_RANK = (Log.ALERTS, Log.ROLLUPS, Log.RAW)


class SpoolFailed(Exception):
    """A write or a sync failed. Nothing more is stored or acknowledged; start the process again."""


class Spool:
    """See the module. recovery: what opening found. epoch: of all that is appended."""

    recovery: Recovery
    epoch: int

    @classmethod
    def open(cls, settings: SpoolSettings, now_ms: int, disk: Disk | None = None) -> Spool:
        """Open or make the spool. Bad data never fail it.

        Raises: EdgeError: the folder cannot be used, or another process has it.
        """
        try:
            return cls(settings, Store(settings, now_ms, disk or Disk()))
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

    def __init__(self, settings: SpoolSettings, store: Store) -> None:
        self._settings, self._store = settings, store
        self.recovery, self.epoch = store.recovery, store.epoch
        self._base = store.books.epochs.table[-1].base
        self._failure: str | None = None
        self._waiting_since: int | None = None
        self._rate = Rate()

    # -- the pipeline

    @property
    def roll_up(self) -> RollUp | None:
        """Gives (body, time_ms) of the rollups to keep of raw records that must be dropped."""
        return self._store.room.roll_up

    @roll_up.setter
    def roll_up(self, value: RollUp | None) -> None:
        self._store.room.roll_up = value

    @property
    def next_sequence(self) -> int:
        """The number of the next batch."""
        return self._store.logs[Log.RAW].next_index - self._base

    def append(
        self, body: bytes, *, time_ms: int, readings: int, fingerprint: int
    ) -> tuple[int, int]:
        """Take a batch for the next commit. Returns its (epoch, sequence)."""
        self._check_failure()
        log, sequence = self._store.logs[Log.RAW], self.next_sequence
        totals = log.totals.plus(readings, fingerprint)
        header = Header(
            Kind.BATCH, log.next_index, self.epoch, sequence, time_ms, readings, fingerprint, totals
        )
        log.append(header, body)
        return self.epoch, sequence

    def append_record(self, kind: Kind, body: bytes, time_ms: int) -> int:
        """Take a rollup, a refused message or an alert for the next commit. Returns its index."""
        self._check_failure()
        log = self._store.logs[Log.ALERTS if kind is Kind.ALERT else Log.ROLLUPS]
        index = log.next_index
        log.append(Header(kind, index, time_ms=time_ms), body)
        return index

    def due(self, now_ms: int) -> bool:
        """Whether enough waits to be committed, or waits long enough."""
        self._store.now_ms = now_ms
        self._rate.sample(now_ms)
        waiting = sum(log.waiting_bytes for log in self._store.logs.values())
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
                self._rate.written += self._store.flush(self._store.logs[log])
            self._waiting_since = None
            with self._store.lock:
                self._store.room.refill(self._store.now_ms)

    def give_way(self) -> bool:
        """Free a file on a full disk, for what must be written beside the spool.

        Returns: False when there is none that may go. Raises: SpoolFailed.
        """
        with self._failing(), self._store.lock:
            return self._store.room.give_way(self._store.now_ms)

    def covered(self, index: int) -> None:
        """The checkpoint holds everything up to this raw index."""
        with self._store.lock:
            self._store.room.covered = max(self._store.room.covered, index)

    # -- the uplink

    def committed(self, log: Log) -> int:
        """The highest index that was committed, -1 when none ever was."""
        return self._store.logs[log].committed

    def pending(self, log: Log) -> tuple[tuple[int, int], ...]:
        """Ranges of indices that are committed and neither acknowledged nor lost, ascending."""
        with self._store.lock:
            return tuple(self._store.books.pending(log, 0, self._store.logs[log].committed))

    def read(self, log: Log, first: int, last: int, max_bytes: int = READ_BYTES) -> list[Stored]:
        """Records of an index range, at least one and more up to `max_bytes`, in order.

        Without what is lost; what turns out to be damaged is declared lost.
        """
        with self._failing():
            records = self._store.readers[log].read(first, last, max_bytes)
            return self._store.without_lost(log, records)

    def acknowledge(self, log: Log, first: int, last: int) -> None:
        """These arrived. Files of which nothing is needed go with the next `save_pointer`."""
        self._check_failure()
        with self._store.lock:
            self._store.books.acknowledge(log, first, min(last, self._store.logs[log].committed))

    def save_pointer(self) -> None:
        """Make what was acknowledged durable, and delete what is not needed any more."""
        with self._failing(), self._store.lock:
            self._store.save_pointer()
            self._store.room.release()

    def tail(self, log: Log, after_index: int) -> Iterator[Stored]:
        """All readable records behind an index, acknowledged ones too; at start."""
        with self._failing():
            yield from self._store.records(log, after_index + 1, self.committed(log))

    # -- what anybody may ask

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Numbers of batches that will not come."""
        with self._store.lock:
            return tuple(r for r in self._store.books.losses.rows if r.log is Log.RAW)

    @property
    def ended(self) -> tuple[tuple[int, int | None], ...]:
        """(epoch, last sequence) of epochs that are over; None: nobody knows the last."""
        return self._store.books.epochs.ended()

    def dropped(self, log: Log) -> int:
        """How many records of a log were declared lost, of those still remembered."""
        with self._store.lock:
            rows = [r for r in self._store.books.losses.rows if r.log is log]
        return sum(r.last - r.first + 1 for r in rows)

    @property
    def unkept_readings(self) -> int:
        """Readings that were dropped since the start, without room even for their rollups."""
        with self._store.lock:
            return self._store.room.unkept_readings

    def totals(self, epoch: int) -> Totals:
        """(readings, fingerprint) of everything committed in an epoch, what was lost included."""
        with self._store.lock:
            if epoch == self.epoch:
                return self._store.logs[Log.RAW].committed_totals
            known = self._store.books.epochs.named(epoch)
        return known.totals if known else NOTHING

    @property
    def used_bytes(self) -> int:
        """Bytes of everything in the folder."""
        with self._store.lock:
            return self._store.room.used()

    @property
    def max_bytes(self) -> int:
        """The cap of `used_bytes`: the one that is set, or what the disk has."""
        try:
            free = self._store.disk.free_bytes(self._settings.folder)
        except OSError:  # it was taken away; the next commit finds out
            free = 0
        return min(self._settings.max_bytes, self.used_bytes + free)

    def hours_left(self, now_ms: int) -> float | None:
        """Until the cap is reached, at the rate of the last minutes; None: no rate is known."""
        with self._store.lock:
            rate = self._rate.at(now_ms)
            raw = self._store.logs[Log.RAW]
            free = self.max_bytes - self._store.room.used() + raw.active.size - raw.end
        return max(free, 0) / rate / 3_600_000 if rate > 0 else None

    # -- the end

    def close(self) -> None:
        """Close the files. What was not committed is gone."""
        self._store.close()

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
