"""How a log goes on after it was opened, and whether its epoch does.

A number that may have been sent is never given to other content. So the epoch goes on only where
the newest number is certain: a COMMIT stands last, nothing but zeros behind it, and neither the
pointer nor a loss speaks of a higher index. Otherwise a new epoch begins, and the end of the old
one is told: exactly after a torn write, as unknown after damage.
"""

from __future__ import annotations

import errno

from edge.spool.books import Books, Run
from edge.spool.disk import Disk, File
from edge.spool.epochs import Epoch
from edge.spool.eviction import Room
from edge.spool.log import SegmentLog
from edge.spool.losses import Why
from edge.spool.record import NOTHING, Log, Totals
from edge.spool.recovery import Recovery, Tail, most_records, read_tail
from edge.spool.segment import UNKNOWN, Before, Segment

# further than any index can have got in files that are gone
_UNSEEN = 2**32


class Opener:
    """Makes each log ready to be written to, and the books agree with the files."""

    def __init__(
        self, disk: Disk, books: Books, room: Room, recovery: Recovery, now_ms: int
    ) -> None:
        self._disk, self._books, self._room = disk, books, room
        self._recovery, self._now_ms = recovery, now_ms

    def open(self, log: SegmentLog) -> None:
        """Go on with the log, in its newest file or in a new one."""
        if log.log is Log.RAW:
            self._learn_epochs(log)
        if not log.segments:
            self._begin_empty(log)
            return
        tail, file = read_tail(self._disk, log.active)
        self._count(log, tail)
        log.resume(file, tail.end)
        log.begin_at(tail.last + 1, tail.totals or NOTHING)
        evidence = self._books.evidence(log.log)
        certain = tail.exact and tail.totals is not None and evidence <= tail.last
        if certain and tail.clean:
            return
        if certain or (log.log is not Log.RAW and tail.end_known and evidence <= tail.last):
            log.rotate(*self._file())
        else:
            self._go_on_elsewhere(log, tail, evidence)

    def settle_front(self, log: SegmentLog) -> None:
        """What comes before the first file and is not settled: its file is missing."""
        holes = self._books.pending(log.log, 0, log.first() - 1)
        if self._books.pointer_lost:
            for hole in holes:
                self._books.acknowledge(log.log, *hole)
        else:
            runs = [Run(*hole) for hole in holes]
            self._books.declare(log.log, runs, Why.DAMAGED, self._now_ms)

    # -- inside

    def _count(self, log: SegmentLog, tail: Tail) -> None:
        self._recovery.records += tail.records
        self._recovery.torn_bytes += tail.torn_bytes
        self._recovery.damaged_records += tail.damaged
        self._recovery.damaged_files += sum(
            s.totals is None or s.path.suffix == ".damaged" for s in log.segments
        )
        self._recovery.damaged_files += log.active.totals is not None and not tail.end_known

    def _learn_epochs(self, log: SegmentLog) -> None:
        """Hold the epoch file and the headers together; each makes good for the other."""
        epochs = self._books.epochs
        for segment in log.segments:
            if segment.totals is None:
                for _, _, epoch in epochs.split(segment.first, segment.first):
                    segment.epoch = epoch.number if epoch else 0
                    segment.first_sequence = segment.first - epoch.base if epoch else 0
            elif not epochs.table or segment.epoch > epochs.table[-1].number:
                base = segment.first - segment.first_sequence
                self._end_epoch(base, None if segment.first_sequence else segment.before)
                epochs.begin(segment.epoch, base)

    def _end_epoch(self, base: int, before: Before | None) -> None:
        """The newest epoch that is known is over; the next begins at index `base`."""
        for old in self._books.epochs.table[-1:]:
            old.last = base - 1 - old.base
            if before is not None:
                old.last, old.end_known = before.numbers - 1, before.end_known
                old.totals = before.totals

    def _begin_empty(self, log: SegmentLog) -> None:
        """There is no file: a new spool, or they are gone."""
        table = self._books.epochs.table
        evidence = self._books.evidence(log.log)
        if log.log is not Log.RAW:
            self._start(log, 0 if evidence < 0 else evidence + _UNSEEN)
        elif not table and evidence < 0:
            self._begin_epoch(log, 0, UNKNOWN)
        else:
            base = table[-1].base if table else 0
            known = max(evidence + 1 - base, 0)
            self._begin_epoch(log, max(evidence, base) + _UNSEEN, Before(known))
            self._skip(log, evidence + 1)

    def _go_on_elsewhere(self, log: SegmentLog, tail: Tail, evidence: int) -> None:
        """Leave out every index that may have been used behind the end of the newest file."""
        old, highest = log.active, max(tail.last, evidence)
        lost = self._books.losses.indices[log.log]
        known = tail.end_known and lost.covers(tail.last + 1, highest)
        first = highest + 1
        if not known:
            first = max(first, old.first + most_records(old, self._room.segment_bytes))
        if log.log is Log.RAW:
            totals = self._with_lost(log.committed_totals, tail.last)
            count = old.first_sequence + highest + 1 - old.first
            self._begin_epoch(log, first, Before(count, known, totals))
        else:
            self._start(log, first)
        self._skip(log, tail.last + 1)

    def _with_lost(self, totals: Totals, last: int) -> Totals:
        """The totals with what was dropped before it was written, behind index `last`."""
        for row in self._books.losses.rows:
            if row.log is Log.RAW and row.first_index > last:
                totals = totals.plus(row.readings or 0, row.fingerprint)
        return totals

    def _begin_epoch(self, log: SegmentLog, first: int, before: Before) -> None:
        number = max(self._highest_epoch(log) + 1, min(self._now_ms // 1000, 2**32 - 1))
        self._start(log, first, number, before)
        self._end_epoch(first, before)
        self._books.epochs.begin(number, first)
        self._recovery.new_epoch = True

    def _highest_epoch(self, log: SegmentLog) -> int:
        known: list[Epoch] = self._books.epochs.table
        numbers = [self._books.pointer.epoch, *(e.number for e in known)]
        numbers += [s.epoch for s in log.segments]
        return max([*numbers, *(row.epoch for row in self._books.losses.rows)])

    def _start(self, log: SegmentLog, first: int, epoch: int = 0, before: Before = UNKNOWN) -> None:
        file, size = self._file()
        segment = Segment(file.path, first, size, epoch, 0, NOTHING, size, before)
        log.start(file, segment)
        log.begin_at(first, NOTHING)

    def _skip(self, log: SegmentLog, first: int) -> None:
        """Settle the indices from `first` to the newest file, which nothing was kept of."""
        if log.log is Log.RAW:
            run = Run(first, log.committed)
            self._books.declare(log.log, [run], Why.UNKNOWN_END, self._now_ms)
        else:
            self._books.acknowledge(log.log, first, log.committed)

    def _file(self) -> tuple[File, int]:
        size = self._room.segment_bytes
        file = self._room.take(size, self._now_ms)
        if file is None:
            raise OSError(errno.ENOSPC, f"no room for {size} bytes")
        return file, size
