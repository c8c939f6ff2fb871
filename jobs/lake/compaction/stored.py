"""What the tables hold of some facility hours: looked for once for all, read as it is needed.

stored = Stored(Tables.load(catalog, lake), [("plant-07", hour_ms)])
held = stored.held("plant-07", hour_ms)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import parser
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.files import data_files
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, READINGS, RESTATEMENTS, ROLLUPS, load_table
from udfs.archive.held import Held
from udfs.archive.rollup_rows import CLOUD
from udfs.archive.schemas import HOUR_MS, READINGS_SCHEMA, ROLLUPS_SCHEMA

TIME = pa.timestamp("us", tz="UTC")

Place = tuple[str, int]  # facility, start of the hour, UTC epoch milliseconds


def at(time_ms: int) -> datetime:
    """Epoch milliseconds as a time."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)


def times(times_ms: Iterable[int]) -> pa.Array:
    """Epoch milliseconds as the tables' times."""
    return pa.array([time_ms * 1000 for time_ms in times_ms], pa.int64()).cast(TIME)


def read_file(
    table: Table,
    file: DataFile,
    columns: Sequence[str] | None = None,
    where: pc.Expression | None = None,
) -> pa.Table:
    """Rows of one data file. Row groups that cannot have what `where` asks for are not read."""
    with table.io.new_input(file.file_path).open() as source:
        return pq.read_table(source, columns=columns and list(columns), filters=where)


def row_groups(table: Table, file: DataFile) -> Iterator[pa.Table]:
    """All rows of a data file, a row group at a time."""
    with table.io.new_input(file.file_path).open() as source:
        parquet = pq.ParquetFile(source)
        for number in range(parquet.num_row_groups):
            yield parquet.read_row_group(number)


@dataclass(frozen=True)
class Tables:
    """The tables as they were loaded."""

    chunks: Table
    readings: Table
    rollups: Table
    restatements: Table

    @staticmethod
    def load(catalog: Catalog, lake: LakeSettings) -> Tables:
        """Raises: LakeError: one is not there."""
        specs = (CHUNKS, READINGS, ROLLUPS, RESTATEMENTS)
        return Tables(*(load_table(catalog, lake, spec) for spec in specs))


