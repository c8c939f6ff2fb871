"""A small plant in a lake, whose every reading is known, and a compaction that goes step by step.

Each sensor has a reading every 10 s; what its value is, `value` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, EqualTo, GreaterThanOrEqual, LessThan
from pyiceberg.table import Table

from jobs.lake.catalog import open_catalog
from jobs.lake.commit import commit
from jobs.lake.evolve import create_or_evolve
from jobs.lake.files import data_files, write_parquet
from jobs.lake.query import Lake
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, READINGS, ROLLUPS, load_table
from udfs.archive.chunk import Chunk, collect, encode
from udfs.archive.held import Held
from udfs.archive.hours import merge, sensor_hours
from udfs.archive.rollup_rows import CLOUD, rollup_rows
from udfs.archive.rollups import roll_up
from udfs.archive.schemas import READINGS_SCHEMA, ROLLUPS_SCHEMA
from udfs.batch import Batch
from udfs.catalogue import Catalogue

T0 = 1_767_225_600_000  # 2026-01-01
MINUTE_MS, HOUR_MS, STEP_MS = 60_000, 3_600_000, 10_000
SENSORS = ("pump-1.flow", "pump-1.heat", "pump-2.flow", "pump-2.heat", "tank.level")
KINDS = {"flow": ("flow", "m3/h"), "heat": ("temperature", "°C"), "level": ("level", "m")}


def catalogue(facility: str = "plant-07", gateway: str = "gw-1", sensors: int = 5) -> Catalogue:
    names = SENSORS[:sensors]
    kind, unit = zip(*(KINDS[name.split(".")[1]] for name in names), strict=True)
    asset = tuple(name.split(".")[0] for name in names)
    ends = np.zeros(sensors), np.ones(sensors), np.full(sensors, STEP_MS, np.int32)
    return Catalogue(facility, gateway, 1, names, unit, kind, asset, *ends)


def value(slot: np.ndarray | int, time_ms: np.ndarray | int) -> np.ndarray:
    """Of a sensor at a time; the same at all gateways."""
    return (np.asarray(slot) * 1000 + np.asarray(time_ms) // STEP_MS % 977) / 100


def chunk(
    minute: int,
    gateway: str = "gw-1",
    facility: str = "plant-07",
    revision: int = 1,
    ticks: Sequence[int] = range(6),
    sensors: int = 5,
    quality: int | None = None,
) -> Chunk:
    """A minute (since T0) of a gateway, of those of its six batches that are in `ticks`."""
    minute_ms = T0 + minute * MINUTE_MS
    slots = np.arange(sensors, dtype=np.uint32)
    parts = [
        Batch(
            facility, gateway, 1, minute * 6 + tick, minute_ms + tick * STEP_MS,
            value(slots, minute_ms + tick * STEP_MS), sensor=slots,
            quality=None if quality is None else np.full(sensors, quality, np.uint8),
            traceparent=f"00-{minute:032x}-{tick + 1:016x}-01",
        )
        for tick in ticks
    ]  # fmt: skip
    return collect(facility, gateway, minute_ms, revision, len(ticks) == 6, 6 - len(ticks), parts)


def chunk_row(one: Chunk) -> dict[str, object]:
    names = ("facility", "gateway", "revision", "complete", "missing")
    return {name: getattr(one, name) for name in names} | {
        "minute": one.minute_ms * 1000,
        "batches": len(one.batches),
        "readings": len(one),
        "chunk": encode(one),
    }


class Plant:
    """Writes to the tables of a lake as the jobs do."""

    def __init__(self, catalog: Catalog, settings: LakeSettings) -> None:
        self.catalog, self.settings = catalog, settings
        self.chunks: dict[tuple[str, str, int, int], Chunk] = {}

    def table(self, spec: TableSpec) -> Table:
        return load_table(self.catalog, self.settings, spec)

    def archive(self, *chunks: Chunk) -> None:
        """Chunks of one facility hour as archive_readings writes them: a file, a commit."""
        table = self.table(CHUNKS)
        rows = pa.Table.from_pylist([chunk_row(one) for one in chunks])
        minute = rows["minute"].cast(pa.timestamp("us", "UTC"))
        rows = rows.set_column(rows.column_names.index("minute"), "minute", minute)
        commit(table, add=[write_parquet(table, rows, row_group_rows=4)])
        for one in chunks:
            self.chunks[one.facility, one.gateway, one.minute_ms, one.revision] = one

    def compact(self, facility: str = "plant-07", hour: int = 0) -> Iterator[str]:
        """One facility hour, a commit at a time; to be left at any place, and begun again."""
        chunks, where = self.table(CHUNKS), _where("minute", facility, hour)
        files = data_files(chunks, where)
        keys = chunks.scan(row_filter=where).to_arrow()
        minute_ms = (keys["minute"].cast(pa.int64()).to_numpy() // 1000).tolist()
        rows = zip(
            keys["gateway"].to_pylist(), minute_ms, keys["revision"].to_pylist(), strict=True
        )
        found = [self.chunks[facility, *row] for row in rows]
        yield from self._roll_up(facility, hour, found)
        yield from self._add(facility, hour, found)
        commit(self.table(CHUNKS), remove=files)
        yield "removed"

    def _roll_up(self, facility: str, hour: int, found: Sequence[Chunk]) -> Iterator[str]:
        table = self.table(ROLLUPS)
        files = data_files(table, _where("minute", facility, hour))
        have = table.scan(row_filter=_where("minute", facility, hour)).to_arrow()
        cloud = have.filter(pc.equal(have["source"], CLOUD))
        there = set(zip(cloud["gateway"].to_pylist(), _ms(cloud["minute"]), strict=True))
        minutes = {(one.gateway, one.minute_ms) for one in found}
        if new := self._rows(facility, sorted(minutes - there)):
            commit(table, add=[write_parquet(table, _in_order(new), row_group_rows=20)])
            yield "rollups"
        late = {(c.gateway, c.minute_ms) for c in found if c.revision > 1} & there
        if late:
            keep = pa.array(
                [
                    key not in late
                    for key in zip(have["gateway"].to_pylist(), _ms(have["minute"]), strict=True)
                ]
            )
            rows = _in_order(
                [have.filter(keep).cast(ROLLUPS_SCHEMA), *self._rows(facility, sorted(late))]
            )
            commit(table, add=[write_parquet(table, rows, row_group_rows=20)], remove=files)
            yield "replaced"

    def _rows(self, facility: str, minutes: Sequence[tuple[str, int]]) -> list[pa.Table]:
        """Rows of rollups, from all chunks that there ever were."""
        made = []
        for gateway, minute_ms in minutes:
            of_minute = [
                c for key, c in self.chunks.items() if key[:3] == (facility, gateway, minute_ms)
            ]
            made.append(rollup_rows(roll_up(of_minute), catalogue(facility, gateway)))
        return made

    def _add(self, facility: str, hour: int, found: Sequence[Chunk]) -> Iterator[str]:
        table = self.table(READINGS)
        have = table.scan(row_filter=_where("hour", facility, hour)).to_arrow()
        held = Held.of(have)
        new = [c for c in found if not held.holds(facility, c.gateway, c.minute_ms, c.revision)]
        part = max(have["part"].to_pylist(), default=-1) + 1
        by_gateway = {c.gateway: [d for d in new if d.gateway == c.gateway] for c in new}
        rows = [
            sensor_hours(some, partial(known, facility, gateway), part)
            for gateway, some in sorted(by_gateway.items())
        ]
        if rows:
            commit(table, add=[write_parquet(table, pa.concat_tables(rows), row_group_rows=2)])
            yield "readings"

    def merge_day(self, facility: str = "plant-07") -> None:
        """All hours of T0's day as one file, as the maintenance makes it."""
        table = self.table(READINGS)
        files = data_files(table, EqualTo("facility", facility))
        rows = table.scan(row_filter=EqualTo("facility", facility)).to_arrow().cast(READINGS_SCHEMA)
        commit(table, add=[write_parquet(table, merge([rows]), row_group_rows=5)], remove=files)


