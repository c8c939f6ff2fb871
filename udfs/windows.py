"""The open minutes of one gateway: filled by batches, closed by coverage.

windows = Windows("plant-07", "gw-1")
added = windows.add(batch, now_ms)      # verdict, and the rollups that became final by it
windows.provisional(now_ms)             # what dashboards may see of minutes with holes
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from udfs.batch import Batch
from udfs.coverage import MINUTE_MS, Coverage, Verdict
from udfs.losses import Loss
from udfs.minute import Minute, split
from udfs.rollup import FINAL, PROVISIONAL, MinuteRollup

PROVISIONAL_AFTER_MS = 10_000
MAX_PARKED_BYTES = 64 * 1024 * 1024
_MAX_LOST_MINUTES = 2_000  # the longest patience is 26 hours


@dataclass(slots=True)
class Added:
    """What a batch brought: its verdict, the minutes it closed, readings too late and bad."""

    verdict: Verdict
    closed: list[MinuteRollup] = field(default_factory=list)
    late_readings: int = 0
    bad_readings: int = 0


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


class Windows:
    """Minutes of one gateway. Deterministic: times come with the calls.

    max_parked_bytes bounds the memory that batches behind holes may take: past it the oldest hole
    is given up, its minute is published as incomplete, and what comes for it later is late.
    """

    def __init__(
        self, facility: str, gateway: str, max_parked_bytes: int = MAX_PARKED_BYTES
    ) -> None:
        self.facility, self.gateway = facility, gateway
        self.coverage = Coverage()
        self.minutes: dict[int, Minute] = {}
        self.closed = ClosedMinutes()
        self.parked_bytes = 0
        self.max_parked_bytes = max_parked_bytes

    def add(self, batch: Batch, now_ms: int) -> Added:
        """Take in a decoded and checked batch; `now_ms` is the wall clock."""
        verdict = self.coverage.admit(batch.epoch, batch.sequence, batch.time_ms, now_ms)
        added = Added(verdict)
        if verdict is not Verdict.NEW:
            added.late_readings = len(batch) if verdict is Verdict.LATE else 0
            return added
        for start_ms, part in split(batch):
            if part.good is not None:
                added.bad_readings += len(part.good) - int(np.count_nonzero(part.good))
            if self.closed.holds(start_ms):
                added.late_readings += len(part.value)
                continue
            minute = self._open(start_ms, now_ms)
            minute.dirty = True
            if not minute.parked and self.coverage.reaches(part.position, start_ms):
                minute.fold(part)
            else:
                minute.park(part)
                self.parked_bytes += part.size_bytes()
        added.closed = self.close()
        while self.parked_bytes > self.max_parked_bytes and self._holes():
            self.coverage.give_up_oldest()
            added.closed += self.close()
        return added

    def close(self) -> list[MinuteRollup]:
        """Publish the minutes that are complete, oldest first; call it after holes were closed."""
        for loss in self.coverage.settled:
            self._open_lost_minutes(loss)
        self.coverage.settled.clear()
        if self.parked_bytes:
            self._unpark()
        ready = [start for start in self.minutes if self.coverage.complete(start)]
        return [self._final(self.minutes.pop(start)) for start in sorted(ready)]

    def provisional(self, now_ms: int) -> list[MinuteRollup]:
        """Minutes that ended 10 s ago, are not complete, and have news that rested for 10 s."""
        due = [m for m in self.minutes.values() if self._due_ms(m) <= now_ms]
        rollups = []
        for minute in sorted(due, key=lambda m: m.start_ms):
            minute.dirty = False
            rollups.append(self._rollup(minute.preview(), PROVISIONAL))
        return rollups

    def wake_at(self) -> int | None:
        """When `provisional` has something to say next, wall clock; None if never."""
        return min(
            (self._due_ms(minute) for minute in self.minutes.values() if minute.dirty),
            default=None,
        )

    def _due_ms(self, minute: Minute) -> int:
        if not minute.dirty:
            return 2**62
        return max(minute.end_ms, minute.arrival_ms) + PROVISIONAL_AFTER_MS

    def _open(self, start_ms: int, now_ms: int) -> Minute:
        minute = self.minutes.get(start_ms)
        if minute is None:
            minute = self.minutes[start_ms] = Minute(start_ms)
        minute.arrival_ms = now_ms
        return minute

    def _open_lost_minutes(self, loss: Loss) -> None:
        """A minute that was lost as a whole is published too: as empty, with its missing count."""
        first = loss.before_ms // MINUTE_MS * MINUTE_MS
        last = min(loss.after_ms, first + _MAX_LOST_MINUTES * MINUTE_MS)
        for start_ms in range(first, last, MINUTE_MS):
            if not self.closed.holds(start_ms) and start_ms not in self.minutes:
                self.minutes[start_ms] = Minute(start_ms)

    def _unpark(self) -> None:
        """Fold what was parked where its predecessors are there now."""
        for minute in self.minutes.values():
            while minute.parked and self.coverage.reaches(minute.parked[0][0], minute.start_ms):
                _, part = minute.parked.pop(0)
                self.parked_bytes -= part.size_bytes()
                minute.fold(part)

    def _final(self, minute: Minute) -> MinuteRollup:
        for _, part in minute.parked:  # only where a gateway's times went backwards
            self.parked_bytes -= part.size_bytes()
            minute.fold(part)
        self.closed.add(minute.start_ms)
        return self._rollup(minute, FINAL)

    def _rollup(self, minute: Minute, revision: int) -> MinuteRollup:
        whole, missing = self.coverage.missing_in(minute.start_ms)
        complete = whole and revision > PROVISIONAL
        return minute.rollup(self.facility, self.gateway, revision, complete, missing)

    def _holes(self) -> bool:
        first = self.coverage.ranges[0].first
        return len(self.coverage.ranges) > 1 or first.sequence > 0

    def to_fields(self) -> dict[str, Any]:
        """The state as named fields for `udfs.state.pack`."""
        fields: dict[str, Any] = self.coverage.to_fields()
        minutes = [minute.pack() for minute in self.minutes.values()]
        return {
            **fields,
            **{f"minute.{i}": data for i, data in enumerate(minutes)},
            "closed": np.array(self.closed.runs, np.int64).reshape(-1, 2),
            "parked_bytes": self.parked_bytes,
        }

    @classmethod
    def from_fields(cls, facility: str, gateway: str, fields: dict[str, Any]) -> Windows:
        """The state that `to_fields` gave."""
        windows = cls(facility, gateway)
        windows.coverage = Coverage.from_fields(fields)
        for name in [name for name in fields if name.startswith("minute.")]:
            minute = Minute.unpack(fields[name])
            windows.minutes[minute.start_ms] = minute
        windows.parked_bytes = fields["parked_bytes"]
        windows.closed.runs = fields["closed"].tolist()
        return windows
