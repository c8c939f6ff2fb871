"""One file of a log: its header, its name, and the way through its records.

A segment holds the indices from its own first one to the one before the next segment's; so where
an older file ends is known without reading it, and bytes behind its last record are never taken
for records: theirs are indices of the next file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from google_crc32c import value as crc32c

from edge.errors import EdgeError
from edge.spool.disk import Disk, File
from edge.spool.record import HEADER_BYTES, MAGIC, NOTHING, Header, Kind, Log, Totals, parse

START = 64  # where the first record stands
NAME = re.compile(r"([0-9a-f]{16})\.(seg|damaged)")

_MAGIC = b"HdSG"
_VERSION = 1
_HEAD = struct.Struct("<4sIHBBIQQQQQQ")  # 64 bytes
_LOGS = tuple(Log)
_AHEAD = 1 << 20
PAGE = 4096


class Before(NamedTuple):
    """How the epoch before a new one ended: numbers known of, whether they are all, totals."""

    numbers: int = 0
    end_known: bool = False
    totals: Totals = NOTHING


UNKNOWN = Before()


@dataclass(slots=True)
class Segment:
    """What is kept in memory of a file. size: bytes that it takes; full_size: when it was made.

    epoch, first_sequence: of its first index. totals: of the epoch, before it; None: the header is
    damaged. before: where an epoch begins, the end of the one before it.
    """

    path: Path
    first: int
    size: int
    epoch: int = 0
    first_sequence: int = 0
    totals: Totals | None = None
    full_size: int = 0
    before: Before = UNKNOWN


def encode_header(log: Log, segment: Segment) -> bytes:
    """The 64 bytes that a segment file begins with. At sequence 0 the totals are those of the
    epoch before, for its own are 0.
    """
    s = segment
    totals = (s.totals or NOTHING) if s.first_sequence else s.before.totals
    packed = _HEAD.pack(
        _MAGIC, 0, _VERSION, _LOGS.index(log), s.before.end_known, s.epoch, s.first,
        s.first_sequence, *totals, s.full_size, s.before.numbers,
    )  # fmt: skip
    return b"".join((_MAGIC, crc32c(packed[8:]).to_bytes(4, "little"), packed[8:]))


def load(disk: Disk, path: Path, log: Log) -> Segment:
    """A segment from its file's name and header. Raises: EdgeError: a newer gateway wrote it."""
    segment = Segment(path, int(path.name[:16], 16), disk.size(path))
    file = disk.open(path)
    try:
        data = Window(disk, file, START).get(0, START)
    finally:
        disk.close(file)
    if len(data) < START or data[:4] != _MAGIC:
        return segment
    fields = _HEAD.unpack(data)
    if crc32c(data[8:]) != fields[1]:
        return segment
    if fields[2] != _VERSION:
        raise EdgeError(
            f"{path}: format {fields[2]}; this gateway reads {_VERSION}. Start the newer version "
            "that wrote it, or set another spool.folder"
        )
    if fields[3] != _LOGS.index(log) or fields[6] != segment.first:
        return segment
    segment.epoch, segment.first_sequence, segment.full_size = fields[5], fields[7], fields[10]
    totals = Totals(*fields[8:10])
    segment.totals = totals if segment.first_sequence else NOTHING
    segment.before = Before(fields[11], bool(fields[4]), totals)
    return segment


class Window:
    """Bytes of a file up to `end`, read ahead. What the disk cannot read is 0."""

    def __init__(self, disk: Disk, file: File, end: int, ahead: int = _AHEAD) -> None:
        self._disk, self._file, self.end = disk, file, end
        self._ahead = ahead
        self._at, self._data = 0, b""
        self.unreadable = False

    def get(self, at: int, size: int) -> bytes:
        """`size` bytes from `at`, fewer at the end."""
        size = min(size, self.end - at)
        if size <= 0:
            return b""
        if at < self._at or at + size > self._at + len(self._data):
            self._at, self._data = at, self._read(at, max(size, min(self._ahead, self.end - at)))
        return self._data[at - self._at : at - self._at + size]

    def _read(self, at: int, size: int) -> bytes:
        try:
            return self._disk.pread(self._file, size, at)
        except OSError:
            self.unreadable = True
        bounds = [at, *range((at // PAGE + 1) * PAGE, at + size, PAGE), at + size]
        return b"".join(self._page(first, end) for first, end in pairwise(bounds))

    def _page(self, first: int, end: int) -> bytes:
        try:
            return self._disk.pread(self._file, end - first, first)
        except OSError:
            return bytes(end - first)


class Found(NamedTuple):
    """A record in a file. body: None when it is damaged."""

    at: int
    header: Header
    body: bytes | None


def walk(window: Window, start: int, low: int, high: int, epoch: int | None) -> Iterator[Found]:
    """The records from offset `start` on, across what is damaged.

    Only indices from `low` to below `high`, ascending, and of `epoch` (None: any) are records;
    anything else is damage, or was written before a crash and does not count.
    """
    at = start
    while (found := _next(window, at, low, high, epoch)) is not None:
        yield found
        low = max(low, found.header.index + 1)
        at = found.at + found.header.size()


def _next(window: Window, at: int, low: int, high: int, epoch: int | None) -> Found | None:
    while at < window.end:
        header = parse(window.get(at, HEADER_BYTES))
        if header is not None and _plausible(header, low, high, epoch):
            body: bytes | None = window.get(at + HEADER_BYTES, header.length)
            if len(body or b"") < header.length or crc32c(body or b"") != header.body_crc:
                body = None
            return Found(at, header, body)
        at = _seek(window, at + 8)
    return None


def _plausible(header: Header, low: int, high: int, epoch: int | None) -> bool:
    if not Kind.BATCH <= header.kind <= Kind.COMMIT:
        return False
    least = low - 1 if header.kind == Kind.COMMIT else low
    return least <= header.index < high and epoch in (None, header.epoch)


def _seek(window: Window, at: int) -> int:
    """Where the next magic stands that may begin a record; the end when there is none."""
    while chunk := window.get(at, _AHEAD):
        found = chunk.find(MAGIC)
        while found >= 0 and found % 8:
            found = chunk.find(MAGIC, found + 1)
        if found >= 0:
            return at + found
        at += _AHEAD
    return window.end
