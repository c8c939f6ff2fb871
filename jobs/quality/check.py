"""Check tables `readings` and `rollups` of some facilities and times.

    report = check(lake, limits, *last_day(limits, now_ms), docs=Path("build/data-docs"))
    report.ok

A facility day at a time is in memory. Called by `hardiot quality` and by the maintenance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.errors import LakeError
from jobs.lake.query.names import Find, no_catalogue
from jobs.lake.settings import LakeSettings
from jobs.quality.facts import Frames, Measured, measure
from jobs.quality.kinds import Floats, Longs, Range
from jobs.quality.limits import SUITES, Limits
from jobs.quality.report import Report
from jobs.quality.sites import DAY_MS
from jobs.quality.view import Span, View
from udfs.alerts import rfc3339
from udfs.archive.schemas import HOUR_MS
from udfs.catalogue import Catalogue
from udfs.rules.globs import matcher

if TYPE_CHECKING:  # Great Expectations takes seconds to be imported
    from jobs.quality.judge import Judge

# of one frame: more are judged in a further validation
FRAME_ROWS = 20_000

_OF_TABLE = {"readings": ("readings", "kinds", "ledger"), "rollups": ("rollups",)}


def last_day(limits: Limits, now_ms: int) -> Span:
    """The 24 hours that are settled by now."""
    until_ms = (now_ms - limits.settled_h * HOUR_MS) // HOUR_MS * HOUR_MS
    return until_ms - DAY_MS, until_ms


@dataclass(frozen=True)
class Scope:
    """facilities: a glob. tables: readings, rollups or both. find: catalogues, for the ranges of
    sensors. kept_ms: how long readings of a facility are kept.
    """

    facilities: str = "*"
    tables: tuple[str, ...] = ("readings", "rollups")
    find: Find = no_catalogue
    kept_ms: Callable[[str], int] = lambda facility: 1 << 60


def check(
    lake: LakeSettings,
    limits: Limits,
    since_ms: int,
    until_ms: int,
    scope: Scope | None = None,
    docs: Path | None = None,
    now_ms: int = 0,
    alive: Callable[[], None] = lambda: None,
) -> Report:
    """Measure what is there, judge it, and write Data Docs.

    Args: since_ms, until_ms: whole hours are taken, UTC epoch ms. docs: folder of the site, None
        for none. now_ms: when this run is, as its pages say. alive: called between facilities.
    Raises: LakeError: a table is not there. HardiotError: the folder has files of others.
    """
    from jobs.quality.judge import Judge

    span = since_ms // HOUR_MS * HOUR_MS, -(-until_ms // HOUR_MS) * HOUR_MS
    report = Report(*span)
    judge = Judge(docs, f"{rfc3339(span[0])[:13]}-{rfc3339(span[1])[:13]}", now_ms or span[1])
    with open_catalog(lake) as catalog:
        _Run(catalog, lake, limits, scope or Scope(), judge, report, now_ms or span[1]).all(alive)
    site = judge.write()
    report.site = str(site) if site else ""
    return report


class _Run:
    def __init__(
        self, catalog: Catalog, lake: LakeSettings, limits: Limits, scope: Scope, judge: Judge,
        report: Report, now_ms: int,
    ) -> None:  # fmt: skip
        self._catalog, self._lake, self._limits, self._scope = catalog, lake, limits, scope
        self._judge, self._report, self._now_ms = judge, report, now_ms
        self._suites = [s for s in SUITES for t in scope.tables if s in _OF_TABLE[t]]
        self._waiting: dict[str, Frames] = defaultdict(lambda: {suite: [] for suite in SUITES})
        self._of: dict[str, Limits] = {}

    def all(self, alive: Callable[[], None]) -> None:
        """Day by day, facility by facility."""
        wanted, facilities = matcher(self._scope.facilities), set()
        first, end = self._report.since_ms, self._report.until_ms
        for day_ms in range(first // DAY_MS * DAY_MS, end, DAY_MS):
            span = max(first, day_ms), min(end, day_ms + DAY_MS)
            view = View.load(self._catalog, self._lake, span)
            for facility in filter(wanted, view.facilities()):
                alive()
                facilities.add(facility)
                self._facility(view, facility, day_ms)
            self._flush(0)
        self._report.facilities = len(facilities)

    def _facility(self, view: View, facility: str, day_ms: int) -> None:
        limits = self._limits.of(facility)
        kept_since_ms = self._now_ms - self._scope.kept_ms(facility)
        rollups = "rollups" in self._suites
        try:
            found = measure(view, facility, day_ms, self._ranges(facility, limits), rollups,
                            kept_since_ms)  # fmt: skip
        except (LakeError, OSError, ValueError) as error:
            self._report.unread[f"{facility} {rfc3339(day_ms)[:10]}"] = str(error)
            return
        self._take(facility, limits, found)

    def _take(self, facility: str, limits: Limits, found: Measured) -> None:
        some = self._limits.some(facility)
        title = f" {some.facility}" if some else ""
        self._of[title] = limits
        for suite, rows in found.frames.items():
            self._waiting[title][suite] += rows
        for name in ("hours", "readings", "told", "proven"):
            setattr(self._report, name, getattr(self._report, name) + getattr(found, name))
        self._flush(FRAME_ROWS)

    def _flush(self, least: int) -> None:
        """Judge the frames that have that many rows."""
        for title, frames in self._waiting.items():
            for suite in self._suites:
                if len(frames[suite]) >= max(least, 1):
                    self._judge.run(f"{suite}{title}", suite, self._of[title], frames[suite],
                                    self._report)  # fmt: skip
                    frames[suite] = []

    def _ranges(self, facility: str, limits: Limits) -> Callable[[str], Range]:
        def of_gateway(gateway: str) -> Range:
            catalogue = newest(self._scope.find, facility, gateway)
            return lambda slots, kinds: _ends(catalogue, limits, slots, kinds)

        return of_gateway


def newest(find: Find, facility: str, gateway: str) -> Catalogue | None:
    """The catalogue of the highest version; versions count from 1."""
    found, version = None, 1
    while (catalogue := find(facility, gateway, version)) is not None:
        found, version = catalogue, version + 1
    return found


def _ends(
    catalogue: Catalogue | None, limits: Limits, slots: Longs, kinds: list[str]
) -> tuple[Floats, Floats]:
    """Valid ranges: what the limits say of the kind, else the catalogue, else none."""
    low, high = np.full(len(slots), -np.inf), np.full(len(slots), np.inf)
    if catalogue is not None:
        known = slots < len(catalogue)
        low[known], high[known] = catalogue.low[slots[known]], catalogue.high[slots[known]]
    which = np.array(kinds, object)
    for kind in set(kinds):
        given = limits.kind(kind)
        for ends, value in ((low, given.low), (high, given.high)):
            if value is not None:
                ends[which == kind] = value
    return low, high
