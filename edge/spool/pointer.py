"""What was acknowledged, and how far each log was committed, as the bytes of the pointer file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.spool.ranges import Ranges
from edge.spool.record import Log

_LOG = struct.Struct("<qI")
_RANGE = struct.Struct("<QQ")
_HEAD = struct.Struct("<I")
MOST_RANGES = 80  # of each log, so that all of them fit a slot of 4 KiB


@dataclass(slots=True)
class Pointer:
    """epoch: the one in use. committed: the highest index of each log when this was written."""

    epoch: int = 0
    committed: dict[Log, int] = field(default_factory=lambda: dict.fromkeys(Log, -1))
    acknowledged: dict[Log, Ranges] = field(default_factory=lambda: {log: Ranges() for log in Log})

    def encode(self) -> bytes:
        """The pointer as bytes."""
        parts = [_HEAD.pack(self.epoch)]
        for log in Log:
            ranges = list(self.acknowledged[log])
            parts.append(_LOG.pack(self.committed[log], len(ranges)))
            parts += [_RANGE.pack(*item) for item in ranges]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Pointer:
        """The pointer that `encode` gave."""
        pointer = cls(*_HEAD.unpack_from(data))
        at = _HEAD.size
        for log in Log:
            pointer.committed[log], count = _LOG.unpack_from(data, at)
            at += _LOG.size
            rows = _RANGE.iter_unpack(data[at : at + count * _RANGE.size])
            pointer.acknowledged[log] = Ranges((first, last) for first, last in rows)
            at += count * _RANGE.size
        return pointer


def fitting(acknowledged: Ranges, lost: Ranges) -> Ranges:
    """What of the acknowledged ranges is written: all, unless they are too many.

    Then the lowest are joined across what was lost between them (the losses file knows of it), and
    what still does not fit is left out: it is sent again after a restart.
    """
    if len(acknowledged) <= MOST_RANGES:
        return acknowledged
    joined = Ranges([*acknowledged, *lost])
    return Ranges(list(joined)[:MOST_RANGES])


def covers(saved: Mapping[Log, Ranges], lost: Ranges, log: Log, first: int, last: int) -> bool:
    """Whether the files on disk settle all of [first, last]: each is acknowledged or lost."""
    return all(lost.covers(*hole) for hole in saved[log].holes(first, last))
