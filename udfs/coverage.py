"""Which batches of a gateway arrived, and so which minutes are complete.

A gateway numbers its batches (epoch, sequence) without gaps, in the order of time. Coverage keeps
the numbers that arrived as ranges; what lies between two ranges is a hole. A minute is complete
when one range reaches from before its start to past its end, however old it is and whatever lane
brought the batches: nothing is ever late because of a clock.

    coverage = Coverage()
    coverage.admit(epoch=1, sequence=7, time_ms=..., now_ms=...)   # NEW, DUPLICATE or LATE
    coverage.complete(minute_ms)                                  # may the minute close?

A hole closes when it is filled, when the gateway declares it lost, or when `expire` gives it up.
Numbers that were given up and come all the same are LATE: the caller sends them to the dead
letters, so that they can be restated.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from udfs.batch import MAX_OFFSET_MS
from udfs.losses import UNKNOWN, Loss, Position

MINUTE_MS = 60_000


class Verdict(Enum):
    """What a batch's number says: to be used, to be dropped, or to be kept for a restatement."""

    NEW = "new"
    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(slots=True)
class Range:
    """Numbers without a hole, `first` to `last`; the times are those of its outermost batches."""

    first: Position
    last: Position
    first_ms: int
    last_ms: int
    opened_ms: int  # wall clock: since when the hole before this range is known


