"""The open minutes of one gateway: filled by batches, closed by coverage.

windows = Windows("plant-07", "gw-1")
added = windows.add(batch, now_ms)      # verdict, and the rollups that became final by it
windows.provisional(now_ms)             # what dashboards may see of minutes with holes
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from udfs.batch import Batch
from udfs.coverage import Coverage, Verdict
from udfs.minute import Minute, Part, split
from udfs.open_minutes import OpenMinutes
from udfs.rollup import FINAL, PROVISIONAL, MinuteRollup

PROVISIONAL_AFTER_MS = 10_000
MAX_PARKED_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Added:
    """What a batch brought: its verdict, the minutes it closed, readings too late and bad."""

    verdict: Verdict
    closed: list[MinuteRollup] = field(default_factory=list)
    late_readings: int = 0
    bad_readings: int = 0


class Windows:
    """Minutes of one gateway. Deterministic: times come with the calls.

    max_parked_bytes bounds the memory that batches behind holes may take: past it the oldest hole
    is given up, its minute is published as incomplete, and what comes for it later is late.
    """

    def __init__(
        self, facility: str, gateway: str, max_parked_bytes: int = MAX_PARKED_BYTES
    ) -> None:
        self.facility, self.gateway = facility, gateway
        self._open = OpenMinutes(Minute, max_parked_bytes)

    @property
    def coverage(self) -> Coverage:
        """Which batches arrived."""
        return self._open.coverage

    @property
    def minutes(self) -> dict[int, Minute]:
        """The open minutes by start."""
        return self._open.minutes

    @property
    def parked_bytes(self) -> int:
        """Memory that batches behind holes take."""
        return self._open.held_bytes

    def add(self, batch: Batch, now_ms: int) -> Added:
        """Take in a decoded and checked batch; `now_ms` is the wall clock."""
        verdict = self._open.admit(batch, now_ms)
        added = Added(verdict)
        if verdict is not Verdict.NEW:
            added.late_readings = len(batch) if verdict is Verdict.LATE else 0
            return added
        for start_ms, some in split(batch):
            part = Part.of(some)
            if part.good is not None:
                added.bad_readings += len(part.good) - int(np.count_nonzero(part.good))
            minute = self._open.open(start_ms, now_ms)
            if minute is None:
                added.late_readings += len(part.value)
                continue
            self._take(minute, part)
        added.closed = self.close()
        while self._open.overfull():
            self.coverage.give_up_oldest()
            added.closed += self.close()
        return added

    def _take(self, minute: Minute, part: Part) -> None:
        minute.dirty = True
        if not minute.parked and self.coverage.reaches(part.position, minute.start_ms):
            minute.fold(part)
        else:
            minute.park(part)
            self._open.held_bytes += part.size_bytes()

    def close(self) -> list[MinuteRollup]:
        """Publish the minutes that are complete, oldest first; call it after holes were closed."""
        self._open.settle()
        if self._open.held_bytes:
            self._unpark()
        return [self._final(minute) for minute in self._open.ready()]

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

    def _unpark(self) -> None:
        """Fold what was parked where its predecessors are there now."""
        for minute in self.minutes.values():
            while minute.parked and self.coverage.reaches(minute.parked[0][0], minute.start_ms):
                _, part = minute.parked.pop(0)
                self._open.held_bytes -= part.size_bytes()
                minute.fold(part)

    def _final(self, minute: Minute) -> MinuteRollup:
        for _, part in minute.parked:  # only where a gateway's times went backwards
            self._open.held_bytes -= part.size_bytes()
            minute.fold(part)
        return self._rollup(minute, FINAL)

    def _rollup(self, minute: Minute, revision: int) -> MinuteRollup:
        whole, missing = self.coverage.missing_in(minute.start_ms)
        complete = whole and revision > PROVISIONAL
        return minute.rollup(self.facility, self.gateway, revision, complete, missing)

    def to_fields(self) -> dict[str, Any]:
        """The state as named fields for `udfs.state.pack`."""
        minutes = [minute.pack() for minute in self.minutes.values()]
        return {
            **self._open.to_fields(),
            **{f"minute.{i}": data for i, data in enumerate(minutes)},
            "parked_bytes": self.parked_bytes,
        }

    @classmethod
    def from_fields(cls, facility: str, gateway: str, fields: dict[str, Any]) -> Windows:
        """The state that `to_fields` gave."""
        windows = cls(facility, gateway)
        windows._open.take_fields(fields)
        windows._open.held_bytes = fields["parked_bytes"]
        for name in [name for name in fields if name.startswith("minute.")]:
            minute = Minute.unpack(fields[name])
            windows.minutes[minute.start_ms] = minute
        return windows
