"""Step orphans: files that no state of their table names are deleted, once they are old.

Files of a commit that never came, of snapshots that are forgotten, metadata that was replaced. A
file that a writer has not committed yet is named by nobody either: it is young, for whoever comes
back after `writers` must not commit it any more. Files are listed first and looked for in the table
after that, so what is committed meanwhile is found.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import unquote_plus

from pyiceberg.table import Table

from jobs.lake.errors import LakeError
from jobs.lake.maintain.lease import LEASE
from jobs.lake.maintain.listing import Listed, key_of, listed
from jobs.lake.maintain.policy import Policy
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.spec import TableSpec
from jobs.lake.tables import TABLES

STEP = "orphans"
# deleted between two looks at the clock
BATCH = 500

_FACILITY = re.compile(r"/facility=([^/]+)/")


def orphans(work: Work) -> Iterator[Deed]:
    """Delete the orphans of every table."""
    more = work.deadline()
    tables = [(spec, work.table(spec)) for spec in TABLES]
    if work.catalog.table_exists((work.settings.namespace, LEASE.name)):
        tables.append((LEASE, work.table(LEASE)))  # the first round makes it
    for spec, table in tables:
        if not more():
            return
        _check_alone(table, [other for _, other in tables if other is not table])
        old_ms = work.now_ms - work.policy.upkeep.orphans
        old = [file for file in listed(table) if file.changed_ms < old_ms]
        if not old:
            continue
        table.refresh()
        named = named_by(table)
        found = [file for file in old if file.key not in named]
        held = [file for file in found if is_held(work.policy, spec, file, work.now_ms)]
        kept = {file.key for file in held}
        gone = [file for file in found if file.key not in kept]
        for start in range(0, len(gone), BATCH):
            some = gone[start:][:BATCH]
            if not more():
                return
            if not work.dry_run:
                _delete(table, some)
            yield from _deeds(spec, "delete", some)
        yield from _deeds(spec, "held", held)


def named_by(table: Table) -> set[str]:
    """Keys of all files that the table's metadata names, of any snapshot that is not forgotten."""
    metadata = table.metadata
    paths = {table.metadata_location}
    paths |= {entry.metadata_file for entry in metadata.metadata_log}
    paths |= {each.statistics_path for each in metadata.statistics}
    paths |= {each.statistics_path for each in metadata.partition_statistics}
    read: set[str] = set()
    for snapshot in metadata.snapshots:
        paths.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            if manifest.manifest_path not in read:
                read.add(manifest.manifest_path)
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                paths |= {entry.data_file.file_path for entry in entries}
    return {key_of(path) for path in paths | read}


def is_held(policy: Policy, spec: TableSpec, file: Listed, now_ms: int) -> bool:
    """Whether a hold forbids to delete a data file, by the facility in its place.

    A hold that knows days counts for all of them: a file that nobody names says nothing of its
    time. Without a facility in its place it may have rows of any.
    """
    if "/data/" not in file.path:
        return False
    found = _FACILITY.search(file.path)
    if found:
        return policy.held_now(unquote_plus(found[1]), now_ms) is not None
    has_facilities = "facility" in spec.schema().column_names
    return has_facilities and any(hold.is_on(now_ms) for hold in policy.holds)


def _check_alone(table: Table, others: list[Table]) -> None:
    """What lies in the folder of two tables is nobody's orphan."""
    place = key_of(table.location()).rstrip("/") + "/"
    for other in others:
        if (key_of(other.location()).rstrip("/") + "/").startswith(place):
            names = " and ".join(".".join(each.name()) for each in (table, other))
            raise LakeError(f"{names} share the folder {table.location()}: no orphans are deleted")


def _delete(table: Table, files: list[Listed]) -> None:
    for file in files:
        try:
            table.io.delete(file.path)
        except FileNotFoundError:
            continue


def _deeds(spec: TableSpec, what: str, files: list[Listed]) -> Iterator[Deed]:
    by_facility = defaultdict[str, list[Listed]](list)
    for file in files:
        found = _FACILITY.search(file.path)
        by_facility[unquote_plus(found[1]) if found else ""].append(file)
    for facility, some in sorted(by_facility.items()):
        yield Deed(STEP, spec.name, facility, what, len(some), 0, sum(file.bytes for file in some))
