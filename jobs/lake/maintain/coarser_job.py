"""The hours of one facility and month, or the days of one facility and year, made and put in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.errors import CommitTimeout
from jobs.lake.files import discard
from jobs.lake.maintain.layout import layout_of
from jobs.lake.maintain.live import Live, pick, time_column
from jobs.lake.maintain.months import month_of
from jobs.lake.maintain.policy import DAY_MS, HOUR_MS
from jobs.lake.maintain.stream import Window, stream
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.maintain.write import write
from jobs.lake.spec import TableSpec
from jobs.lake.tables import ROLLUPS, ROLLUPS_DAY, ROLLUPS_HOUR
from udfs.archive.coarser import fold_hours, fold_minutes

STEP = "coarser"


@dataclass(frozen=True)
class Making:
    """source becomes target, a row a unit. columns: numbers of the source; a changed row changes
    one. period: of a time, the target's partition. span: of a time, what is made at once."""

    source: TableSpec
    target: TableSpec
    unit_ms: int
    fold: Callable[[pa.Table], pa.Table]
    columns: Sequence[str]
    period: Callable[[int], int]
    span: Callable[[int], int]


MAKINGS = (
    Making(
        ROLLUPS, ROLLUPS_HOUR, HOUR_MS, fold_minutes, ("revision",),
        period=month_of, span=lambda time_ms: time_ms // DAY_MS,
    ),
    Making(
        ROLLUPS_HOUR, ROLLUPS_DAY, DAY_MS, fold_hours,
        ("minutes", "count", "sum", "sum_sq", "min", "max", "first", "last", "bad"),
        period=lambda time_ms: month_of(time_ms) // 12, span=month_of,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """units: starts of what is to be made, rising, all in one period. files: of the facility in
    the source. old: in the target."""

    facility: str
    period: int
    units: tuple[int, ...]
    files: Sequence[Live] = field(repr=False)
    old: Sequence[Live] = field(repr=False)

    @property
    def place(self) -> tuple[str, int]:
        return self.facility, self.period


class Maker:
    """Makes jobs. source, target: as they were loaded; the target is refreshed by commits."""

    def __init__(self, work: Work, making: Making, source: Table, target: Table) -> None:
        self.work, self.making, self.source, self.target = work, making, source, target
        self._layout = layout_of(making.target)

    def make(self, job: Job) -> Deed:
        """Make it and put it in the place of what was there, in one commit.

        Raises: FilesChanged: somebody else replaced what was there; nothing was done.
        """
        made = list[DataFile]()
        try:
            there = self._write_units(job, made)
            rows = sum(file.record_count for file in made)
            old = [live for live in job.old if any(live.low_ms <= u <= live.high_ms for u in there)]
            for live in old:
                made += write(self.target, self._others(live, there), self._layout, live.rows)
            files = pick(self.target, [live.path for live in old])
            self.work.commit(STEP, self.target, made, files)
        except CommitTimeout:  # it may have taken effect
            raise
        except BaseException:
            discard(self.target, made)
            raise
        return self.deed(job, len(made), rows, sum(file.file_size_in_bytes for file in made))

    def _write_units(self, job: Job, made: list[DataFile]) -> set[int]:
        """Write the new rows. Returns: the units that have any."""
        there = set[int]()
        for _, units in groupby(job.units, key=self.making.span):
            for table in self._rows(job, list(units)):
                made += write(self.target, iter([table]), self._layout, len(table))
                there.update(self._times(table))
        return there

    def deed(self, job: Job, files: int = 0, rows: int = 0, size: int = 0) -> Deed:
        """What is said of it."""
        word = "hours" if self.making.target is ROLLUPS_HOUR else "days"
        what = f"{len(job.units)} {word}"
        return Deed(STEP, self.making.target.name, job.facility, what, files, rows, size)

    def _rows(self, job: Job, units: Sequence[int]) -> Iterator[pa.Table]:
        """The new rows of some units, in one table; none when the source has nothing of them."""
        making = self.making
        window = Window(time_column(making.source), units[0], units[-1] + making.unit_ms)
        paths = [live.path for live in job.files if live.meets(window.low_ms, window.high_ms)]
        layout = layout_of(making.source)
        found = [
            making.fold(rows)
            for rows in stream(self.source, paths, layout.order, window, layout.rows_at_once)
        ]
        if found:
            table = pa.concat_tables(found)
            yield table.filter(self._is_in(table, units))

    def _others(self, live: Live, units: set[int]) -> Iterator[pa.Table]:
        """The rows of a file of the target that are not of these units."""
        with self.target.io.new_input(live.path).open() as source:
            for batch in pq.ParquetFile(source).iter_batches(1 << 16):
                rows = pa.Table.from_batches([batch])
                yield rows.filter(pc.invert(self._is_in(rows, sorted(units))))

    def _is_in(self, rows: pa.Table, units: Sequence[int]) -> pa.ChunkedArray:
        values = pa.array([unit * 1000 for unit in units], pa.int64())
        return pc.is_in(rows["time"].cast(pa.int64()), value_set=values)

    def _times(self, rows: pa.Table) -> list[int]:
        return [time // 1000 for time in pc.unique(rows["time"].cast(pa.int64())).to_pylist()]
