"""A record of a log: a header of 80 bytes, then the body, then zeros up to a multiple of 8.

Header and body have a CRC32C of their own, so a record whose body is damaged still says what it
held, and the next record is found from its length; where the header is damaged, `find` looks for
the next header by magic, CRC and a plausible index.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

from google_crc32c import value as crc32c

MAGIC = b"HdR1"
HEADER_BYTES = 80
SEALED = 1  # flag of a COMMIT: the last record of a file that has a successor

_HEAD = struct.Struct("<4sIIIHHIQIIQqQQQ")
_RANGE = struct.Struct("<QQ")


class Kind(IntEnum):
    """What a record is."""

    BATCH = 1
    ROLLUP = 2
    ALERT = 3
    REFUSED = 4
    COMMIT = 5


class Log(StrEnum):
    """The three logs; the value is the folder."""

    RAW = "raw"
    ROLLUPS = "rollups"
    ALERTS = "alerts"


class Totals(NamedTuple):
    """Readings of an epoch, and their fingerprint, through some record."""

    readings: int = 0
    fingerprint: int = 0

    def plus(self, readings: int, fingerprint: int) -> Totals:
        """The totals after a record more."""
        return Totals(self.readings + readings, (self.fingerprint + fingerprint) % 2**64)

    def minus(self, readings: int, fingerprint: int) -> Totals:
        """The totals before a record."""
        return self.plus(-readings, -fingerprint)


NOTHING = Totals()


@dataclass(slots=True)
class Header:
    """What stands before a body. `totals` are those of the epoch, through this record."""

    kind: int
    index: int
    epoch: int = 0
    sequence: int = 0
    time_ms: int = 0
    readings: int = 0
    fingerprint: int = 0
    totals: Totals = NOTHING
    flags: int = 0
    length: int = 0
    body_crc: int = 0

    def size(self) -> int:
        """Bytes of the whole record."""
        return HEADER_BYTES + -(-self.length // 8) * 8


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read. `index` is its number in its log; totals are of the epoch."""

    kind: Kind
    index: int
    epoch: int
    sequence: int
    time_ms: int
    readings: int
    fingerprint: int
    total_readings: int
    total_fingerprint: int
    body: bytes


def encode(header: Header, body: bytes) -> bytes:
    """The record's bytes; length and body CRC are filled in."""
    length = len(body)
    h = header
    packed = _HEAD.pack(
        MAGIC, 0, length, crc32c(body), h.kind, h.flags, h.readings, h.index, h.epoch, 0,
        h.sequence, h.time_ms, h.fingerprint, *h.totals,
    )  # fmt: skip
    crc = crc32c(packed[8:]).to_bytes(4, "little")
    return b"".join((MAGIC, crc, packed[8:], body, bytes(-length % 8)))


def encode_commit(first: int, header: Header) -> bytes:
    """The record that vouches for `first` to `header.index`."""
    return encode(replace(header, kind=Kind.COMMIT), _RANGE.pack(first, header.index))


COMMIT_BYTES = HEADER_BYTES + _RANGE.size


def committed_range(body: bytes) -> tuple[int, int]:
    """First and last index that a COMMIT vouches for."""
    first, last = _RANGE.unpack(body)
    return first, last


def parse(data: bytes, at: int = 0) -> Header | None:
    """The header at `at`; None when it is damaged or there is none."""
    head = data[at : at + HEADER_BYTES]
    if len(head) < HEADER_BYTES or not head.startswith(MAGIC):
        return None
    if crc32c(head[8:]) != int.from_bytes(head[4:8], "little"):
        return None
    (_, _, length, body_crc, kind, flags, readings, index, epoch, _, sequence, time_ms,
     fingerprint, total, total_fingerprint) = _HEAD.unpack(head)  # fmt: skip
    totals = Totals(total, total_fingerprint)
    return Header(
        kind, index, epoch, sequence, time_ms, readings, fingerprint, totals, flags, length,
        body_crc,
    )  # fmt: skip


def stored(header: Header, body: bytes) -> Stored:
    """Header and body as one."""
    h = header
    return Stored(
        Kind(h.kind), h.index, h.epoch, h.sequence, h.time_ms, h.readings, h.fingerprint,
        *h.totals, body,
    )  # fmt: skip
