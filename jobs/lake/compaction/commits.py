"""The commits of some facility hours, in the one order in which a crash between them does no harm.

1. rollups of minutes that are not there; 2. the audit of changes; 3. the changed rows; 4. the
changed minutes to topic `rollups`; 5. readings, which say what they hold; 6. the chunk files go.
Whoever begins again finds out what is there: after 5 nothing but 6 is left to do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.commit import commit
from jobs.lake.compaction.changes import Change, Why, audit_rows
from jobs.lake.compaction.hour import Prepared
from jobs.lake.compaction.rewrite import (
    ROLLUP_KEY,
    ROLLUPS_PARQUET,
    Replacement,
    by_month,
    write_rollups,
)
from jobs.lake.compaction.rows import Names
from jobs.lake.compaction.stored import Stored, Tables
from jobs.lake.files import discard, write_parquet
from udfs.archive.rollup_rows import rollup_rows
from udfs.rollup import MinuteRollup

AUTHOR = "compact_readings"
LATE = "late readings"

Publish = Callable[[Sequence[MinuteRollup]], None]


@dataclass(frozen=True)
class Work:
    """Facility hours that are prepared, against tables as they were loaded."""

    tables: Tables
    stored: Stored
    hours: Sequence[Prepared]
    now_ms: int


def put(work: Work, publish: Publish) -> None:
    """Make all commits.

    Raises: LakeError: a table cannot be committed to. HardiotError: Kafka takes no minutes.
    Files of commits that were not begun are deleted; the hours can be prepared again.
    """
    tables, hours = work.tables, work.hours
    unused = [file for hour in hours for file in hour.readings]
    try:
        claims = [f"{made.hour.facility}/{made.hour.hour_ms}" for made in hours]
        _commit(tables.rollups, [file for hour in hours for file in hour.rollups], claims=claims)
        changes = [(change, h.names[change.after.gateway]) for h in hours for change in h.changes]
        if changes:
            why = Why(LATE, AUTHOR, work.now_ms)
            note(tables.restatements, work.stored.audited(), changes, why)
            replace_rows(tables.rollups, changes, [f for h in hours for f in h.old])
            publish([change.after for change, _ in changes])
        readings, unused = unused, []
        _commit(tables.readings, readings, claims=claims)
    finally:
        discard(tables.readings, unused)
    _commit(tables.chunks, [], [file for hour in hours for file in hour.gone])


def note(
    table: Table,
    known: frozenset[str],
    changes: Iterable[tuple[Change, Names]],
    why: Why,
    job: str = AUTHOR,
) -> None:
    """Write the audit of changes, but for what is known of them already."""
    rows = [
        audit_rows(change, names(change.after.catalogue), why)
        for change, names in changes
        if len(change.slots)
    ]
    for facility_rows in _by_facility(rows):
        ids = facility_rows["id"].to_pylist()
        new = facility_rows.filter(pa.array([text not in known for text in ids]))
        files = [write_parquet(table, p, row_group_rows=100_000) for p in by_month(new)]
        _commit(table, files, job=job)


def replace_rows(
    table: Table,
    changes: Iterable[tuple[Change, Names]],
    old: Sequence[DataFile],
    job: str = AUTHOR,
) -> None:
    """Put the changed minutes in the places of their rows in these files of table `rollups`.

    One commit for all: the files are rewritten, rows that are new are added.
    """
    rows = [rollup_rows(c.after, names(c.after.catalogue)) for c, names in changes if c.rows]
    files = {file.file_path: file for file in old}
    made: list[DataFile] = []
    gone: list[DataFile] = []
    for facility_rows in _by_facility(rows):
        new = Replacement(facility_rows, ROLLUP_KEY, ROLLUPS_PARQUET)
        facility = facility_rows["facility"][0].as_py()
        for file in [file for file in files.values() if file.partition[0] == facility]:
            if new.concerns(table, file):
                made.append(new.rewrite(table, file))
                gone.append(file)
        if len(rest := new.rest()):
            made += write_rollups(table, [rest])
    _commit(table, made, gone, job)


def _by_facility(rows: Sequence[pa.Table]) -> Iterable[pa.Table]:
    """Each facility's rows as one table."""
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for table in rows:
        found[table["facility"][0].as_py()].append(table)
    return [pa.concat_tables(found[facility]) for facility in sorted(found)]


def _commit(
    table: Table,
    add: Sequence[DataFile],
    remove: Sequence[DataFile] = (),
    job: str = AUTHOR,
    claims: Sequence[str] = (),
) -> None:
    if add or remove:
        commit(table, add, remove, {"hardiot.job": job}, claims=claims)
