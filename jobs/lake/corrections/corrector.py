"""Corrections by hand: readings that are replaced, and what follows from it.

    desk = Corrections(catalog, lake)
    outlook = desk.look(path, corrections)           # raises: every mistake at once
    desk.make(path, corrections, why, find, publish) # a facility day at a time

The same file again changes nothing, so whoever was interrupted makes it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import parser
from pyiceberg.manifest import DataFile

from jobs.lake.commit import commit
from jobs.lake.compaction.changes import Change, Why
from jobs.lake.compaction.commits import Publish, note, replace_rows
from jobs.lake.compaction.hour import minutes_of, named
from jobs.lake.compaction.piles import READINGS_PARQUET
from jobs.lake.compaction.rewrite import READING_KEY, Replacement
from jobs.lake.compaction.rows import Find, Names
from jobs.lake.compaction.stored import Stored, Tables, at, read_file
from jobs.lake.corrections.file import CorrectionsError
from jobs.lake.corrections.hour import Mistake, Patched, patch
from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from udfs.archive.schemas import HOUR_MS
from udfs.coverage import MINUTE_MS

JOB = "hardiot restate"
DAY_MS = 24 * HOUR_MS


@dataclass
class Outlook:
    """What corrections change: readings that differ, and sensor minutes and gateway minutes."""

    readings: int = 0
    sensor_minutes: int = 0
    gateway_minutes: int = 0

    def add(self, patched: Patched) -> None:
        self.readings += patched.readings
        changed = [change for change in patched.changes if change.rows]
        self.sensor_minutes += sum(len(change.slots) for change in changed)
        self.gateway_minutes += len(changed)


@dataclass
class _Day:
    """A facility day: its tables as they were loaded, and its gateway hours, patched."""

    tables: Tables
    stored: Stored
    facility: str
    hours: list[tuple[str, Patched]] = field(default_factory=list)
    readings: list[DataFile] = field(default_factory=list)
    rollups: list[DataFile] = field(default_factory=list)


class Corrections:
    """Makes corrections in the tables of a lake."""

    def __init__(self, catalog: Catalog, lake: LakeSettings) -> None:
        self._catalog, self._lake = catalog, lake

    def look(self, path: Path, corrections: pa.Table) -> Outlook:
        """What they would change; nothing is written.

        Raises: CorrectionsError: readings that are not there, or are not compacted yet.
        """
        outlook, mistakes = Outlook(), list[Mistake]()
        for day in self._days(corrections, mistakes):
            for _, patched in day.hours:
                outlook.add(patched)
        if mistakes:
            raise CorrectionsError(path, mistakes)
        return outlook

    def make(
        self, path: Path, corrections: pa.Table, why: Why, find: Find, publish: Publish
    ) -> Outlook:
        """Make them: audit, readings, rollups, topic `rollups`; each day on its own.

        Raises: CorrectionsError: as `look`, before anything is changed. LakeError, HardiotError:
        not all was done; the same again does the rest.
        """
        self.look(path, corrections)
        outlook, mistakes = Outlook(), list[Mistake]()
        for day in self._days(corrections, mistakes):
            if mistakes:  # somebody changed the tables meanwhile
                raise CorrectionsError(path, mistakes)
            self._put(day, why, find, publish)
            for _, patched in day.hours:
                outlook.add(patched)
        return outlook

    def _days(self, corrections: pa.Table, mistakes: list[Mistake]) -> Iterator[_Day]:
        for facility, _, some in _groups(corrections, "facility", DAY_MS):
            hours = list(_groups(some, "gateway", HOUR_MS))
            tables = Tables.load(self._catalog, self._lake)
            places = [(facility, hour_ms) for _, hour_ms, _ in hours]
            day = _Day(tables, Stored(tables, places), facility)
            for hour_ms in sorted({hour_ms for _, hour_ms, _ in hours}):
                waiting = _waiting(tables, day.stored, facility, hour_ms)
                for gateway, _, found in [hour for hour in hours if hour[1] == hour_ms]:
                    early = _too_early(gateway, found, waiting)
                    mistakes += early
                    found = _without(found, [line for line, _ in early])
                    self._hour(day, gateway, hour_ms, found, mistakes)
            yield day

    def _hour(
        self, day: _Day, gateway: str, hour_ms: int, found: pa.Table, mistakes: list[Mistake]
    ) -> None:
        names = pc.unique(found["sensor"])
        rows, files = day.stored.sensors(day.facility, gateway, hour_ms, names)
        strange = found.filter(pc.invert(pc.is_in(found["sensor"], pc.unique(rows["sensor"]))))
        mistakes += _unknown(day, gateway, hour_ms, strange)
        found = _without(found, strange["line"].to_pylist())
        if not len(found):
            return
        minutes = {(gateway, ms // MINUTE_MS * MINUTE_MS) for ms in found["time_ms"].to_pylist()}
        told, old = day.stored.rollups(day.facility, hour_ms, minutes)
        patched = patch(rows, minutes_of(told), found)
        mistakes += patched.mistakes
        day.hours.append((gateway, patched))
        day.readings += files
        day.rollups += old

    def _put(self, day: _Day, why: Why, find: Find, publish: Publish) -> None:
        """The audit first: what was replaced is known whatever comes after."""
        known = day.stored.audited()
        changes: list[tuple[Change, Names]] = []
        for gateway, patched in day.hours:
            names = Names(find, day.facility, gateway)
            mine = [(named(change, names), names) for change in patched.changes]
            note(day.tables.restatements, known, mine, replace(why, readings=patched.notes), JOB)
            changes += mine
        _replace_readings(day)
        replace_rows(day.tables.rollups, changes, day.rollups, JOB)
        publish([change.after for change, _ in changes])


def _replace_readings(day: _Day) -> None:
    rows = pa.concat_tables([patched.rows for _, patched in day.hours])
    if not len(rows):
        return
    new = Replacement(rows, READING_KEY, READINGS_PARQUET)
    table = day.tables.readings
    gone = [f for f in {f.file_path: f for f in day.readings}.values() if new.concerns(table, f)]
    made = [new.rewrite(table, file) for file in gone]
    commit(table, made, gone, {"hardiot.job": JOB})


def _groups(rows: pa.Table, name: str, span_ms: int) -> Iterator[tuple[str, int, pa.Table]]:
    """Rows by a name and a span of time, in order; with that span's start as column `since_ms`."""
    since = pc.multiply(pc.divide(rows["time_ms"], span_ms), span_ms)
    rows = rows.select([n for n in rows.column_names if n != "since_ms"])
    rows = rows.append_column("since_ms", since)
    keys = rows.group_by([name, "since_ms"]).aggregate([])
    for key in keys.sort_by([(name, "ascending"), ("since_ms", "ascending")]).to_pylist():
        which = (pc.field(name) == key[name]) & (pc.field("since_ms") == key["since_ms"])
        yield key[name], key["since_ms"], rows.filter(which)


