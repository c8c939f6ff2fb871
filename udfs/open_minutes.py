"""The open minutes of one gateway, whatever is kept of them: closed by coverage, in bounded memory.

minutes = OpenMinutes(Minute, max_bytes=64 * 1024 * 1024)
minutes.admit(batch, now_ms)              # the verdict of its number
minutes.open(start_ms, now_ms)            # the minute, maybe a new one; None: closed
minutes.ready()                           # those that became complete, oldest first
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from udfs.batch import Batch
from udfs.coverage import MINUTE_MS, Coverage, Verdict
from udfs.losses import Loss

_MAX_LOST_MINUTES = 2_000  # the longest patience is 26 hours


class OneMinute(Protocol):
    """What is kept of a minute while it is open."""

    start_ms: int
    arrival_ms: int  # wall clock of its newest batch


M = TypeVar("M", bound=OneMinute)


class ClosedMinutes:
    """Which minutes were published as final: runs of minutes without a break, few of them."""

    def __init__(self, max_runs: int = 256) -> None:
        self.runs: list[list[int]] = []  # [first, last], start times, ascending
        self.max_runs = max_runs

    def holds(self, start_ms: int) -> bool:
        return any(first <= start_ms <= last for first, last in reversed(self.runs))

    def add(self, start_ms: int) -> None:
        """Note a minute that is not there yet; the oldest runs are forgotten past the limit."""
        insort(self.runs, [start_ms, start_ms])
        merged: list[list[int]] = []
        for first, last in self.runs:
            if merged and first - merged[-1][1] <= MINUTE_MS:
                merged[-1][1] = last
            else:
                merged.append([first, last])
        self.runs = merged[-self.max_runs :]


class OpenMinutes(Generic[M]):
    """Deterministic: times come with the calls.

    held_bytes: what the owner keeps that waits for other batches; it counts them. Past max_bytes
    the oldest hole is given up: its minute closes as incomplete, and what comes for it is late.
    """

    def __init__(self, new: Callable[[int], M], max_bytes: int) -> None:
        self.new = new
        self.coverage = Coverage()
        self.minutes: dict[int, M] = {}
        self.closed = ClosedMinutes()
        self.held_bytes = 0
        self.max_bytes = max_bytes

    def admit(self, batch: Batch, now_ms: int) -> Verdict:
        """What the batch's number says; `now_ms` is the wall clock."""
        return self.coverage.admit(batch.epoch, batch.sequence, batch.time_ms, now_ms)

    def open(self, start_ms: int, now_ms: int) -> M | None:
        """The minute, for news of it; None when it was closed already."""
        if self.closed.holds(start_ms):
            return None
        minute = self.minutes.get(start_ms)
        if minute is None:
            minute = self.minutes[start_ms] = self.new(start_ms)
        minute.arrival_ms = now_ms
        return minute

    def settle(self) -> None:
        """Open the minutes that were lost as a whole: they are published too, as empty."""
        for loss in self.coverage.settled:
            self._open_lost(loss)
        self.coverage.settled.clear()

    def ready(self) -> list[M]:
        """The minutes that are complete, oldest first; they are closed from now on."""
        starts = sorted(start for start in self.minutes if self.coverage.complete(start))
        for start in starts:
            self.closed.add(start)
        return [self.minutes.pop(start) for start in starts]

    def overfull(self) -> bool:
        """Whether a hole has to be given up, and there is one."""
        return self.held_bytes > self.max_bytes and self._holes()

    def _holes(self) -> bool:
        first = self.coverage.ranges[0].first
        return len(self.coverage.ranges) > 1 or first.sequence > 0

    def _open_lost(self, loss: Loss) -> None:
        first = loss.before_ms // MINUTE_MS * MINUTE_MS
        last = min(loss.after_ms, first + _MAX_LOST_MINUTES * MINUTE_MS)
        for start_ms in range(first, last, MINUTE_MS):
            if not self.closed.holds(start_ms) and start_ms not in self.minutes:
                self.minutes[start_ms] = self.new(start_ms)

    def to_fields(self) -> dict[str, Any]:
        """Coverage and closed minutes as named fields; what is in the minutes is the owner's."""
        closed = np.array(self.closed.runs, np.int64).reshape(-1, 2)
        return {**self.coverage.to_fields(), "closed": closed}

    def take_fields(self, fields: dict[str, Any]) -> None:
        """The state that `to_fields` gave."""
        self.coverage = Coverage.from_fields(fields)
        self.closed.runs = fields["closed"].tolist()
