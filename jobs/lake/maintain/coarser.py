"""Step coarser: `rollups_hour` from `rollups`, `rollups_day` from `rollups_hour`.

What is over and has other rows than when it was made is made again, and takes the place of what was
there, by files. The table says in a property up to which snapshot of its source it is made; a round
that has no more time leaves there how far it came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from jobs.lake.maintain.changes import Changes, changed_files, touched
from jobs.lake.maintain.coarser_job import MAKINGS, Job, Maker, Making
from jobs.lake.maintain.live import Live, live_files
from jobs.lake.maintain.marks import Mark, load_mark, save_mark
from jobs.lake.maintain.work import Deed, Work

STEP = "coarser"

ByFacility = dict[str, list[Live]]


def coarser(work: Work) -> Iterator[Deed]:
    """Make hours, then days of them."""
    more = work.deadline()
    for making in MAKINGS:
        yield from _of_table(work, making, more)


def _of_table(work: Work, making: Making, more: Callable[[], bool]) -> Iterator[Deed]:
    source, target = work.table(making.source), work.table(making.target)
    head = source.current_snapshot()
    if head is None:
        return
    before = load_mark(target)
    mark = before.begin(source, head.snapshot_id, work.now_ms)
    plan = _Plan(work, making, mark)
    maker = Maker(work, making, source, target)
    try:
        for job in plan.jobs():
            if not more():
                return
            yield maker.deed(job) if work.dry_run else maker.make(job)
            mark = mark.after(job.place)
        mark = mark.end()
    finally:
        if mark != before and not work.dry_run:
            save_mark(target, mark)


class _Plan:
    def __init__(self, work: Work, making: Making, mark: Mark) -> None:
        self.work, self.making, self.mark = work, making, mark
        self.source = work.table(making.source)
        self.files = _by_facility(live_files(self.source, making.source))
        self.old = _by_facility(live_files(work.table(making.target), making.target))

    def jobs(self) -> Iterator[Job]:
        """What is to be made, by facility and time, without what an earlier round has made."""
        changes = self._changes()
        for facility, files in sorted(self.files.items()):
            units = sorted(self._units(facility, changes))
            for period, some in groupby(units, key=self.making.period):
                job = Job(facility, period, tuple(some), files, self.old[facility])
                if self.mark.through is None or job.place > self.mark.through:
                    yield job

    def _changes(self) -> Changes | None:
        """Units that differ between the two snapshots of the mark; None: all there are."""
        made = self.source.snapshot_by_id(self.mark.made or 0)
        if made is None:
            return None
        making = self.source.snapshot_by_id(self.mark.making or 0)
        spec = self.making.source
        come, gone = changed_files(self.source, spec, made, making)
        columns, unit_ms = self.making.columns, self.making.unit_ms
        return touched(self.source, spec, come, gone, unit_ms, columns)

    def _units(self, facility: str, changes: Changes | None) -> set[int]:
        """Of those that are over, and whose source is not past its time: for then some of it may be
        dropped. Units that were not over when the mark was set were not made, and count as well.
        """
        unit_ms, now_ms = self.making.unit_ms, self.work.now_ms
        kept_ms = self.work.policy.kept_ms(self.making.source.name, facility)
        first = max(0, -(-(now_ms - kept_ms) // unit_ms))
        end = now_ms // unit_ms
        changed = changes.get(facility, set()) if changes is not None else set()
        units = {u for u in changed if first * unit_ms <= u < end * unit_ms}
        open_from = 0 if changes is None else self.mark.made_ms // unit_ms
        for live in self.files[facility]:
            low, high = live.low_ms // unit_ms, live.high_ms // unit_ms
            some = range(max(low, first, open_from), min(high + 1, end))
            units.update(number * unit_ms for number in some)
        return units


def _by_facility(files: Iterable[Live]) -> ByFacility:
    found: ByFacility = defaultdict(list)
    for live in files:
        found[live.facility or ""].append(live)
    return found
