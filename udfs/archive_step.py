"""Archive one gateway: each closed minute as one chunk, and late readings as further chunks of it.

Nothing is sent to the dead letters here: what is refused, rollup_readings has sent there; what is
late belongs into the archive all the same (docs/storage.md, "Late and corrected readings").
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from udfs.admission import Refusal
from udfs.archive import chunk
from udfs.batch import Batch, decode, encode
from udfs.coverage import Verdict
from udfs.ledger import Word
from udfs.losses import Position
from udfs.minute import split
from udfs.open_minutes import OpenMinutes
from udfs.raw_minute import RawMinute, size_bytes
from udfs.records import Output, Record
from udfs.state import BadState, pack, unpack

CHUNKS = "chunks"
FIRST = 1  # revision of the closed minute; late readings of it have higher ones
# late batches of a minute come together: they wait for each other, its second lot twice as long as
# the first, the third three times. So no minute gets to the 255 revisions that a table can note
LATE_AFTER_MS = 10_000
EXPIRE_EVERY_MS = 10_000
PATIENCE_MS = 26 * 3600 * 1000
MAX_HELD_BYTES = 256 * 1024 * 1024
_MAX_LATE = 10_000  # numbers of late batches and minutes with late readings that are remembered
_STATE, _STATE_VERSION = "archive_step", 1


class ArchiveStep:
    """The step of job archive_readings. See `udfs.step.Step`.

    late_seen: numbers that came late, so that a repeat is known. revisions: the last one of each
    minute that had late readings; forgotten: the highest of those that are not remembered any more.
    late: minutes with late readings that were not given out yet.
    """

    def __init__(
        self,
        facility: str,
        gateway: str,
        patience_ms: int = PATIENCE_MS,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.facility, self.gateway = facility, gateway
        self.patience_ms = patience_ms
        self.tally: Counter[str] = Counter()
        self._open = OpenMinutes(RawMinute, max_held_bytes)
        self._late: dict[int, RawMinute] = {}
        self._late_seen: dict[Position, None] = {}
        self._revisions: dict[int, int] = {}
        self._forgotten = 0
        self._expire_ms = 0
        self._event_time_ms = 0

    @property
    def changed(self) -> bool:
        """Never: readings are readings."""
        return False

    def on_batch(self, batch: Batch, record: Record, now_ms: int) -> list[Output]:
        """Keep the batch; give out the minutes that it completes."""
        self._schedule(now_ms)
        verdict = self._open.admit(batch, now_ms)
        if verdict is Verdict.DUPLICATE or (verdict is Verdict.LATE and self._repeats(batch)):
            self.tally["duplicates"] += 1
            return []
        self._event_time_ms = max(self._event_time_ms, batch.time_ms)
        for start_ms, part in split(batch):
            minute = self._open.open(start_ms, now_ms) if verdict is Verdict.NEW else None
            if minute is None and not len(part):
                continue  # a late tick without readings changes nothing
            if minute is None:
                minute = self._late_minute(start_ms, now_ms)
                self.tally["late"] += len(part)
            minute.add(part)
            self._open.held_bytes += size_bytes(part)
        outputs = self._close()
        while self._open.overfull():
            self._open.coverage.give_up_oldest()
            outputs += self._close()
        return outputs

    def on_word(self, word: Word, now_ms: int) -> list[Output]:
        """Close the holes that the gateway declares lost."""
        self._schedule(now_ms)
        coverage = self._open.coverage
        for epoch, last in word.ended:
            coverage.end_epoch(epoch, last)
        for first, last in word.lost:
            coverage.declare_lost(word.epoch, first, last, now_ms)
        return self._close()

    def on_refusal(self, refusal: Refusal, now_ms: int) -> list[Output]:
        """Nothing: rollup_readings tells it."""
        return []

    def on_timer(self, now_ms: int) -> list[Output]:
        """Give out late readings that rested, and give up holes that are too old."""
        due = [m for m in self._late.values() if self._late_ms(m) <= now_ms]
        due.sort(key=lambda minute: minute.start_ms)
        outputs = [output for minute in due for output in self._give_late(minute)]
        if self._expire_ms and now_ms >= self._expire_ms:
            self._open.coverage.expire(now_ms, self.patience_ms)
            outputs += self._close()
            self._expire_ms = 0  # the next record sets it
        return outputs

    def wake_at(self) -> int | None:
        """When late readings have rested, or holes are looked at."""
        due = [self._late_ms(minute) for minute in self._late.values()]
        if self._expire_ms:
            due.append(self._expire_ms)
        return min(due, default=None)

    def event_time_ms(self) -> int:
        """Event time of the newest batch, 0 before the first."""
        return self._event_time_ms

    def gauges(self) -> dict[str, int]:
        """Minutes that are open, and batches in holes that nobody declared lost."""
        missing = self._open.coverage.missing()
        return {"open_minutes": len(self._open.minutes), "missing_batches": missing}

    # -- inside

    def _schedule(self, now_ms: int) -> None:
        if not self._expire_ms:
            self._expire_ms = now_ms + EXPIRE_EVERY_MS

    def _repeats(self, batch: Batch) -> bool:
        """Whether a late batch came before; coverage knows only that it was given up."""
        position = Position(batch.epoch, batch.sequence)
        if position in self._late_seen:
            return True
        self._late_seen[position] = None
        if len(self._late_seen) > _MAX_LATE:
            del self._late_seen[next(iter(self._late_seen))]
        return False

    def _late_minute(self, start_ms: int, now_ms: int) -> RawMinute:
        minute = self._late.setdefault(start_ms, RawMinute(start_ms))
        minute.arrival_ms = now_ms
        return minute

    def _close(self) -> list[Output]:
        self._open.settle()
        return [output for minute in self._open.ready() for output in self._give(minute, FIRST)]

    def _give_late(self, minute: RawMinute) -> list[Output]:
        del self._late[minute.start_ms]
        return self._give(minute, self._next_revision(minute.start_ms))

    def _next_revision(self, start_ms: int) -> int:
        """Above every one that the minute may have had: one that is forgotten counts as it was."""
        return self._revisions.get(start_ms, max(self._forgotten, FIRST)) + 1

    def _late_ms(self, minute: RawMinute) -> int:
        """When late readings of a minute are given out."""
        return minute.arrival_ms + LATE_AFTER_MS * (self._next_revision(minute.start_ms) - FIRST)

    def _give(self, minute: RawMinute, revision: int) -> list[Output]:
        """One chunk; more of them where a minute holds more than a chunk may."""
        lots = _lots(minute.batches())
        last = revision + len(lots) - 1
        if last > FIRST:
            self._revisions.pop(
                minute.start_ms, None
            )  # the one with news is the last to be forgotten
            self._revisions[minute.start_ms] = last
        if len(self._revisions) > _MAX_LATE:
            oldest = next(iter(self._revisions))
            self._forgotten = max(self._forgotten, self._revisions.pop(oldest))
        return [
            self._output(minute.start_ms, lot, revision + place) for place, lot in enumerate(lots)
        ]

    def _output(self, start_ms: int, parts: list[Batch], revision: int) -> Output:
        self._open.held_bytes -= sum(map(size_bytes, parts))
        whole, missing = self._open.coverage.missing_in(start_ms)
        of = (self.facility, self.gateway, start_ms, revision, whole, missing)
        header = {
            "facility": self.facility,
            "gateway": self.gateway,
            "minute_ms": str(start_ms),
            "revision": str(revision),
            "complete": "true" if whole else "false",
            "missing": str(missing),
            "batches": str(len(parts)),
            "readings": str(sum(map(len, parts))),
        }
        data = chunk.encode(chunk.collect(*of, parts))
        return Output(CHUNKS, f"{self.facility}/{self.gateway}", data, header)

    # -- as bytes

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        fields: dict[str, Any] = {
            **self._open.to_fields(),
            "facility": self.facility,
            "gateway": self.gateway,
            "expire_ms": self._expire_ms,
            "event_time_ms": self._event_time_ms,
            "forgotten": self._forgotten,
            "late_seen": np.array(list(self._late_seen), np.int64).reshape(-1, 2),
            "revisions": np.array(list(self._revisions.items()), np.int64).reshape(-1, 2),
        }
        for group, minutes in (("open", self._open.minutes), ("late", self._late)):
            for start_ms, minute in minutes.items():
                fields[f"{group}.{start_ms}"] = minute.arrival_ms
                for index, part in enumerate(minute.batches()):
                    fields[f"{group}.{start_ms}.{index}"] = encode(part)
        return pack(_STATE, _STATE_VERSION, fields)

    @classmethod
    def restore(cls, data: bytes, patience_ms: int = PATIENCE_MS) -> ArchiveStep:
        """The step that `snapshot` gave. Raises: BadState: other bytes, or a newer version."""
        version, fields = unpack(data, _STATE)
        if version > _STATE_VERSION:
            raise BadState(f"state version {version}; this job knows up to {_STATE_VERSION}")
        step = cls(fields["facility"], fields["gateway"], patience_ms)
        step._open.take_fields(fields)
        step._expire_ms, step._event_time_ms = fields["expire_ms"], fields["event_time_ms"]
        step._forgotten = fields["forgotten"]
        step._late_seen = {Position(*row): None for row in fields["late_seen"].tolist()}
        step._revisions = dict(map(tuple, fields["revisions"].tolist()))
        for name, value in fields.items():
            step._take_field(name, value)
        return step

    def _take_field(self, name: str, value: Any) -> None:
        """An open or late minute, or one of its parts."""
        group, _, rest = name.partition(".")
        if group not in ("open", "late"):
            return
        minutes = self._open.minutes if group == "open" else self._late
        start_ms = int(rest.partition(".")[0])
        minute = minutes.setdefault(start_ms, RawMinute(start_ms))
        if isinstance(value, bytes):
            part = decode(value)
            minute.add(part)
            self._open.held_bytes += size_bytes(part)
        else:
            minute.arrival_ms = value


def _lots(
    parts: list[Batch], readings: int = chunk.MAX_READINGS, batches: int = chunk.MAX_BATCHES
) -> list[list[Batch]]:
    """The parts in their order, at most so many readings and batches together; at least one lot."""
    lots: list[list[Batch]] = [[]]
    held = 0
    for part in parts:
        if lots[-1] and (held + len(part) > readings or len(lots[-1]) == batches):
            lots.append([])
            held = 0
        lots[-1].append(part)
        held += len(part)
    return lots
