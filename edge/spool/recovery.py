"""Opening what is there, whatever it is: after a clean end, a kill, a power cut or damage.

Only headers are read, and of each log the newest file. What its COMMIT records vouch for was
acknowledged or sent; readable records right behind them are kept as well. The rest is a write that
was torn: nobody was told of it, and it is cut off.

A file with anything but a clean end is not written to again: the log goes on in a new one, whose
name says where the old one ended. So no old byte can ever be taken for a record.

The newest group is written again before it is synced. After a failed sync (of the process before)
it may be in the page cache only, marked as clean, and a sync alone would not write it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.spool.disk import Disk, File
from edge.spool.log import SegmentLog
from edge.spool.record import HEADER_BYTES, SEALED, Header, Kind, Log, Totals, committed_range
from edge.spool.segment import NAME, START, Segment, Window, load, walk

_CHUNK = 1 << 20


@dataclass(slots=True)
class Recovery:
    """What opening found. records: in the newest files. torn_bytes: of writes that never ended.

    damaged_files: whose header or end is damaged, or that were set aside before. new_epoch: None:
    the epoch goes on. Damage inside older files is found when they are read.
    """

    records: int = 0
    torn_bytes: int = 0
    damaged_records: int = 0
    damaged_files: int = 0
    new_epoch: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class Tail:
    """How the newest file of a log ends.

    last: highest index that is vouched for or readable. totals: through it, None: unknown.
    end: after its record; group: where the newest group begins. records: readable ones. damaged:
    those that a COMMIT vouches for and that are not readable. end_known: nothing was ever behind
    `last`, but perhaps a torn write; exact: not even that. clean: the file may be written to again.
    """

    last: int
    totals: Totals | None
    end: int = START
    group: int = START
    records: int = 0
    damaged: int = 0
    torn_bytes: int = 0
    end_known: bool = True
    exact: bool = True
    clean: bool = True


def load_log(disk: Disk, folder: Path, log: Log) -> SegmentLog:
    """The log with the headers of its files. Files of other names are left alone."""
    found: dict[int, str] = {}
    for name in disk.names(folder):
        if NAME.fullmatch(name):  # ".damaged" comes before ".seg", which wins
            found[int(name[:16], 16)] = name
    one = SegmentLog(disk, folder, log)
    one.segments = [load(disk, folder / found[first], log) for first in sorted(found)]
    return one


def read_tail(disk: Disk, segment: Segment) -> tuple[Tail, File]:
    """How the newest file ends; and the file, open, with its newest group durable."""
    file = disk.open(segment.path)
    window = Window(disk, file, segment.size)
    tail = _scan(window, segment)
    tail.torn_bytes = _last_byte(window, tail.end) - tail.end
    cut = segment.size < max(segment.full_size, START)
    tail.end_known &= not (cut or window.unreadable)
    tail.exact &= tail.end_known and not tail.torn_bytes
    tail.clean = tail.exact and segment.totals is not None and not tail.damaged
    if not window.unreadable and tail.end > tail.group:
        disk.write(file, window.get(tail.group, tail.end - tail.group), tail.group)
    disk.fdatasync(file)
    return tail, file


def most_records(segment: Segment, segment_bytes: int) -> int:
    """More records than the file can ever have held."""
    return max(segment.size, segment.full_size, segment_bytes) // HEADER_BYTES + 1


def _scan(window: Window, segment: Segment) -> Tail:
    """What is vouched for, and the records right behind it up to the first one not readable."""
    tail = Tail(segment.first - 1, segment.totals)
    limit = segment.first + most_records(segment, window.end)
    epoch = segment.epoch if segment.totals is not None else None
    vouched = expected = START
    readable, broken = 0, False
    for at, header, body in walk(window, START, segment.first, limit, epoch):
        end = at + header.size()
        readable += body is not None and header.kind != Kind.COMMIT
        broken |= body is None or at != expected
        if header.kind == Kind.COMMIT:
            _vouch(tail, header, body, readable)
            tail.group, tail.end = vouched, end
            vouched, readable, broken = end, 0, False
        elif not broken:
            tail.last, tail.totals, tail.end = header.index, header.totals, end
        expected = end
    tail.records += readable
    tail.exact = tail.end == vouched
    tail.group = tail.group if tail.exact else vouched
    return tail


def _vouch(tail: Tail, header: Header, body: bytes | None, readable: int) -> None:
    """Take a COMMIT's word for its group, of which `readable` records are."""
    if not header.flags & SEALED:
        first, last = committed_range(body) if body else (header.index, header.index)
        tail.damaged += max(last - first + 1 - readable, 0)
    tail.records += readable
    tail.last, tail.totals = header.index, header.totals
    tail.end_known = not header.flags & SEALED


def _last_byte(window: Window, at: int) -> int:
    """The offset behind the last byte from `at` on that is not 0; `at` when all are."""
    end = at
    while chunk := window.get(at, _CHUNK):
        held = len(chunk.rstrip(b"\0"))
        end = at + held if held else end
        at += len(chunk)
    return end
