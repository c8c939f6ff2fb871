"""What is settled: acknowledged or lost. And the three small files that keep it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from edge.spool.disk import Disk
from edge.spool.epochs import Epochs
from edge.spool.losses import Losses, Lost, Why
from edge.spool.pointer import Pointer, covers, fitting
from edge.spool.ranges import Range, Ranges
from edge.spool.record import Log
from edge.spool.slots import SlotFile

POINTER_BYTES = EPOCH_BYTES = 4096
LOSSES_BYTES = 64 * 1024


class Run(NamedTuple):
    """Indices without a readable record, and what they held; readings None: unknown.

    elsewhere: they were in a file of their own, which is gone.
    """

    first: int
    last: int
    readings: int | None = None
    fingerprint: int = 0
    elsewhere: bool = False


class Books:
    """Kept under the spool's lock. Methods that write raise OSError.

    acknowledged, settled: by log; settled is acknowledged or lost. pointer_lost: the pointer file
    was unreadable, so files that are missing are taken for acknowledged.
    """

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._pointer = SlotFile(disk, folder / "pointer", POINTER_BYTES)
        self._losses = SlotFile(disk, folder / "losses", LOSSES_BYTES)
        self._epochs = SlotFile(disk, folder / "epoch", EPOCH_BYTES)
        found = self._pointer.newest
        self.pointer_lost = found is None
        self.pointer = Pointer() if found is None else Pointer.decode(found)
        self.losses = Losses.decode(self._losses.newest, self._losses.room)
        self.epochs = Epochs.decode(self._epochs.newest)
        self.acknowledged = self.pointer.acknowledged
        lost = self.losses.indices
        self.settled = {log: Ranges([*self.acknowledged[log], *lost[log]]) for log in Log}
        # what was read may be in the page cache only: nothing counts as saved until it is again
        self._saved = {log: Ranges() for log in Log}
        self._losses_saved = False

    @property
    def bytes(self) -> int:
        """Bytes of the three files."""
        return self._pointer.size + self._losses.size + self._epochs.size

    def evidence(self, log: Log) -> int:
        """The highest index that the pointer or a loss speaks of, -1 when none."""
        pointer = max(self.pointer.committed[log], self.acknowledged[log].highest())
        return max(pointer, self.losses.indices[log].highest())

    def acknowledge(self, log: Log, first: int, last: int) -> None:
        """These need not be kept any more. In memory, until the pointer is saved."""
        self.acknowledged[log].add(first, last)
        self.settled[log].add(first, last)

    def pending(self, log: Log, first: int, last: int) -> list[Range]:
        """What of an index range is not settled."""
        return self.settled[log].holes(first, last)

    def declare(self, log: Log, runs: Iterable[Run], why: Why, now_ms: int) -> None:
        """What of these is not settled is lost: written down, durably, before this returns."""
        news = [part for run in runs for part in self._unsettled(log, run)]
        for run in news:
            self._declare(log, run, why, now_ms)
        if news:
            self.save_losses()

    def _unsettled(self, log: Log, run: Run) -> list[Run]:
        holes = self.pending(log, run.first, run.last)
        if holes == [(run.first, run.last)]:
            return [run]
        return [Run(first, last) for first, last in holes]

    def _declare(self, log: Log, run: Run, why: Why, now_ms: int) -> None:
        self.settled[log].add(run.first, run.last)
        if log is not Log.RAW:
            self._keep(Lost(0, 0, run.last - run.first, 0, 0, why, now_ms, log, *run[:2]))
            return
        for low, high, epoch in self.epochs.split(run.first, run.last):
            if epoch is None:  # indices that were skipped for safety: there is nothing to declare
                self.acknowledged[log].add(low, high)
                continue
            whole = (low, high) == run[:2]
            held = (run.readings, run.fingerprint) if whole else (None, 0)
            first, last = low - epoch.base, high - epoch.base
            self._keep(Lost(epoch.number, first, last, *held, why, now_ms, log, low, high))

    def _keep(self, lost: Lost) -> None:
        self._losses_saved = False
        forgotten = self.losses.add(lost)
        if forgotten is not None:  # the pointer remembers that it is settled
            self.acknowledged[forgotten.log].add(forgotten.first_index, forgotten.last_index)

    def gone(self, log: Log, first: int, last: int) -> bool:
        """Whether the files on disk say that all of [first, last] is settled."""
        lost = self.losses.indices[log] if self._losses_saved else Ranges()
        return covers(self._saved, lost, log, first, last)

    def save_before_removal(self, log: Log, first: int, last: int) -> None:
        """Write whatever must be durable before a file that held [first, last] may go."""
        if self.losses.rows and not self._losses_saved:
            self.save_losses()
        if not self.gone(log, first, last):
            self.save_pointer(copies=2)

    def save_losses(self) -> None:
        """Write the losses, durably, in both slots."""
        self._losses.write(self.losses.encode())
        self._losses_saved = True

    def save_epochs(self) -> None:
        """Write the epochs, durably, in both slots."""
        self._epochs.write(self.epochs.encode())

    def save_pointer(self, copies: int = 1) -> None:
        """Write the pointer, durably."""
        lost = self.losses.indices
        written = {log: fitting(self.acknowledged[log], lost[log]) for log in Log}
        out = Pointer(self.pointer.epoch, self.pointer.committed, written)
        self._pointer.write(out.encode(), copies)
        if copies == 2:  # one damage must not bring back a pointer that knows less
            self._saved = {log: Ranges(written[log]) for log in Log}

    def close(self) -> None:
        """Close the three files."""
        for file in (self._pointer, self._losses, self._epochs):
            file.close()
