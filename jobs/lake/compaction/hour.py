"""One facility hour of chunks: its files for `rollups` and `readings`, in no table yet.

    made = prepare(hour, tables, stored, find, slice_readings)

A gateway at a time is in memory, a large one by slices of sensors. A chunk that cannot be read, and
whatever else there is of its minute, is left where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
from pyiceberg.manifest import DataFile

from jobs.lake.compaction.changes import Change, Minutes, change_of, slots_of
from jobs.lake.compaction.late import add_late, between
from jobs.lake.compaction.piles import readings_pile, rollups_pile
from jobs.lake.compaction.plan import FacilityHour
from jobs.lake.compaction.rows import ChunkRows, Find, Names, Problem, Row
from jobs.lake.compaction.stored import Stored, Tables
from udfs.archive.chunk import Chunk
from udfs.archive.hours import sensor_hours
from udfs.archive.rollup_rows import rollup_of, rollup_rows
from udfs.archive.rollups import roll_up
from udfs.rollup import MinuteRollup


@dataclass
class Prepared:
    """What a facility hour gives.

    rollups: files of minutes that are not there. changes: minutes with late readings. old: files of
    `rollups` that may have these. readings: files; count: readings in them. gone, left: chunk files
    whose chunks are all done, and those with one that cannot be. names: catalogues by gateway.
    """

    hour: FacilityHour
    old: list[DataFile]
    rollups: list[DataFile] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    readings: list[DataFile] = field(default_factory=list)
    count: int = 0
    gone: list[DataFile] = field(default_factory=list)
    left: list[DataFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    names: dict[str, Names] = field(default_factory=dict)


def prepare(
    hour: FacilityHour, tables: Tables, stored: Stored, find: Find, slice_readings: int
) -> Prepared:
    """Read the hour's chunks, write the files that they make.

    Raises: OSError, pyarrow.ArrowException: a file cannot be read or written.
    """
    work = _Hour(hour, tables, stored, slice_readings)
    try:
        for gateway, rows in work.rows.gateways():
            work.gateway(Names(find, hour.facility, gateway), gateway, rows)
        return work.close()
    except BaseException:
        work.discard()
        raise


class _Hour:
    def __init__(
        self, hour: FacilityHour, tables: Tables, stored: Stored, slice_readings: int
    ) -> None:
        self._stored, self._slice = stored, slice_readings
        self._held, self._parts = stored.held(hour.facility, hour.hour_ms)
        self.rows = ChunkRows.read(tables.chunks, hour, self._held)
        told, old = stored.rollups(hour.facility, hour.hour_ms, self.rows.minutes())
        self._told, self._made = minutes_of(told), Prepared(hour, old)
        self._rollups = rollups_pile(tables.rollups)
        self._readings = readings_pile(tables.readings, slice_readings)

    def gateway(self, names: Names, gateway: str, rows: Mapping[int, Sequence[Row]]) -> None:
        """All that is to be done of one gateway."""
        self._made.names[gateway] = names
        first, late = dict[int, Sequence[Row]](), list[Chunk]()
        kept: list[Chunk] | None = []
        if sum(row.readings for found in rows.values() for row in found) > self._slice:
            kept = None  # too many: they are read again, by slices of sensors
        most = 0
        for minute_ms, found in rows.items():
            chunks = self.rows.decode(found, names)
            if self._is_held(gateway, minute_ms):
                late += chunks
            elif chunks:
                self._minute(chunks, names)
                first[minute_ms] = found
                most = max(most, *(int(c.sensor[-1]) for c in chunks if len(c)), 0)
                kept = None if kept is None else kept + chunks
        part = self._parts.get(gateway, -1) + 1
        slices = iter([kept]) if kept is not None else self._slices(first, most)
        for chunks in slices:
            self._add(sensor_hours(chunks, names, part) if chunks else None)
        if late:
            self._late(late, names, part + 1)

    def close(self) -> Prepared:
        """What came of it."""
        made = self._made
        made.rollups, made.readings = self._rollups.close(), self._readings.close()
        made.left, made.problems = self.rows.left(), self.rows.problems
        left = {file.file_path for file in made.left}
        made.gone = [file for file in made.hour.files if file.file_path not in left]
        return made

    def discard(self) -> None:
        """Delete what was written."""
        self._rollups.discard()
        self._readings.discard()

    def _is_held(self, gateway: str, minute_ms: int) -> bool:
        return self._held.holds(self._made.hour.facility, gateway, minute_ms, 1)

    def _minute(self, chunks: Sequence[Chunk], names: Names) -> None:
        """A minute of which `readings` has nothing yet: all of it is in these chunks."""
        after, late = roll_up(chunks), is_late(chunks)
        after = after if late else replace(after, revision=1)
        told = self._told.get((after.gateway, after.minute_ms))
        if told is None and not late:
            rows = rollup_rows(after, names(after.catalogue)) if len(after.count) else pa.table({})
            self._rollups.add(rows, len(rows))
            return
        first = [chunk for chunk in chunks if chunk.revision == 1]
        before = roll_up(first) if told is None and first else told
        change = change_of(before, after, told is not None)
        if late or change.rows:
            self._made.changes.append(named(change, names))

    def _slices(self, rows: Mapping[int, Sequence[Row]], most: int) -> Iterator[list[Chunk]]:
        """The chunks by slices of sensors, read anew for each slice."""
        count = sum(row.readings for found in rows.values() for row in found)
        width = max((most + 1) * self._slice // max(count, 1), 1)
        for low in range(0, most + 1, width):
            found = (row.decode(self._made.hour.facility) for part in rows.values() for row in part)
            yield [between(chunk, low, low + width - 1) for chunk in found]

    def _late(self, chunks: Sequence[Chunk], names: Names, part: int) -> None:
        hour, gateway = self._made.hour, chunks[0].gateway
        late = add_late(
            chunks,
            lambda slots: self._stored.readings(
                hour.facility, gateway, hour.hour_ms, pa.array(slots)
            ),
            self._told,
            names,
            part,
        )
        self._made.changes += [named(change, names) for change in late.changes]
        for rows in late.rows:
            self._add(rows)

    def _add(self, rows: pa.Table | None) -> None:
        if rows is not None and len(rows):
            count = int(rows["readings"].to_numpy().sum())
            self._made.count += count
            self._readings.add(rows, count)


def is_late(chunks: Sequence[Chunk]) -> bool:
    """Whether chunks of a minute, by revision, have readings that came after it was published.

    Nothing comes late for a minute that was complete: it was too large for one chunk.
    """
    return chunks[0].revision > 1 or (len(chunks) > 1 and not chunks[0].complete)


def named(change: Change, names: Names) -> Change:
    """The change, under a catalogue that has all sensors of its minute.

    Raises: LookupError: there is none.
    """
    after, slots = change.after, slots_of(change.after)
    if not len(slots):
        return change
    catalogue = names.covering(max(after.catalogue, 1), int(slots[-1]))
    return replace(change, after=replace(after, catalogue=catalogue.version))


def minutes_of(rows: pa.Table) -> Minutes:
    """Rows of table `rollups` as rollups, by gateway and minute."""
    if not len(rows):
        return {}
    rows = rows.sort_by([("gateway", "ascending"), ("minute", "ascending")])
    counts = rows.group_by(["gateway", "minute"], use_threads=False).aggregate([("slot", "count")])
    found, start = list[MinuteRollup](), 0
    for count in counts["slot_count"].to_pylist():
        found.append(rollup_of(rows.slice(start, count)))
        start += count
    return {(rollup.gateway, rollup.minute_ms): rollup for rollup in found}