class Coverage:
    """Coverage of one gateway.

    max_ranges bounds the state: past it the oldest hole is given up.
    """

    def __init__(self, max_ranges: int = 4096, max_losses: int = 1024) -> None:
        self.ranges: list[Range] = []
        self.losses: list[Loss] = []
        self.ended: dict[int, int] = {}  # epoch -> its last number, UNKNOWN if nobody knows it
        self.lost_batches = 0
        self.settled: list[Loss] = []  # losses whose two neighbours became known; read and cleared
        self._awaited = False  # a loss still waits for the batch after it
        self.max_ranges, self.max_losses = max_ranges, max_losses

    # -- what arrives

    def admit(self, epoch: int, sequence: int, time_ms: int, now_ms: int) -> Verdict:
        """Take in a batch's number. `now_ms` is the wall clock, for the age of holes only."""
        position = Position(epoch, sequence)
        ranges = self.ranges
        if ranges:
            newest = ranges[-1]
            last = newest.last
            in_order = epoch == last.epoch and sequence == last.sequence + 1
            if in_order and not self._awaited and epoch not in self.ended:
                newest.last, newest.last_ms = position, time_ms  # the usual case
                return Verdict.NEW
        if UNKNOWN != self.ended.get(epoch, UNKNOWN) < sequence:
            return Verdict.LATE
        index = self._find(position)
        if index >= 0 and position <= ranges[index].last:
            return Verdict.LATE if self._given_up(position) else Verdict.DUPLICATE
        self._insert(Range(position, position, time_ms, time_ms, now_ms))
        self._note_neighbours(position, time_ms)
        while len(ranges) > self.max_ranges:
            self.give_up_oldest()
        return Verdict.NEW

    def declare_lost(self, epoch: int, first: int, last: int, now_ms: int) -> int:
        """The gateway's word that [first, last] will not come. Returns how many are news."""
        news = 0
        for low, high in list(self.absent(epoch, first, last)):
            self._remember(Loss(epoch, low, high))
            news += high - low + 1
            begin, end = Position(epoch, low), Position(epoch, high)
            self._insert(Range(begin, end, UNKNOWN, UNKNOWN, now_ms))
        self.lost_batches += news
        return news

    def end_epoch(self, epoch: int, last: int | None) -> None:
        """The gateway's word that an epoch is over: after number `last`, or (None) nobody knows
        where, as after a new disk. What it had sent up to then counts as joined to the next epoch.
        """
        if epoch in self.ended:
            return
        self.ended[epoch] = UNKNOWN if last is None else last
        if last is None:
            for hole in [h for h in self._holes() if h[0] == epoch and h[2] >= h[1]]:
                self._give_up(hole)
        for index in range(len(self.ranges) - 2, -1, -1):
            self._join(index)

    def expire(self, now_ms: int, patience_ms: int) -> int:
        """Give up the holes older than `patience_ms`. Returns how many numbers that were."""
        before = self.lost_batches
        for hole in [h for h in self._holes() if now_ms - h[3] > patience_ms]:
            self._give_up(hole)
        return self.lost_batches - before

    def give_up_oldest(self) -> None:
        """Give up the hole that was first in order, to bound the state."""
        hole = next(self._holes(), None)
        if hole is not None:
            self._give_up(hole)

    # -- what is known

    def complete(self, minute_ms: int, length_ms: int = MINUTE_MS) -> bool:
        """Whether one range holds everything of [minute, minute + length)."""
        return any(
            item.last_ms >= minute_ms + length_ms and self._reaches_back(i, minute_ms)
            for i, item in enumerate(self.ranges)
            if item.last_ms != UNKNOWN
        )

    def reaches(self, position: Position, minute_ms: int) -> bool:
        """Whether all that a minute holds before `position` arrived."""
        index = self._find(position)
        return index >= 0 and self._reaches_back(index, minute_ms)

    def missing_in(self, minute_ms: int, length_ms: int = MINUTE_MS) -> tuple[bool, int]:
        """(is nothing missing, how many lost batches) of a minute; exact at an even pace."""
        if not self.losses:
            return True, 0
        end_ms = minute_ms + length_ms
        missing = sum(loss.count_in(minute_ms, end_ms) for loss in self.losses)
        hidden = any(loss.hides(minute_ms, end_ms) for loss in self.losses)
        return not missing and not hidden, missing

    def gaps(self) -> list[tuple[int, int, int]]:
        """(epoch, first, last) of the holes that nobody declared lost, in order."""
        return [(epoch, first, last) for epoch, first, last, _ in self._holes() if last >= first]

    def missing(self) -> int:
        """How many numbers are in the holes that nobody declared lost."""
        if len(self.ranges) < 2 and not (self.ranges and self.ranges[0].first.sequence):
            return 0
        return sum(last - first + 1 for _, first, last in self.gaps())

    def highest(self) -> Position | None:
        """The newest position seen."""
        return self.ranges[-1].last if self.ranges else None

    def contiguous_through(self) -> Position | None:
        """The last position before the first hole; None when even the first is not there."""
        if not self.ranges or self._hole_before(0) is not None:
            return None
        return self.ranges[0].last

    def holds(self, epoch: int, first: int, last: int) -> bool:
        """Whether all of [first, last] arrived or is lost."""
        index = self._find(Position(epoch, first))
        return index >= 0 and Position(epoch, last) <= self.ranges[index].last

    def absent(self, epoch: int, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of [first, last] that neither arrived nor are lost, in order."""
        at = first
        for index in range(max(self._find(Position(epoch, first)), 0), len(self.ranges)):
            low, high = _part(self.ranges[index], epoch)
            if high < at:
                continue
            if low > last:
                break
            if low > at:
                yield at, low - 1
            at = max(at, high + 1)
        if at <= last:
            yield at, last

    # -- inside

    def _find(self, position: Position) -> int:
        """Index of the last range that starts at or before a position, -1 if none does."""
        return bisect_right(self.ranges, position, key=lambda item: item.first) - 1

    def _reaches_back(self, index: int, minute_ms: int) -> bool:
        """Whether nothing before the range can hold readings of the minute."""
        item = self.ranges[index]
        # a predecessor that is still away may hold readings up to its time + MAX_OFFSET_MS
        early = item.first_ms != UNKNOWN and item.first_ms <= minute_ms - MAX_OFFSET_MS
        return early or (index == 0 and self._hole_before(0) is None)

    def _insert(self, new: Range) -> None:
        index = self._find(new.first) + 1
        if index < len(self.ranges):  # what is left of a hole is as old as the hole
            new.opened_ms = min(new.opened_ms, self.ranges[index].opened_ms)
        self.ranges.insert(index, new)
        self._join(index)
        self._join(index - 1)

    def _join(self, index: int) -> None:
        """Make one of range `index` and the one after it, if nothing lies between them."""
        if not 0 <= index < len(self.ranges) - 1:
            return
        left, right = self.ranges[index], self.ranges[index + 1]
        if not self._adjacent(left.last, right.first):
            return
        if left.last.epoch != right.first.epoch and self.ended[left.last.epoch] == UNKNOWN:
            epoch, sequence = left.last
            self.ended[epoch] = sequence
            self._remember(Loss(epoch, sequence + 1, sequence, left.last_ms, right.first_ms))
        left.last = right.last
        left.first_ms = left.first_ms if left.first_ms != UNKNOWN else right.first_ms
        left.last_ms = right.last_ms if right.last_ms != UNKNOWN else left.last_ms
        del self.ranges[index + 1]

    def _adjacent(self, left: Position, right: Position) -> bool:
        if left.epoch == right.epoch:
            return left.sequence + 1 == right.sequence
        end = self.ended.get(left.epoch)
        return end is not None and right.sequence == 0 and (end in (UNKNOWN, left.sequence))

    def _hole_before(self, index: int) -> tuple[int, int, int, int] | None:
        """(epoch, first, last, known since) of the hole before a range.

        `last` is `first` - 1 when its size is unknown.
        """
        item = self.ranges[index]
        epoch, sequence = item.first
        if index == 0:
            return (epoch, 0, sequence - 1, item.opened_ms) if sequence else None
        previous = self.ranges[index - 1].last
        if previous.epoch == epoch:
            return epoch, previous.sequence + 1, sequence - 1, item.opened_ms
        end = self.ended.get(previous.epoch, UNKNOWN)
        if end > previous.sequence:
            return previous.epoch, previous.sequence + 1, end, item.opened_ms
        if sequence:
            return epoch, 0, sequence - 1, item.opened_ms
        return previous.epoch, previous.sequence + 1, previous.sequence, item.opened_ms

    def _holes(self) -> Iterator[tuple[int, int, int, int]]:
        for index in range(len(self.ranges)):
            hole = self._hole_before(index)
            if hole is not None:
                yield hole

    def _give_up(self, hole: tuple[int, int, int, int]) -> None:
        epoch, first, last, since_ms = hole
        if last >= first:
            self.declare_lost(epoch, first, last, since_ms)
        else:
            self.end_epoch(epoch, None)

    def _given_up(self, position: Position) -> bool:
        epoch, sequence = position
        return any(x.epoch == epoch and x.first <= sequence <= x.last for x in self.losses)

    def _note_neighbours(self, position: Position, time_ms: int) -> None:
        """Tell the losses beside a new batch what time it is there."""
        epoch, sequence = position
        for loss in self.losses:
            if loss.epoch == epoch and loss.last + 1 == sequence and loss.count():
                loss.after_ms = time_ms
            elif loss.epoch == epoch and loss.first - 1 == sequence and loss.count():
                loss.before_ms = time_ms
            else:
                continue
            if loss.settled():
                self.settled.append(loss)
        self._awaited = any(loss.after_ms == UNKNOWN for loss in self.losses)

    def _remember(self, loss: Loss) -> None:
        """Keep a loss, as one with those beside it; forget the oldest past the limit."""
        for item in self.ranges if loss.count() else ():
            if item.last == (loss.epoch, loss.first - 1):
                loss.before_ms = item.last_ms
            if item.first == (loss.epoch, loss.last + 1):
                loss.after_ms = item.first_ms
        for other in [x for x in self.losses if x.epoch == loss.epoch and x.count()]:
            if other.last + 1 == loss.first and loss.count():
                loss.first, loss.before_ms = other.first, other.before_ms
                self.losses.remove(other)
            elif loss.last + 1 == other.first and loss.count():
                loss.last, loss.after_ms = other.last, other.after_ms
                self.losses.remove(other)
        self.losses.append(loss)
        del self.losses[: -self.max_losses]
        if loss.settled():
            self.settled.append(loss)
        self._awaited = any(loss.after_ms == UNKNOWN for loss in self.losses)

    # -- as arrays

    def to_fields(self) -> dict[str, npt.NDArray[np.int64] | int]:
        """The state as named arrays."""
        ranges = [(*r.first, *r.last, r.first_ms, r.last_ms, r.opened_ms) for r in self.ranges]
        losses = [(x.epoch, x.first, x.last, x.before_ms, x.after_ms) for x in self.losses]
        return {
            "coverage.ranges": np.array(ranges, np.int64).reshape(-1, 7),
            "coverage.losses": np.array(losses, np.int64).reshape(-1, 5),
            "coverage.ended": np.array(list(self.ended.items()), np.int64).reshape(-1, 2),
            "coverage.lost_batches": self.lost_batches,
        }

    @classmethod
    def from_fields(cls, fields: dict[str, npt.NDArray[np.int64]]) -> Coverage:
        """The state that `to_fields` gave."""
        coverage = cls()
        for e1, s1, e2, s2, first_ms, last_ms, opened_ms in fields["coverage.ranges"].tolist():
            item = Range(Position(e1, s1), Position(e2, s2), first_ms, last_ms, opened_ms)
            coverage.ranges.append(item)
        coverage.losses = [Loss(*row) for row in fields["coverage.losses"].tolist()]
        coverage.ended = {int(k): int(v) for k, v in fields["coverage.ended"].tolist()}
        coverage.lost_batches = int(fields["coverage.lost_batches"])
        coverage._awaited = any(loss.after_ms == UNKNOWN for loss in coverage.losses)
        return coverage


def _part(item: Range, epoch: int) -> tuple[int, int]:
    """The numbers of one epoch that a range holds, as (first, last); (0, -1) when none."""
    if not item.first.epoch <= epoch <= item.last.epoch:
        return 0, -1
    low = item.first.sequence if item.first.epoch == epoch else 0
    high = item.last.sequence if item.last.epoch == epoch else 2**62
    return low, high
