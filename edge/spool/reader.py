"""Reading a log by index: in order from where the last call stopped, or from a segment's start.

Bodies are checked here and nowhere else, so opening a full spool reads only headers. What turns
out to be damaged is reported with what it held: each header carries the totals of its epoch, so
two neighbours say what lay between them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from edge.spool.books import Run
from edge.spool.disk import Disk, File
from edge.spool.log import SegmentLog
from edge.spool.record import SEALED, Header, Kind, Stored, Totals, stored
from edge.spool.segment import START, Found, Segment, Window, walk

_CURSORS = 8
_AHEAD, _SLACK = 1 << 20, 16 * 1024

OnMissing = Callable[[SegmentLog, Segment, list[Run]], None]


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where the record of an index stands, in which segment, and the totals before it."""

    segment: int
    offset: int
    totals: Totals | None


@dataclass(slots=True)
class _View:
    """A segment as it is now. high: after its last index. end: after its last durable byte.

    totals_after: of the epoch, through its last index; None: unknown.
    """

    segment: Segment
    high: int
    end: int
    totals_after: Totals | None


@dataclass(slots=True)
class _Pass:
    """One way through a segment. index: the next one that is expected; totals: those before it."""

    first: int
    last: int
    room: int
    index: int
    totals: Totals | None
    sealed: bool = False
    records: list[Stored] = field(default_factory=list)
    missing: list[Run] = field(default_factory=list)

    def skip_to(self, index: int, totals: Totals | None) -> None:
        """What lies between the expected index and this one is not there; totals: before it."""
        if index <= self.index:
            return
        run = Run(self.index, index - 1, elsewhere=self.sealed)
        if self.totals is not None and totals is not None:
            held = totals.minus(*self.totals)
            run = run._replace(readings=held.readings, fingerprint=held.fingerprint)
        self.missing.append(run)
        self.index = index

    def take(self, found: Found) -> bool:
        """Go on past a record. Returns False when there is no room for its body."""
        header = found.header
        if header.kind == Kind.COMMIT:
            self.skip_to(header.index + 1, header.totals)
            self.sealed = bool(header.flags & SEALED)
        elif not self._take_record(header, found.body):
            return False
        self.totals = header.totals
        return True

    def _take_record(self, header: Header, body: bytes | None) -> bool:
        wanted = body is not None and self.first <= header.index <= self.last
        if wanted and self.records and header.length > self.room:
            return False
        held = (header.readings, header.fingerprint)
        self.skip_to(header.index, header.totals.minus(*held))
        if body is None:
            self.missing.append(Run(header.index, header.index, *held))
        elif wanted:
            self.records.append(stored(header, body))
            self.room -= header.length
        self.index = header.index + 1
        return True


class Reader:
    """Reads one log, in any thread. on_missing is called without the lock held."""

    def __init__(
        self, disk: Disk, log: SegmentLog, lock: AbstractContextManager[object],
        on_missing: OnMissing,
    ) -> None:  # fmt: skip
        self._disk, self._log, self._lock = disk, log, lock
        self._on_missing = on_missing
        self._cursors: OrderedDict[int, _Cursor] = OrderedDict()

    def read(self, first: int, last: int, max_bytes: int) -> list[Stored]:
        """The readable records of [first, last], the first one and more up to `max_bytes`.

        All indices before the last record returned, or to `last` when none is, were read or
        reported missing.
        """
        records: list[Stored] = []
        while first <= last and max_bytes > 0:
            view = self._view(first)
            if view is None:
                break
            done = self._read_segment(view, max(first, view.segment.first), last, max_bytes)
            records += done.records
            max_bytes = done.room if records else max_bytes
            if done.index < min(view.high, last + 1):
                break
            first = max(done.index, view.segment.first, first)
        return records

    def _view(self, index: int) -> _View | None:
        with self._lock:
            segment = self._log.holding(index)
            if segment is None:
                return None
            following = self._log.after(segment)
            high = self._log.last(segment) + 1
            if following is None:
                return _View(segment, high, self._log.end, self._log.committed_totals)
            after = following.totals if following.epoch == segment.epoch else None
            return _View(segment, high, segment.size, after)

    def _read_segment(self, view: _View, first: int, last: int, room: int) -> _Pass:
        segment = view.segment
        begin, cursor = self._nearest(segment, first)
        one = _Pass(first, last, room, begin, cursor.totals)
        file = self._open(view)
        if file is None:
            one.index = view.high
            return one
        window = Window(self._disk, file, view.end, min(room + _SLACK, _AHEAD))
        try:
            self._walk(one, window, cursor.offset, view)
        finally:
            self._disk.close(file)
        if one.missing:
            self._on_missing(self._log, segment, one.missing)
        return one

    def _walk(self, one: _Pass, window: Window, offset: int, view: _View) -> None:
        epoch = view.segment.epoch if view.segment.totals is not None else None
        for found in walk(window, offset, one.index, view.high, epoch):
            room = one.take(found)
            offset = found.at + (found.header.size() if room else 0)
            if not room or one.index > one.last or one.index >= view.high:
                break
        else:
            one.skip_to(view.high, view.totals_after)
            return
        self._remember(one.index, _Cursor(view.segment.first, offset, one.totals))

    def _nearest(self, segment: Segment, first: int) -> tuple[int, _Cursor]:
        """The cursor at an index or next before it: not all that was read need have been sent."""
        known = [
            (index, cursor)
            for index, cursor in self._cursors.items()
            if index <= first and cursor.segment == segment.first
        ]
        start = segment.first, _Cursor(segment.first, START, segment.totals)
        begin, cursor = max(known, key=lambda item: item[0], default=start)
        if known:
            self._cursors.move_to_end(begin)
        return begin, cursor

    def _remember(self, index: int, cursor: _Cursor) -> None:
        self._cursors[index] = cursor
        self._cursors.move_to_end(index)
        while len(self._cursors) > _CURSORS:
            self._cursors.popitem(last=False)

    def _open(self, view: _View) -> File | None:
        """The segment's file; None when it went meanwhile."""
        while True:
            with self._lock:
                if view.segment not in self._log.segments:
                    return None
                path = view.segment.path
            try:
                return self._disk.open(path)
            except FileNotFoundError:
                with self._lock:
                    moved = path != view.segment.path
                    there = view.segment in self._log.segments
                if there and not moved:
                    self._disk.names(path.parent)  # raises where all of the disk is gone: no loss
                    run = Run(view.segment.first, view.high - 1, None, 0, elsewhere=False)
                    self._on_missing(self._log, view.segment, [run])
                    return None
