"""Room on disk: new files for the logs, and what goes when there is no room for one.

Two spare files of zeros are always kept, so that a log can go on in a new file without asking the
disk for space: one for the log that is full, one for the rollups of the raw file that is dropped to
replace it. The cap counts everything in the folder, spares and files of others included.

Order of going: what nobody needs any more; then raw, rollups, alerts, the oldest first, but never a
log's newest file, which knows its newest number. When nothing is left to drop, the records that
wait are dropped themselves; then too the loss is declared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge.files import FULL
from edge.spool.books import Books, Run
from edge.spool.disk import Disk, File
from edge.spool.log import SegmentLog
from edge.spool.losses import Why
from edge.spool.ranges import Range, Ranges
from edge.spool.reader import Reader
from edge.spool.record import HEADER_BYTES, Header, Kind, Log, Stored, Totals
from edge.spool.segment import PAGE, START, Segment

RollUp = Callable[[list[Stored]], list[tuple[bytes, int]]]

SPARES = ("spare-0", "spare-1")
_LARGE = "spare-large"  # for a group of records that no usual segment can hold


class Room:
    """Gives out files and makes room. Used under the spool's lock, by the pipeline thread.

    covered: highest raw index that the checkpoint holds. roll_up: see `Spool.roll_up`.
    unkept_readings: of dropped raw records, for whose rollups there was no room either.
    """

    def __init__(
        self, disk: Disk, folder: Path, books: Books, logs: dict[Log, SegmentLog],
        readers: dict[Log, Reader], max_bytes: int, segment_bytes: int,
    ) -> None:  # fmt: skip
        self._disk, self._folder, self._books = disk, folder, books
        self._logs, self._readers = logs, readers
        self._max_bytes, self.segment_bytes = max_bytes, segment_bytes
        self.covered = -1
        self.roll_up: RollUp | None = None
        self.unkept_readings = 0
        self._foreign = 0
        self._spares = [name for name in SPARES if self._usable(folder / name)]
        self.count_foreign()

    def _usable(self, path: Path) -> bool:
        try:
            return self._disk.size(path) == self.segment_bytes
        except FileNotFoundError:
            return False

    def used(self) -> int:
        """Bytes of everything in the folder."""
        logs = sum(log.bytes() for log in self._logs.values())
        return logs + len(self._spares) * self.segment_bytes + self._books.bytes + self._foreign

    def count_foreign(self) -> None:
        """Look what others keep in the folder (the checkpoint), which the cap counts as well."""
        own = {"pointer", "losses", "epoch", *SPARES, *self._logs}
        self._foreign = self._sum_of_others(self._folder, own)
        for log in self._logs.values():
            self._foreign += self._sum_of_others(log.folder, {s.path.name for s in log.segments})

    def _sum_of_others(self, folder: Path, own: set[str]) -> int:
        total = 0
        for name in set(self._disk.names(folder)) - own:
            try:
                total += self._disk.size(folder / name)
            except FileNotFoundError:  # it went meanwhile
                continue
        return total

    # -- files

    def take(self, size: int, now_ms: int) -> File | None:
        """An open file of at least `size` bytes of zeros; None: there is no room for it."""
        if self._spares and size <= self.segment_bytes:
            return self._disk.open(self._folder / self._spares.pop())
        if size > self._max_bytes // 2:
            return None
        return self._make(_LARGE, size, now_ms)

    def refill(self, now_ms: int, evict: bool = True) -> None:
        """Make the spares again, and keep to the cap. evict: also when something has to go."""
        while evict and self.used() > self._max_bytes and self._evict(now_ms):
            pass
        for name in SPARES:
            if name not in self._spares:
                self.count_foreign()
                file = self._make(name, self.segment_bytes, now_ms, evict)
                if file is None:
                    return
                self._disk.close(file)
                self._spares.append(name)

    def _make(self, name: str, size: int, now_ms: int, evict: bool = True) -> File | None:
        path = self._folder / name
        size = max(size, self.segment_bytes)
        while True:
            if self.used() + size <= self._max_bytes:
                try:
                    self._disk.unlink(path)  # what a crash left there
                    return self._disk.create(path, size)
                except OSError as error:
                    self._disk.unlink(path)
                    if error.errno not in FULL:
                        raise
            if not evict or not self._evict(now_ms):
                return None

    @staticmethod
    def whole(needed: int) -> int:
        """Size of a file that takes records of `needed` bytes."""
        return -(-(START + needed) // PAGE) * PAGE

    # -- what goes

    def release(self) -> None:
        """Delete the files of which nothing is needed any more."""
        while (found := self._done()) is not None:
            self._remove(*found)

    def give_way(self, now_ms: int) -> bool:
        """Free a file for what others write: as always the oldest, or else a spare."""
        if self._evict(now_ms):
            return True
        if self._spares:
            self._disk.unlink(self._folder / self._spares.pop())
            return True
        return False

    def _done(self) -> tuple[SegmentLog, Segment] | None:
        """A file of which nothing is needed any more."""
        for log in self._logs.values():
            for segment, last in log.older():
                needed = self._books.pending(log.log, segment.first, last)
                if not needed and (log.log is not Log.RAW or last <= self.covered):
                    return log, segment
        return None

    def _evict(self, now_ms: int) -> bool:
        """Free one file. Returns False when there is none left that may go."""
        found = self._done()
        if found is not None:
            self._remove(*found)
            return True
        for name in (Log.RAW, Log.ROLLUPS, Log.ALERTS):
            log = self._logs[name]
            if len(log.segments) > 1:
                self._drop(log, log.segments[0], now_ms)
                return True
        return False

    def _remove(self, log: SegmentLog, segment: Segment) -> None:
        self._books.save_before_removal(log.log, segment.first, log.last(segment))
        log.remove(segment)

    def _drop(self, log: SegmentLog, segment: Segment, now_ms: int) -> None:
        """Declare lost what is still wanted of a file, and delete it."""
        last = log.last(segment)
        pending = self._books.pending(log.log, segment.first, last)
        if pending:
            if log.log is Log.RAW:
                self._drop_raw(log, pending, now_ms)
            rest = [Run(*part) for part in self._books.pending(log.log, segment.first, last)]
            self._books.declare(log.log, rest, Why.SPOOL_FULL, now_ms)
        self._remove(log, segment)

    def _drop_raw(self, log: SegmentLog, pending: list[Range], now_ms: int) -> None:
        """Damage that reading the records finds is declared as damage."""
        every = self._readers[Log.RAW].read(pending[0][0], pending[-1][1], self._max_bytes)
        wanted = Ranges(pending)
        records = [record for record in every if record.index in wanted]
        if records and self.roll_up is not None and not self._keep(self.roll_up(records)):
            self.unkept_readings += sum(record.readings for record in records)
        self._books.declare(log.log, _runs(records), Why.SPOOL_FULL, now_ms)

    def _keep(self, rollups: list[tuple[bytes, int]]) -> bool:
        """Put rollups on disk before the raw records go, if there is room for them."""
        log = self._logs[Log.ROLLUPS]
        size = sum(HEADER_BYTES + len(body) + 8 for body, _ in rollups)
        if not rollups:
            return True
        if not log.fits(size):
            if not self._spares or self.whole(log.needed(size)) > self.segment_bytes:
                return False
            log.rotate(self._disk.open(self._folder / self._spares.pop()), self.segment_bytes)
        for body, time_ms in rollups:
            log.append(Header(Kind.ROLLUP, log.next_index, time_ms=time_ms), body)
        log.write()
        log.publish()
        return True


def _runs(records: list[Stored]) -> list[Run]:
    """Records as ranges of indices, with what each holds."""
    runs: list[Run] = []
    for r in records:
        totals = Totals(r.readings, r.fingerprint)
        first = r.index
        if runs and runs[-1].last + 1 == r.index:
            before = runs.pop()
            first, totals = before.first, totals.plus(before.readings or 0, before.fingerprint)
        runs.append(Run(first, r.index, *totals))
    return runs
