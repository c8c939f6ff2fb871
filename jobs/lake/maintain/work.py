"""What every step of maintenance gets, and what it says of itself.

for deed in step(work):          # a unit of work a deed, each an own commit
    ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.commit import commit
from jobs.lake.maintain.policy import Policy
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import MB, TableSpec
from jobs.lake.tables import load_table

STEP = "hardiot.step"


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done, or would be: so many files, rows and bytes of a facility.

    facility: empty where it is of all. what: one word or two; why: for people.
    """

    step: str
    table: str
    facility: str
    what: str
    files: int = 0
    rows: int = 0
    bytes: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """least_bytes: files from this size on are left as they are. most_bytes: what a new file has
    at most. settled_ms: how long a day is over, and nothing came for it, before it is merged."""

    least_bytes: int = 128 * MB
    most_bytes: int = 512 * MB
    settled_ms: int = 6 * 3_600_000


@dataclass(frozen=True)
class Work:
    """The lake, the declaration and the time. now_ms: UTC epoch milliseconds, of all decisions.

    limit_s: no unit of a step begins later than so long after the step did. alive: is called
    between units; it raises when this maintainer must stop.
    """

    catalog: Catalog
    settings: LakeSettings
    policy: Policy
    now_ms: int
    dry_run: bool = False
    limit_s: float = 1800.0
    sizes: Sizes = Sizes()
    alive: Callable[[], None] = lambda: None
    clock: Callable[[], float] = field(default=time.monotonic)

    def table(self, spec: TableSpec) -> Table:
        """The table as it is now. Raises: LakeError: it is not there."""
        return load_table(self.catalog, self.settings, spec)

    def deadline(self) -> Callable[[], bool]:
        """A question whether the step, which begins now, may begin another unit."""
        end = self.clock() + self.limit_s

        def more() -> bool:
            self.alive()
            return self.clock() < end

        return more

    def commit(
        self,
        step: str,
        table: Table,
        add: Sequence[DataFile] = (),
        remove: Sequence[DataFile] = (),
        summary: Mapping[str, str] | None = None,
    ) -> None:
        """Commit, unless it is a dry run. Raises: FilesChanged, CommitTimeout."""
        if not self.dry_run:
            commit(table, add, remove, {STEP: step, **(summary or {})})


Step = Callable[[Work], Iterator[Deed]]
