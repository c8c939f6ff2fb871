"""One maintainer at a time: a lease in the catalog, as snapshots of a table without rows.

with Lease(catalog, settings, holder="maintain/host/17") as lease:
    lease.renew()                      # between units of work; raises LeaseLost

A commit to a branch names the snapshot that it follows, so of two that want the lease one is
refused, in every catalog. Nothing depends on it but that work is not done twice: what a maintainer
commits is right also when it has lost the lease without knowing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.types import StringType

from jobs.lake.errors import LakeError
from jobs.lake.evolve import create_or_evolve
from jobs.lake.maintain.metadata import forgotten
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import Column, TableSpec
from jobs.lake.tables import load_table

HOLDER = "hardiot.lease-holder"
UNTIL = "hardiot.lease-until-ms"
LENGTH_MS = 15 * 60_000

LEASE = TableSpec(
    "maintenance",
    "No rows: its snapshots say which maintainer works until when.",
    (),
    (Column("note", StringType(), "Nothing.", False),),
    {},
    more={"write.metadata.previous-versions-max": "10"},
)


class LeaseTaken(LakeError):
    """Another maintainer is at work; the text says which, and until when at most."""


class LeaseLost(LakeError):
    """It was not renewed in time, and another maintainer has it."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Lease:
    """The lease of one maintainer; taken on entry, given back at the end."""

    def __init__(
        self,
        catalog: Catalog,
        settings: LakeSettings,
        holder: str,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._catalog, self._settings = catalog, settings
        self._holder, self._now_ms = holder, now_ms
        self._until_ms = 0

    def renew(self) -> None:
        """Hold it for longer, when a third of its time is over. Raises: LeaseLost."""
        if self._until_ms - self._now_ms() > LENGTH_MS * 2 // 3:
            return
        table = self._table()
        holder, _ = _state(table)
        try:
            if holder != self._holder:
                raise CommitFailedException(f"{holder} has it")
            self._write(table, self._now_ms() + LENGTH_MS)
        except CommitFailedException as error:
            raise LeaseLost(f"the lease of {self._holder} was lost: {error}") from None

    def __enter__(self) -> Self:
        create_or_evolve(self._catalog, (self._settings.namespace, LEASE.name), LEASE)
        table = self._table()
        holder, until_ms = _state(table)
        if until_ms > self._now_ms():
            left_s = (until_ms - self._now_ms()) // 1000
            raise LeaseTaken(f"{holder} is at work, for {left_s} s more at most")
        try:
            self._write(table, self._now_ms() + LENGTH_MS)
        except CommitFailedException:
            raise LeaseTaken("another maintainer began at the same moment") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        table = self._table()
        if _state(table)[0] == self._holder:
            try:
                self._write(table, 0)
            except CommitFailedException:
                return

    def _table(self) -> Table:
        return load_table(self._catalog, self._settings, LEASE)

    def _write(self, table: Table, until_ms: int) -> None:
        """A snapshot that follows the one that `table` was loaded with; older ones go."""
        summary = {HOLDER: self._holder, UNTIL: str(until_ms)}
        updates, requirements = table.transaction().update_snapshot(summary).fast_append()._commit()
        head = table.metadata.current_snapshot_id
        old = [s.snapshot_id for s in table.metadata.snapshots if s.snapshot_id != head]
        forget = (forgotten(old),) if old else ()
        table._do_commit((*updates, *forget), requirements)
        self._until_ms = until_ms


def _state(table: Table) -> tuple[str, int]:
    """Who has it and until when; 0 when nobody has."""
    snapshot = table.current_snapshot()
    if snapshot is None or snapshot.summary is None:
        return "", 0
    return snapshot.summary[HOLDER] or "", int(snapshot.summary[UNTIL] or 0)