def _without(rows: pa.Table, lines: Sequence[int]) -> pa.Table:
    """The corrections that are not of these lines."""
    return rows.filter(~pc.field("line").isin(pa.array(lines, pa.int64())))


def _waiting(tables: Tables, stored: Stored, facility: str, hour_ms: int) -> set[tuple[str, int]]:
    """Gateway minutes of the hour of which a chunk is not compacted."""
    low, high = at(hour_ms).isoformat(), at(hour_ms + HOUR_MS).isoformat()
    where = f"facility = '{facility}' AND minute >= '{low}' AND minute < '{high}'"
    held, _ = stored.held(facility, hour_ms)
    found: set[tuple[str, int]] = set()
    for file in data_files(tables.chunks, parser.parse(where)):
        rows = read_file(tables.chunks, file, ("gateway", "minute", "revision"))
        minutes = (rows["minute"].cast(pa.int64()).to_numpy() // 1000).tolist()
        names, revisions = rows["gateway"].to_pylist(), rows["revision"].to_pylist()
        for gateway, minute_ms, revision in zip(names, minutes, revisions, strict=True):
            if not held.holds(facility, gateway, minute_ms, revision):
                found.add((gateway, minute_ms))
    return found


def _too_early(
    gateway: str, found: pa.Table, waiting: Collection[tuple[str, int]]
) -> list[Mistake]:
    """The corrections of minutes that wait to be compacted."""
    lines, times_ms = found["line"].to_pylist(), found["time_ms"].to_pylist()
    return [
        (line, "its minute is not compacted yet; try again in a while")
        for line, time_ms in zip(lines, times_ms, strict=True)
        if (gateway, time_ms // MINUTE_MS * MINUTE_MS) in waiting
    ]


def _unknown(day: _Day, gateway: str, hour_ms: int, strange: pa.Table) -> Iterator[Mistake]:
    """What is said of sensors without readings in the hour."""
    known = day.stored.sensor_names(day.facility, gateway, hour_ms) if len(strange) else []
    place = f"{day.facility}/{gateway} has no readings"
    lines, sensors = strange["line"].to_pylist(), strange["sensor"].to_pylist()
    for line, sensor in zip(lines, sensors, strict=True):
        if not known:
            yield line, f"{place} in that hour; look at facility, gateway and time"
            continue
        near = get_close_matches(sensor, known, 1)
        fix = f'did you mean "{near[0]}"?' if near else "look at its name"
        yield line, f'{place} of sensor "{sensor}" in that hour; {fix}'
