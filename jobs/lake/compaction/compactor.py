"""Turn complete facility hours of table `chunks` into tables `rollups` and `readings`.

    compactor = Compactor(catalog, lake, find, publish, Limits())
    report = compactor.round(now_ms)

What makes a repeat add nothing is the order of the commits, as docs/storage.md has it. There is one
compactor a facility: two at the same time would both add what they find.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import parser

from jobs.common.errors import HardiotError
from jobs.lake.compaction.changes import Change
from jobs.lake.compaction.commits import Publish, Work, put
from jobs.lake.compaction.hour import Prepared, prepare
from jobs.lake.compaction.plan import FacilityHour, Planner
from jobs.lake.compaction.rows import DamagedFile, Find, Kind, Problem
from jobs.lake.compaction.stored import Stored, Tables, at
from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from udfs.archive.schemas import HOUR_MS

# sensor minutes of late readings that are kept for one set of commits, some 100 bytes each
MAX_RESTATED = 2_000_000

# what concerns one hour, or one set of commits: the others go on, and it is tried again
_FAILURES = (HardiotError, OSError, pa.ArrowException, LookupError, ValueError)


@dataclass(frozen=True)
class Limits:
    """settle_s: how long after its end an hour is waited for. hours_a_commit: facility hours that
    are committed together. slice_readings: readings in memory at a time. facilities: regular
    expression of those to look after.
    """

    settle_s: int = 900
    hours_a_commit: int = 64
    slice_readings: int = 20_000_000
    facilities: str = "[a-z0-9][a-z0-9-]*"


@dataclass
class Report:
    """What a round did. hours: facility hours. bytes: of files of table `readings`. restated:
    sensor minutes that changed. problems: what is damaged or not known, found in this round.
    failed: what will be tried again, a line each.
    """

    hours: int = 0
    readings: int = 0
    bytes: int = 0
    restated: int = 0
    problems: list[Problem] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Compactor:
    """Goes round the facility hours that are ready; remembers nothing that a new one needs."""

    def __init__(
        self,
        catalog: Catalog,
        lake: LakeSettings,
        find: Find,
        publish: Publish,
        limits: Limits,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Args: find: the catalogue of (facility, gateway, version), None when it is not known.

        publish: sends restated minutes to topic `rollups`; returns when they are acknowledged.
        stopping: whether to leave off after the commits under way.
        """
        self._catalog, self._lake, self._find, self._publish = catalog, lake, find, publish
        self._limits, self._stopping = limits, stopping
        self.planner = Planner(limits.settle_s, limits.facilities)

    def round(self, now_ms: int) -> Report:
        """Compact all hours that are ready, oldest first."""
        report = Report()
        chunks = Tables.load(self._catalog, self._lake).chunks
        ended = parser.parse(f"minute < '{at(now_ms // HOUR_MS * HOUR_MS).isoformat()}'")
        todo = self.planner.ready(chunks, data_files(chunks, ended), now_ms)
        while todo and not self._stopping():
            todo = todo[self._some(todo[: self._limits.hours_a_commit], report, now_ms) :]
        return report

    def _some(self, hours: Sequence[FacilityHour], report: Report, now_ms: int) -> int:
        """Compact some hours with one set of commits. Returns: how many of them were seen to."""
        tables = Tables.load(self._catalog, self._lake)
        stored = Stored(tables, [hour.place for hour in hours])
        made: list[Prepared] = []
        seen = weight = 0
        while seen < len(hours) and weight <= MAX_RESTATED:
            found = self._prepare(hours[seen], tables, stored, report)
            made += found
            weight += sum(len(change.after.count) for each in found for change in each.changes)
            seen += 1
        self._put(Work(tables, stored, made, now_ms), report)
        return seen

    def _prepare(
        self, hour: FacilityHour, tables: Tables, stored: Stored, report: Report
    ) -> list[Prepared]:
        try:
            made = prepare(hour, tables, stored, self._find, self._limits.slice_readings)
        except DamagedFile as error:
            # which minutes are in it nobody knows: none of the hour can be taken
            report.problems.append(Problem(Kind.DAMAGED, str(error)))
            self.planner.done(hour, hour.files, damaged=1)
            return []
        except _FAILURES as error:
            report.failed.append(f"{hour}: {error}")
            return []
        return [made]

    def _put(self, work: Work, report: Report) -> None:
        try:
            put(work, self._publish)
        except _FAILURES as error:
            report.failed += [f"{made.hour}: {error}" for made in work.hours]
            return
        for made in work.hours:
            self._done(made, report)

    def _done(self, made: Prepared, report: Report) -> None:
        report.hours += 1
        report.readings += made.count
        report.bytes += sum(file.file_size_in_bytes for file in made.readings)
        report.restated += sum(_restated(change) for change in made.changes)
        report.problems += made.problems
        damaged = sum(problem.kind is Kind.DAMAGED for problem in made.problems)
        if damaged == len(made.problems):  # what has no name yet is asked for again
            self.planner.done(made.hour, made.left, damaged)


def _restated(change: Change) -> int:
    return len(change.slots) if change.rows else 0
