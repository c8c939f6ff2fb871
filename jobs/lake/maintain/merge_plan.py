"""Which files are to be merged, found by what the manifests say of them.

Table `readings`: all files of a facility's day, once it is over and settled and no chunk of it is
left. Other tables: the small files of days that are over, once they are many, large together, or
their month or year is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyiceberg.table import Table

from jobs.lake.maintain.drop import is_past
from jobs.lake.maintain.live import Live, live_files
from jobs.lake.maintain.months import month_of, month_start_ms
from jobs.lake.maintain.policy import DAY_MS
from jobs.lake.maintain.work import Sizes, Work
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, READINGS

# of small files: a day of them
MANY = 24
# files that are open at a time, and what one merge reads at most
MOST_FILES = 256
MOST_BYTES = 8 << 30


@dataclass(frozen=True, slots=True)
class Group:
    """Files of one partition that become fewer ones."""

    files: tuple[Live, ...]

    @property
    def bytes(self) -> int:
        return sum(live.bytes for live in self.files)

    @property
    def rows(self) -> int:
        return sum(live.rows for live in self.files)

    @property
    def days(self) -> range:
        """The days that have rows, as days since 1970."""
        low_ms = min(live.low_ms for live in self.files)
        return range(low_ms // DAY_MS, max(live.high_ms for live in self.files) // DAY_MS + 1)

    def outputs(self, sizes: Sizes) -> int:
        """How many files it becomes: as few as stay well below the largest size."""
        return max(1, -(-self.bytes * 4 // (sizes.most_bytes * 3)))


def plan(work: Work, table: Table, spec: TableSpec) -> list[Group]:
    """What is to be merged in a table, the oldest first."""
    partitions = defaultdict[tuple[object, ...], list[Live]](list)
    for live in live_files(table, spec):
        if not _goes(work, spec, live):
            partitions[live.partition].append(live)
    if spec is READINGS:
        found = _days(work, table, list(partitions.values()))
    else:
        found = (g for files in partitions.values() for g in _small(work, table, spec, files))
    return sorted(found, key=lambda group: (group.days.start, group.files[0].path))


def _goes(work: Work, spec: TableSpec, live: Live) -> bool:
    """Whether the step drop takes it: it would be merged for nothing."""
    name, now_ms = live.facility, work.now_ms
    return (
        name is not None
        and is_past(work.policy, spec, [name], live.high_ms, now_ms)
        and work.policy.held(name, live.low_ms, live.high_ms, now_ms) is None
    )


def _days(work: Work, table: Table, partitions: list[list[Live]]) -> Iterator[Group]:
    waiting = defaultdict[str | None, list[Live]](list)
    for chunk in live_files(work.table(CHUNKS), CHUNKS):
        waiting[chunk.facility].append(chunk)
    for files in partitions:
        start = files[0].low_ms // DAY_MS * DAY_MS
        end = start + DAY_MS
        if len(files) < 2 or end + work.sizes.settled_ms > work.now_ms:
            continue
        busy = any(chunk.meets(start, end) for chunk in waiting[files[0].facility])
        if busy or _of_one_merge(files, work.sizes) or not _is_quiet(work, table, files):
            continue
        # in the order of their commits, as their parts are numbered
        files.sort(key=lambda live: (live.sequence, live.path))
        yield Group(tuple(files[:MOST_FILES]))


def _of_one_merge(files: Sequence[Live], sizes: Sizes) -> bool:
    """Whether nothing came since they were written together."""
    fitting = max(1, -(-sum(live.bytes for live in files) // sizes.least_bytes))
    return len({live.sequence for live in files}) == 1 and len(files) <= fitting


def _is_quiet(work: Work, table: Table, files: Sequence[Live]) -> bool:
    """Whether no commit has added one of them for a while; a forgotten snapshot is long ago."""
    for number in {live.snapshot_id for live in files}:
        snapshot = table.snapshot_by_id(number)
        if snapshot and snapshot.timestamp_ms > work.now_ms - work.sizes.settled_ms:
            return False
    return True


def _small(work: Work, table: Table, spec: TableSpec, files: list[Live]) -> Iterator[Group]:
    today_ms = (work.now_ms - work.sizes.settled_ms) // DAY_MS * DAY_MS
    small = [x for x in files if x.bytes < work.sizes.least_bytes and x.high_ms < today_ms]
    small.sort(key=lambda live: (live.low_ms, live.path))
    enough = len(small) >= MANY or sum(live.bytes for live in small) >= work.sizes.least_bytes
    if len(small) < 2 or not enough:
        over = files[0].low_ms > 0 and _end_ms(spec, files[0].low_ms) <= today_ms
        if len(small) < 2 or not over or not _is_quiet(work, table, small):
            return
    yield from _cut(small)


def _cut(files: Sequence[Live]) -> Iterator[Group]:
    """Groups that can be merged at a time; a file that is left alone waits."""
    taken: list[Live] = []
    for live in files:
        full = len(taken) == MOST_FILES or sum(x.bytes for x in taken) + live.bytes > MOST_BYTES
        if full:
            yield Group(tuple(taken))
            taken = []
        taken.append(live)
    if len(taken) > 1:
        yield Group(tuple(taken))


def _end_ms(spec: TableSpec, time_ms: int) -> int:
    """When the day, month or year of a time is over."""
    how = next(how for how in spec.partitions.values() if how)
    if how == "day":
        return (time_ms // DAY_MS + 1) * DAY_MS
    month = month_of(time_ms)
    return month_start_ms(month + 1 if how == "month" else (month // 12 + 1) * 12)
