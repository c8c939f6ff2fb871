"""Step drop: data files whose rows are all past their time leave the table, as a whole.

The rows are gone for readers at once; the files themselves go with the steps expire and orphans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pyiceberg.table import Table

from jobs.lake.errors import FilesChanged
from jobs.lake.maintain.live import Live, facilities_in, live_files, pick
from jobs.lake.maintain.policy import DAY_MS, HOUR_MS, Policy
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.spec import TableSpec
from jobs.lake.tables import (
    ALERTS,
    COUNTED,
    DEAD_LETTERS,
    LEDGER,
    READINGS,
    RESTATEMENTS,
    ROLLUPS,
    ROLLUPS_DAY,
    ROLLUPS_HOUR,
)

STEP = "drop"
KEPT = (
    READINGS, ROLLUPS, ROLLUPS_HOUR, ROLLUPS_DAY, ALERTS, LEDGER, COUNTED, DEAD_LETTERS,
    RESTATEMENTS,
)  # fmt: skip
# how long after its time a row still speaks of, where it is no moment
LENGTH_MS = {"readings": HOUR_MS, "rollups": 60_000, "rollups_hour": HOUR_MS, "rollups_day": DAY_MS}
# files a commit: it holds their bounds in memory
BATCH = 1000
ATTEMPTS = 3


def drop(work: Work) -> Iterator[Deed]:
    """Drop what is past in every table."""
    more = work.deadline()
    for spec in KEPT:
        if more():
            yield from _of_table(work, spec)


def is_past(
    policy: Policy, spec: TableSpec, facilities: list[str], high_ms: int, now_ms: int
) -> bool:
    """Whether rows up to a time are past for all of these facilities."""
    kept_ms = max(policy.kept_ms(spec.name, facility) for facility in facilities)
    return high_ms + LENGTH_MS.get(spec.name, 1) <= now_ms - kept_ms


def _of_table(work: Work, spec: TableSpec) -> Iterator[Deed]:
    table = work.table(spec)
    for attempt in range(1, ATTEMPTS + 1):
        past, held = _plan(work, table, spec)
        try:
            for start in range(0, len(past), BATCH):
                paths = [live.path for _, live in past[start:][:BATCH]]
                work.commit(STEP, table, remove=pick(table, paths))
        except FilesChanged:  # somebody merged one of them meanwhile
            if attempt == ATTEMPTS:
                raise
            table.refresh()
            continue
        yield from _deeds(spec, "drop", past)
        yield from _deeds(spec, "held", held)
        return


Named = list[tuple[str, Live]]


def _plan(work: Work, table: Table, spec: TableSpec) -> tuple[Named, Named]:
    """Files that go, and files that would if there were no hold; each with whose it is."""
    shortest = min(
        getattr(tables, spec.name) or getattr(work.policy.tables, spec.name)
        for tables in (work.policy.tables, *(e.tables for e in work.policy.facilities))
    )
    past: Named = []
    held: Named = []
    for live in live_files(table, spec):
        if live.high_ms >= work.now_ms - shortest:
            continue
        names = facilities_in(table, live)
        if not is_past(work.policy, spec, names, live.high_ms, work.now_ms):
            continue
        ends = (live.low_ms, live.high_ms, work.now_ms)
        holds = any(work.policy.held(name, *ends) for name in names)
        (held if holds else past).append((", ".join(names), live))
    return past, held


def _deeds(spec: TableSpec, what: str, files: Named) -> Iterator[Deed]:
    """A line a facility."""
    by_facility = defaultdict[str, list[Live]](list)
    for facility, live in files:
        by_facility[facility].append(live)
    for facility, lives in sorted(by_facility.items()):
        rows, size = sum(live.rows for live in lives), sum(live.bytes for live in lives)
        yield Deed(STEP, spec.name, facility, what, len(lives), rows, size)
