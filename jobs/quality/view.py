"""The tables that are checked, as they were at one moment, and their files by facility and day.

`chunks` is loaded first, then what is made of them: as docs/storage.md has it, so that a chunk that
is compacted meanwhile is seen in one of both at least.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.files import data_files
from jobs.lake.query.rowgroups import Footer, open_file, read_footer
from jobs.lake.query.scope import ALL, Scope
from jobs.lake.query.slices import span_of
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, COUNTED, LEDGER, READINGS, RESTATEMENTS, ROLLUPS, load_table
from udfs.archive.schemas import HOUR_MS
from udfs.coverage import MINUTE_MS

# in the order of loading, with the column of times and how long a row is
_TABLES: Sequence[tuple[TableSpec, str, int]] = (
    (CHUNKS, "minute", MINUTE_MS), (READINGS, "hour", HOUR_MS), (ROLLUPS, "minute", MINUTE_MS),
    (RESTATEMENTS, "minute", MINUTE_MS), (LEDGER, "time", 1), (COUNTED, "time", 1),
)  # fmt: skip
_TIMES = {spec.name: (time, grain_ms) for spec, time, grain_ms in _TABLES}
# rows that are read at a time, unless a row group has more
_ROWS = {CHUNKS.name: 64, READINGS.name: 512, ROLLUPS.name: 500_000}

# a backlog may be told, and come, so much later
PATIENCE_MS = 26 * HOUR_MS

Span = tuple[int, int]  # from and before which, UTC epoch milliseconds


@dataclass
class View:
    """The tables, and the files that concern times of `span`."""

    span: Span
    tables: dict[str, Table]
    _files: dict[str, dict[str, list[DataFile]]] = field(default_factory=dict)

    @classmethod
    def load(cls, catalog: Catalog, settings: LakeSettings, span: Span) -> View:
        """Raises: LakeError: a table is not there."""
        view = cls(span, {})
        for spec, time, grain_ms in _TABLES:
            table = view.tables[spec.name] = load_table(catalog, settings, spec)
            late_ms = PATIENCE_MS if spec in (LEDGER, COUNTED) else 0
            scope = Scope(ALL, {}, span[0] - late_ms, span[1] + late_ms)
            files = view._files[spec.name] = defaultdict(list)
            for file in data_files(table, scope.expression(time, grain_ms)):
                files[span_of(table, file, time).facility].append(file)
        return view

    def facilities(self) -> list[str]:
        """Those with readings, rollups or words."""
        names = (CHUNKS, READINGS, ROLLUPS, LEDGER)
        return sorted({facility for spec in names for facility in self._files[spec.name]})

    def rows(
        self, spec: TableSpec, facility: str, span: Span, columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        """Rows of a facility and times, some at a time; texts are dictionaries.

        Raises: QueryError: a file is gone.
        """
        table, (time, grain_ms) = self.tables[spec.name], _TIMES[spec.name]
        for file in self._files[spec.name].get(facility, []):
            low_ms, high_ms = span_of(table, file, time)[1:]
            if low_ms >= span[1] or high_ms + grain_ms <= span[0]:
                continue
            footer = read_footer(table.io, file.file_path)
            with open_file(table.io, file.file_path, footer) as source:
                for some in _some(footer, time, span, _ROWS.get(spec.name, 10_000)):
                    rows = source.read_row_groups(
                        some, columns=[*{time, *columns}], use_threads=False
                    )
                    yield _inside(rows, time, span).select(list(columns))


def _some(footer: Footer, time: str, span: Span, rows: int) -> Iterator[list[int]]:
    """Row groups that may have times of the span, as many at a time as have so many rows."""
    found: list[int] = []
    count = 0
    for number in range(footer.metadata.num_row_groups):
        group = footer.metadata.row_group(number)
        ends = group.column(footer.columns[time]).statistics
        if ends and ends.has_min_max and not (_ms(ends.min) < span[1] and _ms(ends.max) >= span[0]):
            continue
        found.append(number)
        count += group.num_rows
        if count >= rows:
            yield found
            found, count = [], 0
    if found:
        yield found


def _ms(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us", "UTC")).value) // 1000


def _inside(rows: pa.Table, time: str, span: Span) -> pa.Table:
    micros = rows[time].cast(pa.int64()).to_numpy()
    inside = (micros >= span[0] * 1000) & (micros < span[1] * 1000)
    return rows if inside.all() else rows.filter(pa.array(inside))