class Stored:
    """The files of tables `readings`, `rollups` and `restatements` that concern some hours."""

    def __init__(self, tables: Tables, hours: Collection[Place]) -> None:
        self._tables = {"hour": tables.readings, "minute": tables.rollups}
        self._files = {time: _by_facility(t, hours, time) for time, t in self._tables.items()}
        self._restatements, self._hours = tables.restatements, hours
        self._audited: frozenset[str] | None = None

    def held(self, facility: str, hour_ms: int) -> tuple[Held, dict[str, int]]:
        """Which chunks `readings` holds of the hour, and the last part of each gateway."""
        columns = ("facility", "gateway", "hour", "part", "minutes")
        where = pc.field("hour") == times([hour_ms])[0]
        rows = self._read("hour", facility, hour_ms, columns, where)
        last = rows.group_by("gateway").aggregate([("part", "max")])
        parts = zip(last["gateway"].to_pylist(), last["part_max"].to_pylist(), strict=True)
        return Held.of(rows), dict(parts)

    def readings(self, facility: str, gateway: str, hour_ms: int, slots: pa.Array) -> pa.Table:
        """Rows of these sensors of a gateway's hour, by part."""
        where = (pc.field("hour") == times([hour_ms])[0]) & (pc.field("gateway") == gateway)
        where &= pc.field("slot").isin(slots.cast(pa.int32()))
        rows = self._read("hour", facility, hour_ms, READINGS_SCHEMA.names, where)
        return rows.cast(READINGS_SCHEMA).sort_by("part")

    def sensors(
        self, facility: str, gateway: str, hour_ms: int, names: pa.Array
    ) -> tuple[pa.Table, list[DataFile]]:
        """All parts of the sensors of these names, and the files that may have them."""
        where = (pc.field("hour") == times([hour_ms])[0]) & (pc.field("gateway") == gateway)
        where &= pc.field("sensor").isin(names)
        rows = self._read("hour", facility, hour_ms, READINGS_SCHEMA.names, where)
        order = [("slot", "ascending"), ("part", "ascending")]
        return rows.cast(READINGS_SCHEMA).sort_by(order), self._near("hour", facility, hour_ms)

    def sensor_names(self, facility: str, gateway: str, hour_ms: int) -> list[str]:
        """The sensors of a gateway that have readings in the hour."""
        where = (pc.field("hour") == times([hour_ms])[0]) & (pc.field("gateway") == gateway)
        rows = self._read("hour", facility, hour_ms, ("sensor",), where)
        return sorted(pc.unique(rows["sensor"]).to_pylist())

    def rollups(
        self, facility: str, hour_ms: int, minutes: Collection[tuple[str, int]]
    ) -> tuple[pa.Table, list[DataFile]]:
        """Rows that the cloud made of these gateway minutes, and the files that have them."""
        found, files = [ROLLUPS_SCHEMA.empty_table()], []
        where = pc.field("minute").isin(times(sorted({ms for _, ms in minutes})))
        where &= pc.field("gateway").isin(sorted({gateway for gateway, _ in minutes}))
        where &= pc.field("source") == CLOUD
        for file in self._near("minute", facility, hour_ms) if minutes else ():
            rows = read_file(self._tables["minute"], file, ROLLUPS_SCHEMA.names, where)
            rows = _only(rows.cast(ROLLUPS_SCHEMA), minutes)
            if len(rows):
                found.append(rows)
                files.append(file)
        return pa.concat_tables(found), files

    def audited(self) -> frozenset[str]:
        """Ids of the changes of these hours that are noted already."""
        if self._audited is None:
            files = _by_facility(self._restatements, self._hours, "minute").values()
            tables = [read_file(self._restatements, f, ["id"]) for group in files for f in group]
            self._audited = frozenset(text for t in tables for text in t["id"].to_pylist())
        return self._audited

    def _near(self, time: str, facility: str, hour_ms: int) -> list[DataFile]:
        """The files that may hold rows of the hour, by their bounds."""
        field = self._tables[time].schema().find_field(time)
        low, high = hour_ms * 1000, (hour_ms + HOUR_MS) * 1000
        return [
            file
            for file in self._files[time].get(facility, [])
            if _bound(file.lower_bounds, field, low) < high
            and _bound(file.upper_bounds, field, low) >= low
        ]

    def _read(
        self,
        time: str,
        facility: str,
        hour_ms: int,
        columns: Sequence[str],
        where: pc.Expression,
    ) -> pa.Table:
        table = self._tables[time]
        files = self._near(time, facility, hour_ms)
        found = [read_file(table, file, columns, where) for file in files]
        empty = schema_to_pyarrow(table.schema()).empty_table().select(columns)
        return pa.concat_tables([empty, *(rows.cast(empty.schema) for rows in found)])


def _only(rows: pa.Table, minutes: Collection[tuple[str, int]]) -> pa.Table:
    """The rows of exactly these gateway minutes."""
    wanted = set(minutes)
    pairs = rows.select(["gateway", "minute"]).group_by(["gateway", "minute"]).aggregate([])
    micros = pairs["minute"].cast(pa.int64()).to_pylist()
    found = zip(pairs["gateway"].to_pylist(), micros, strict=True)
    if all((gateway, time // 1000) in wanted for gateway, time in found):
        return rows
    each = pc.field("gateway") == ""
    for gateway in sorted({gateway for gateway, _ in minutes}):
        mine = times(sorted(ms for name, ms in minutes if name == gateway))
        each |= (pc.field("gateway") == gateway) & pc.field("minute").isin(mine)
    return rows.filter(each)


def _by_facility(table: Table, hours: Collection[Place], time: str) -> dict[str, list[DataFile]]:
    """Files that may hold rows of these hours; the first partition of a table is the facility."""
    files: dict[str, list[DataFile]] = defaultdict(list)
    if not hours:
        return files
    low, high = min(ms for _, ms in hours), max(ms for _, ms in hours) + HOUR_MS
    names = ", ".join(f"'{name}'" for name in sorted({facility for facility, _ in hours}))
    where = f"facility IN ({names}) AND {time} >= '{at(low).isoformat()}'"
    where += f" AND {time} < '{at(high).isoformat()}'"
    for file in data_files(table, parser.parse(where)):
        files[file.partition[0]].append(file)
    return files


def _bound(bounds: dict[int, bytes] | None, field: object, unknown: int) -> int:
    """A file's least or greatest time, in microseconds; `unknown` where it does not say."""
    found = (bounds or {}).get(field.field_id)  # type: ignore[attr-defined]
    return unknown if found is None else from_bytes(field.field_type, found)  # type: ignore
