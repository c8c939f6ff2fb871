"""The lake at one moment: tables loaded in the order in which a reader sees nothing twice.

Whoever compacts writes rollups first, readings second, and then removes the chunks. Whoever loads
`chunks` before the other two therefore finds everything that is not in `chunks` in them.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.query.names import Names
from jobs.lake.query.scope import QueryError, Scope
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, load_table


@dataclass(frozen=True)
class View:
    """Table `chunks` and, younger, the table that is made from it. depth: work done ahead."""

    chunks: Table
    made: Table
    names: Names
    pool: Executor
    depth: int

    @classmethod
    def of(
        cls,
        catalog: Catalog,
        settings: LakeSettings,
        spec: TableSpec,
        names: Names,
        pool: Executor,
        depth: int,
    ) -> View:
        """Load both, `chunks` first."""
        chunks = load_table(catalog, settings, CHUNKS)
        return cls(chunks, load_table(catalog, settings, spec), names, pool, depth)


def files(table: Table, scope: Scope, time: str, grain_ms: int) -> list[DataFile]:
    """Data files that may hold rows of the scope. Raises: QueryError: rows were deleted singly."""
    tasks = list(table.scan(row_filter=scope.expression(time, grain_ms)).plan_files())
    if any(task.delete_files for task in tasks):
        raise QueryError(
            f"{'.'.join(table.name())} has delete files, which HardIoT never writes; rewrite the "
            "table without them"
        )
    return [task.file for task in tasks]
