"""The archive as analysts ask it.

    with Lake.open() as lake:
        lake.readings(facility="plant-07", sensor="pump-3.flow", since="2026-11-20").df()
        lake.rollups(facility="plant-07", kind="temperature", every="1h").to_csv("rollups.csv")

Globs know * and ? and [abc]. Times are a text ("2026-11-20", "2026-11-20T06:00"), a datetime or
epoch milliseconds; what has no zone is UTC, and a date as `until` is in it to its end. A question
about one facility opens no file of another; about all it is asked as facility="*".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from pyiceberg.catalog import Catalog

from jobs.common.settings import load
from jobs.lake.catalog import open_catalog
from jobs.lake.events.tables import EventTables
from jobs.lake.query.batches import BatchOf, read_batches
from jobs.lake.query.columns import READINGS_COLUMNS, ROLLUPS_COLUMNS
from jobs.lake.query.events import EVENTS, of_alert, read_events
from jobs.lake.query.names import Asked, Find, Names, no_catalogue
from jobs.lake.query.nothing import Nothing
from jobs.lake.query.qualities import Qualities, codes_of
from jobs.lake.query.readings import read_readings
from jobs.lake.query.result import Result
from jobs.lake.query.rollups import every_ms, read_prepared, read_rollups
from jobs.lake.query.rollups import prepared as prepared_table
from jobs.lake.query.scope import ALL, Scope, When
from jobs.lake.query.sql import NAMES, ask
from jobs.lake.query.view import View
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import ALERTS, READINGS, ROLLUPS, load_table


class Lake:
    """An open archive; for one thread at a time. Each question sees the archive as it is then."""

    def __init__(self, catalog: Catalog, settings: LakeSettings, find: Find = no_catalogue) -> None:
        """Args: find: catalogues that only Kafka has, for readings that are minutes old."""
        workers = (os.cpu_count() or 1) + 1
        self._catalog, self._settings = catalog, settings
        self._names = Names(lambda: load_table(catalog, settings, READINGS), find)
        self._nothing = Nothing(catalog, settings, self._names)
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="lake")
        self._close: list[Callable[[], None]] = [self._pool.shutdown, catalog.close]

    @classmethod
    def open(cls, settings: LakeSettings | None = None, bootstrap: str | None = None) -> Lake:
        """The archive of these settings, else of flink-conf/jobs/lake.yaml and the environment.

        Args: bootstrap: Kafka, host:port; it is asked only for what sensors are called of which
            nothing is compacted yet.
        """
        settings = load(LakeSettings, "lake") if settings is None else settings
        catalog = open_catalog(settings)
        if bootstrap is None:
            return cls(catalog, settings)
        asked = Asked(bootstrap)
        lake = cls(catalog, settings, asked.find)
        lake._close.append(asked.close)
        return lake

    def readings(
        self,
        facility: str,
        sensor: str | None = None,
        asset: str | None = None,
        gateway: str | None = None,
        kind: str | None = None,
        since: When = None,
        until: When = None,
        quality: Qualities = None,
    ) -> Result:
        """Readings as they were taken, each once; those of a sensor in the order of time.

        Args: quality: a name ("good"), a code, or several; None: all.
        Raises: QueryError: a question that makes no sense.
        """
        globs = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        scope = Scope.of(facility, since, until, **globs)
        codes = codes_of(quality)

        def read() -> Iterator[pa.Table]:
            return read_readings(self._view(READINGS), scope, codes)

        return self._result(READINGS, READINGS_COLUMNS, read, scope, "hour")

    def rollups(
        self,
        facility: str,
        sensor: str | None = None,
        asset: str | None = None,
        gateway: str | None = None,
        kind: str | None = None,
        since: When = None,
        until: When = None,
        every: str = "1m",
        prepared: bool = False,
    ) -> Result:
        """Rollups by the minute, or of longer times; those of a sensor in the order of time.

        Args: every: "1m", or any number of minutes, hours or days: "15m", "1h", "1d". Longer times
            begin at whole multiples since 1970, UTC. prepared: hours and days as the maintenance
            made them last: years in a second, but the last day is not in them, and what was
            restated is in them once they are made again.
        Raises: QueryError: a question that makes no sense.
        """
        globs = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        scope = Scope.of(facility, since, until, **globs)
        step_ms = every_ms(every)

        def read() -> Iterator[pa.Table]:
            return read_rollups(self._view(ROLLUPS), scope, step_ms)

        if prepared:
            spec = prepared_table(step_ms)
            kept = partial(self._prepared, spec, scope, step_ms)
            return self._result(spec, ROLLUPS_COLUMNS, kept, scope, "time")
        return self._result(ROLLUPS, ROLLUPS_COLUMNS, read, scope, "minute")

    def _prepared(self, spec: TableSpec, scope: Scope, step_ms: int) -> Iterator[pa.Table]:
        return read_prepared(self._view(spec), scope, step_ms)

    def alerts(
        self,
        facility: str,
        subject: str | None = None,
        asset: str | None = None,
        gateway: str | None = None,
        kind: str | None = None,
        rule: str | None = None,
        severity: str | None = None,
        status: str | None = None,
        since: When = None,
        until: When = None,
    ) -> Result:
        """Events of alerts, by event time. subject: a sensor, an asset, or "gateway"."""
        globs = {"subject": subject, "asset": asset, "gateway": gateway, "kind": kind, "rule": rule}
        globs |= {"severity": severity, "status": status}
        return self._events("alerts", Scope.of(facility, since, until, **globs))

    def ledger(
        self, facility: str, gateway: str | None = None, since: When = None, until: When = None
    ) -> Result:
        """What gateways said they sent, by the time of their word."""
        return self._events("ledger", Scope.of(facility, since, until, gateway=gateway))

    def counted(
        self, facility: str, gateway: str | None = None, since: When = None, until: When = None
    ) -> Result:
        """What the cloud counted of gateways, by the time of its count."""
        return self._events("counted", Scope.of(facility, since, until, gateway=gateway))

    def restatements(
        self,
        facility: str,
        sensor: str | None = None,
        asset: str | None = None,
        gateway: str | None = None,
        kind: str | None = None,
        since: When = None,
        until: When = None,
    ) -> Result:
        """Sensor minutes that were changed: why, before and after; by the minute changed."""
        globs = {"sensor": sensor, "asset": asset, "gateway": gateway, "kind": kind}
        return self._events("restatements", Scope.of(facility, since, until, **globs))

    def dead_letters(
        self,
        facility: str,
        gateway: str | None = None,
        reason: str | None = None,
        since: When = None,
        until: When = None,
    ) -> Result:
        """Refused records with their bytes, by when Kafka took them in.

        Their files are by day and hold all facilities, for a bad record may name none.
        """
        globs = {"gateway": gateway, "reason": reason}
        return self._events("dead_letters", Scope.of(facility, since, until, **globs))

    def alert(self, ident: str, facility: str = ALL) -> pa.Table:
        """All archived events of one alert, by time; a facility makes the search short."""
        return of_alert(load_table(self._catalog, self._settings, ALERTS), ident, facility)

    def archived_offsets(self) -> dict[tuple[str, int], int]:
        """Up to where topics are in the tables of events: next offset by topic and partition."""
        return EventTables(self._catalog, self._settings).done()

    def batches(
        self, facility: str, gateway: str | None = None, since: When = None, until: When = None
    ) -> Iterator[BatchOf]:
        """The batches that readings came in, of minutes that are not compacted yet."""
        scope = Scope.of(facility, since, until, gateway=gateway)
        return read_batches(self._view(READINGS), scope)

    def sql(self, query: str, facility: str, **scope: Any) -> Result:
        """Ask by SQL, as DuckDB has it; what it gives is in memory.

        The tables that the query names (readings, rollups, alerts, ledger, counted, restatements,
        dead_letters) hold what the method of that name gives for this scope, and only that is
        read: a WHERE of the query does not make the reading less. What does not fit in memory is
        on disk meanwhile.

        Args: scope: as those methods take it: `since`, `until`, `sensor`, ...; each takes what it
            knows. Raises: QueryError: no such table, or DuckDB does not take the query.
        """
        return ask(query, {name: getattr(self, name) for name in NAMES}, facility, scope)

    def _events(self, name: str, scope: Scope) -> Result:
        events = EVENTS[name]

        def read() -> Iterator[pa.Table]:
            table = load_table(self._catalog, self._settings, events.spec)
            return read_events(events, table, scope)

        return self._result(events.spec, events.schema(), read, scope, events.time)

    def _result(
        self,
        spec: TableSpec,
        schema: pa.Schema,
        read: Callable[[], Iterator[pa.Table]],
        scope: Scope,
        time: str,
    ) -> Result:
        check = partial(self._nothing.check, scope, spec)
        return Result(schema, read, check, partial(self._nothing.why, scope, spec, time))

    def _view(self, spec: TableSpec) -> View:
        depth = self._pool._max_workers
        return View.of(self._catalog, self._settings, spec, self._names, self._pool, depth)

    def close(self) -> None:
        """Close what is open."""
        for close in self._close:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