def _in_order(rows: Sequence[pa.Table]) -> pa.Table:
    order = [(name, "ascending") for name in ("gateway", "slot", "minute")]
    return pa.concat_tables(rows).sort_by(order)


def make_tables(catalog: Catalog, settings: LakeSettings) -> None:
    """Those that readings and rollups are in: all of them would take a second."""
    catalog.create_namespace(settings.namespace)
    for spec in (CHUNKS, READINGS, ROLLUPS):
        create_or_evolve(catalog, (settings.namespace, spec.name), spec)


@pytest.fixture
def plant(lake_settings: LakeSettings) -> Iterator[Plant]:
    with open_catalog(lake_settings) as catalog:
        make_tables(catalog, lake_settings)
        yield Plant(catalog, lake_settings)


@pytest.fixture
def lake(plant: Plant) -> Iterator[Lake]:
    with Lake(open_catalog(plant.settings), plant.settings, known) as lake:
        yield lake


def known(facility: str, gateway: str, version: int) -> Catalogue:
    """What Kafka says of a gateway of the plant."""
    return catalogue(facility, gateway)


def _ms(column: pa.ChunkedArray) -> list[int]:
    return (column.cast(pa.int64()).to_numpy() // 1000).tolist()


def _where(time: str, facility: str, hour: int) -> And:
    low, high = (
        datetime.fromtimestamp((T0 + at * HOUR_MS) / 1000, UTC).isoformat()
        for at in (hour, hour + 1)
    )
    inside = And(GreaterThanOrEqual(time, low), LessThan(time, high))
    return And(EqualTo("facility", facility), inside)
