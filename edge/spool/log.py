"""One log: a folder of segments, of which the newest is written to."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from edge.spool.disk import Disk, File
from edge.spool.record import (
    COMMIT_BYTES,
    NOTHING,
    SEALED,
    Header,
    Kind,
    Log,
    Totals,
    encode,
    encode_commit,
)
from edge.spool.segment import PAGE, START, Segment, encode_header


class SegmentLog:
    """The segments of a log, ascending, and the records that wait for the next commit.

    committed: highest index that is durable. end: where the newest file's durable records end.
    totals: of the epoch, through what was appended; committed_totals: through what is durable.
    """

    def __init__(self, disk: Disk, folder: Path, log: Log) -> None:
        self.disk, self.folder, self.log = disk, folder, log
        self.segments: list[Segment] = []
        self.committed = -1
        self.end = START
        self.totals = self.committed_totals = NOTHING
        self.next_index = 0
        self._closed = False  # the newest file takes no more: the next index is not its next one
        self._file: File | None = None
        self._waiting: list[bytes] = []
        self._first: Header | None = None
        self._last: Header | None = None
        self.waiting_bytes = 0

    # -- what waits

    def append(self, header: Header, body: bytes) -> None:
        """Take a record for the next commit. Its index must be `next_index`."""
        data = encode(header, body)
        self._waiting.append(data)
        self.waiting_bytes += len(data)
        self._first = self._first or header
        self._last = header
        self.totals = header.totals
        self.next_index = header.index + 1

    def fits(self, extra: int = 0) -> bool:
        """Whether all that waits, and `extra` bytes, fit into the newest file."""
        open_ = self._file is not None and not self._closed
        return open_ and self.end + self.needed(extra) <= self.active.size

    def needed(self, extra: int = 0) -> int:
        """Bytes that all that waits will take, with its COMMIT and that of the file's end."""
        return self.waiting_bytes + extra + 2 * COMMIT_BYTES

    def write(self) -> None:
        """Write and sync all that waits, as one group. `publish` must follow."""
        if self._file is None or self._first is None or self._last is None:
            return
        group = b"".join([*self._waiting, encode_commit(self._first.index, self._last)])
        self.disk.write(self._file, group, self.end)
        self.disk.fdatasync(self._file)
        self.end += len(group)

    def publish(self) -> int:
        """What waited is settled. Returns how many bytes it was."""
        size, last = self.waiting_bytes, self._last
        if last is not None:
            self.committed, self.committed_totals = last.index, last.totals
        self._waiting, self._first, self._last, self.waiting_bytes = [], None, None, 0
        return size

    def discard(self) -> None:
        """Drop what waits. Its indices are used up, so the log goes on in a new file."""
        self.publish()
        self._closed = True

    def waiting_range(self) -> tuple[int, int]:
        """First and last index of what waits; (0, -1) when nothing does."""
        if self._first is None or self._last is None:
            return 0, -1
        return self._first.index, self._last.index

    # -- segments

    @property
    def active(self) -> Segment:
        """The newest segment."""
        return self.segments[-1]

    def first(self) -> int:
        """The lowest index that a file may hold."""
        return self.segments[0].first

    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(segment.size for segment in self.segments)

    def after(self, segment: Segment) -> Segment | None:
        """The next segment; None after the newest."""
        at = bisect_right(self.segments, segment.first, key=lambda other: other.first)
        return self.segments[at] if at < len(self.segments) else None

    def older(self) -> list[tuple[Segment, int]]:
        """Each segment but the newest, with the highest index that it may hold."""
        return [(one, after.first - 1) for one, after in pairwise(self.segments)]

    def last(self, segment: Segment) -> int:
        """The highest index that the file may hold."""
        following = self.after(segment)
        return self.committed if following is None else following.first - 1

    def holding(self, index: int) -> Segment | None:
        """The segment for an index, or the next one behind it; None: not committed."""
        if index > self.committed:
            return None
        at = bisect_right(self.segments, index, key=lambda segment: segment.first) - 1
        return self.segments[max(at, 0)]

    def remove(self, segment: Segment) -> None:
        """Delete a file, which must not be the newest; for good, so that its room can be used."""
        self.segments.remove(segment)
        self.disk.unlink(segment.path)
        self.disk.sync_folder(self.folder)

    def set_aside(self, segment: Segment) -> None:
        """Give a damaged file, which must not be the newest, the name that says so."""
        name = segment.path.with_suffix(".damaged")
        if name != segment.path:
            self.disk.rename(segment.path, name)
            segment.path = name

    # -- a new file

    def begin_at(self, index: int, totals: Totals) -> None:
        """The next record has this index; all before are settled or in the files."""
        self.committed, self.next_index = index - 1, index
        self.totals = self.committed_totals = totals

    def start(self, file: File, segment: Segment) -> None:
        """Go on in a new file of zeros, which gets the header and the name of `segment`.

        The name appears when the header is durable, so a file that lacks one was damaged. Only
        then is the old file marked as having a successor, so that a missing one is noticed, and
        cut to what it holds.
        """
        path = self.folder / f"{segment.first:016x}.seg"
        self.disk.write(file, encode_header(self.log, segment), 0)
        self.disk.fdatasync(file)
        self.disk.rename(file.path, path)
        self.disk.sync_folder(self.folder)
        self.disk.sync_folder(file.path.parent)
        self._seal()
        # a file without one record may have had the same name
        self.segments = [s for s in self.segments if s.first != segment.first]
        self.segments.append(replace(segment, path=path))
        self._file, self.end, self._closed = File(path, file.descriptor), START, False

    def resume(self, file: File, end: int) -> None:
        """Go on in the newest segment, at offset `end`."""
        self._file, self.end = file, end

    def rotate(self, file: File, size: int) -> None:
        """Go on in a new file of `size` bytes, in the same epoch."""
        first = self.committed + 1
        old = self.active
        number = old.first_sequence + first - old.first
        totals = self.committed_totals
        self.start(file, Segment(file.path, first, size, old.epoch, number, totals, size))

    def _seal(self) -> None:
        if self._file is None:
            return
        old = self.active
        if old.first <= self.committed and self.end + COMMIT_BYTES <= old.size:
            header = Header(
                Kind.COMMIT, self.committed, old.epoch, self._sequence(old), flags=SEALED,
                totals=self.committed_totals,
            )  # fmt: skip
            self.disk.write(self._file, encode_commit(self.committed, header), self.end)
            self.end += COMMIT_BYTES
        old.size = min(old.size, -(-self.end // PAGE) * PAGE)
        self.disk.truncate(self._file, old.size)
        self.disk.fdatasync(self._file)
        self.disk.close(self._file)
        self._file = None

    def _sequence(self, segment: Segment) -> int:
        return max(segment.first_sequence + self.committed - segment.first, 0)

    def close(self) -> None:
        """Close the newest file."""
        if self._file is not None:
            self.disk.close(self._file)
            self._file = None
