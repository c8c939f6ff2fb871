"""What will never be sent: ranges that were dropped or damaged, each declared once."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from edge.spool.ranges import Ranges
from edge.spool.record import Log

_ROW = struct.Struct("<BBHIQQQQqQq")
_LOGS = tuple(Log)


class Why(StrEnum):
    """Reason of a loss."""

    SPOOL_FULL = "spool_full"
    DAMAGED = "damaged"
    UNKNOWN_END = "unknown_end"


_REASONS = tuple(Why)


@dataclass(frozen=True, slots=True)
class Lost:
    """Numbers of one epoch, `first` to `last`, that will not come.

    readings: how many they held, None when unknown (the fingerprint is 0 then). Of the logs
    `rollups` and `alerts`, which have no numbers, only the indices mean something.
    """

    epoch: int
    first: int
    last: int
    readings: int | None
    fingerprint: int
    reason: str
    declared_ms: int
    log: Log = Log.RAW
    first_index: int = 0
    last_index: int = -1

    def joined(self, other: Lost) -> Lost | None:
        """Both as one, when `other` comes right after; else None."""
        same = (self.log, self.epoch, self.reason) == (other.log, other.epoch, other.reason)
        adjacent = self.last_index + 1 == other.first_index and self.last + 1 == other.first
        if not (same and adjacent) or (self.readings is None) != (other.readings is None):
            return None
        readings = None if self.readings is None else self.readings + (other.readings or 0)
        return replace(
            self,
            last=other.last,
            last_index=other.last_index,
            readings=readings,
            fingerprint=(self.fingerprint + other.fingerprint) % 2**64,
            declared_ms=max(self.declared_ms, other.declared_ms),
        )


class Losses:
    """All that were declared, oldest first; at most `most`, then the oldest is forgotten."""

    def __init__(self, rows: Iterable[Lost], most: int) -> None:
        self.rows = list(rows)
        self.most = most
        self.indices: dict[Log, Ranges] = {log: Ranges() for log in Log}
        for row in self.rows:
            self.indices[row.log].add(row.first_index, row.last_index)

    def add(self, lost: Lost) -> Lost | None:
        """Take one in, as one with its neighbours. Returns the one that had to be forgotten."""
        self.indices[lost.log].add(lost.first_index, lost.last_index)
        for row in list(self.rows):
            joined = row.joined(lost) or lost.joined(row)
            if joined is not None:
                self.rows.remove(row)
                lost = joined
        self.rows.append(lost)
        return self.rows.pop(0) if len(self.rows) > self.most else None

    def encode(self) -> bytes:
        """The rows as bytes."""
        return b"".join(
            _ROW.pack(
                _LOGS.index(r.log), _REASONS.index(Why(r.reason)), 0, r.epoch, r.first_index,
                r.last_index, r.first, r.last + 1, -1 if r.readings is None else r.readings,
                r.fingerprint, r.declared_ms,
            )
            for r in self.rows
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes | None, room: int) -> Losses:
        """The rows that `encode` gave, none from None. room: bytes that there are for them."""
        rows = []
        for fields in _ROW.iter_unpack(data or b""):
            log, reason, _, epoch, first_index, last_index, first, after, readings = fields[:9]
            held = None if readings < 0 else readings
            rows.append(
                Lost(epoch, first, after - 1, held, fields[9], _REASONS[reason].value, fields[10],
                     _LOGS[log], first_index, last_index)
            )  # fmt: skip
        return cls(rows, most=room // _ROW.size)
