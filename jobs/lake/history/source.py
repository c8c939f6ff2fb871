"""History from the archive: what tables `readings` and `chunks` hold of the sensors of a rule.

The archive lies by sensor and a rule is tried in the order of time, so it is read by spans: an hour
of a facility, or more where the rule chooses few sensors. A span is what is held in memory. Lanes
are no more: what came as backlog stands where it belongs.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from fnmatch import fnmatchcase

from pyiceberg.catalog import Catalog

from jobs.common.history import EVER_MS, HistoryError
from jobs.common.settings import load
from jobs.lake.catalog import open_catalog
from jobs.lake.files import data_files
from jobs.lake.history.asked import check_labels
from jobs.lake.history.site import Archive, OneAtATime, Published, SiteHistory
from jobs.lake.query import Lake
from jobs.lake.query.names import Names, no_catalogue
from jobs.lake.query.scope import ALL, Scope
from jobs.lake.query.slices import Span, overlapping, span_of
from jobs.lake.query.view import View
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, READINGS, load_table
from udfs.archive.schemas import HOUR_MS
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.coverage import MINUTE_MS
from udfs.rules.model import Rule

_GRAINS = ((CHUNKS, "minute", MINUTE_MS), (READINGS, "hour", HOUR_MS))  # loaded in this order
_WORKERS = 2  # that look for ticks


class LakeHistory:
    """The facilities of the archive whose names match, as far as a rule watches them.

    settings: None: those of flink-conf/jobs/lake.yaml. published: says asset types, tags and
    sampling periods, which the archive does not, and what sensors are called of which nothing is
    compacted yet. Without it periods are guessed.
    """

    def __init__(
        self,
        rule: Rule,
        facility: str = ALL,
        settings: LakeSettings | None = None,
        published: Published | None = None,
    ) -> None:
        """Raises: HistoryError: the rule chooses by what only a catalogue says."""
        if published is None:
            check_labels(rule)
        self._rule, self._glob = rule, facility
        self._published = None if published is None else OneAtATime(published)
        self._settings = load(LakeSettings, "lake") if settings is None else settings

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        """See `History.read`. Facilities come one after the other, by name.

        Raises: HistoryError: there is nothing of the rule's sensors. QueryError: it cannot be read.
        """
        with ExitStack() as stack:
            catalog = open_catalog(self._settings)
            archive = self._archive(catalog, stack)
            sites: dict[str, SiteHistory] = {}
            found = False
            for span in self._spans(catalog, from_ms, to_ms):
                site = sites.setdefault(
                    span.facility, SiteHistory(self._rule, span.facility, archive)
                )
                for each in site.read(span.low_ms, span.high_ms):
                    found = True
                    yield each
            if not found:
                raise HistoryError(self._why(archive.lake, list(sites.values()), from_ms, to_ms))

    def _archive(self, catalog: Catalog, stack: ExitStack) -> Archive:
        find = no_catalogue if self._published is None else self._published.find
        lake = stack.enter_context(Lake(catalog, self._settings, find))
        pool = stack.enter_context(ThreadPoolExecutor(_WORKERS, thread_name_prefix="ticks"))
        names = Names(lambda: load_table(catalog, self._settings, READINGS), find)

        def view() -> View:
            return View.of(catalog, self._settings, READINGS, names, pool, _WORKERS)

        return Archive(lake, view, self._published)

    def _spans(self, catalog: Catalog, from_ms: int, to_ms: int) -> Iterator[Span]:
        """Times of which there are files, from `low_ms` to before `high_ms`, by facility."""
        found: list[tuple[Span, None]] = []
        for spec, time, grain_ms in _GRAINS:
            table = load_table(catalog, self._settings, spec)
            wanted = Scope(ALL, {}, from_ms, to_ms).expression(time, grain_ms)
            spans = (span_of(table, file, time) for file in data_files(table, wanted))
            # with the end itself, so that hours that follow each other overlap
            found += [
                (span._replace(high_ms=span.high_ms + grain_ms), None)
                for span in spans
                if fnmatchcase(span.facility, self._glob)
            ]
        for span, _ in overlapping(found):
            low_ms, high_ms = max(span.low_ms, from_ms), min(span.high_ms, to_ms)
            if max(-low_ms, high_ms) >= EVER_MS:
                raise HistoryError(
                    f"files of {span.facility} do not say their times: give --from and --to"
                )
            yield Span(span.facility, low_ms, high_ms)

    def _why(self, lake: Lake, sites: list[SiteHistory], from_ms: int, to_ms: int) -> str:
        """Why there is nothing, in one sentence."""
        if not sites:
            return f'the archive has nothing of a facility "{self._glob}" in that time'
        for site in sites:
            if site.asked:
                found = lake.readings(site.facility, since=from_ms, until=to_ms, **site.asked[0])
                return f"no readings of the rule's sensors in that time: {found.why_nothing()}"
        return f"the rule watches none of the facilities {', '.join(s.facility for s in sites)}"
