"""A plant whose every reading has a closed form, and what the tables must say of it.

Each gateway has three sensors: one of decimals every 10 s, one of odd doubles at uneven times, one
that is bad now and then. Batches are ticks of 10 s, numbered from 0 in each gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from jobs.lake.commit import commit
from jobs.lake.compaction.compactor import Compactor, Limits
from jobs.lake.files import data_files, write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, READINGS, RESTATEMENTS, ROLLUPS, load_table
from udfs.archive.chunk import Chunk, collect
from udfs.archive.chunk import encode as encode_anew
from udfs.archive.explode import explode
from udfs.archive.rollup_rows import rollup_of
from udfs.archive.schemas import READINGS_SCHEMA
from udfs.batch import Batch, Quality
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup
from udfs.windows import Windows

T0 = 1_767_225_600_000  # 2026-01-01
MINUTE_MS, HOUR_MS, TICK_MS = 60_000, 3_600_000, 10_000
TICKS = range(6)
FACILITY = "plant-07"

encode = cache(encode_anew)  # chunks are made once, too

Reading = tuple[str, int, int, int, int]  # gateway, slot, ms since T0, bits of the value, quality
Key = tuple[str, int]  # gateway, minute since T0


def catalogue(gateway: str, version: int = 1, facility: str = FACILITY) -> Catalogue:
    names = ("p1.flow", "p1.heat", "tank.level")
    ends = np.zeros(3), np.ones(3), np.full(3, TICK_MS, np.int32)
    return Catalogue(
        facility, gateway, version, tuple(f"{gateway}.{name}" for name in names),
        ("m3/h", "°C", "m"), ("flow", "temperature", "level"), ("p1", "p1", "tank"), *ends,
    )  # fmt: skip


def batch(minute: int, tick: int, gateway: str = "gw-1", facility: str = FACILITY) -> Batch:
    """The batch of one tick; what it holds follows from its number."""
    number = minute * len(TICKS) + tick
    seed = number + 1000 * int(gateway.rpartition("-")[2])
    value = np.array([seed % 977 / 100, np.sin(seed) * 1e3 / 7, seed % 7 + 0.5])
    quality = [Quality.GOOD, Quality.GOOD, Quality.BAD if seed % 5 == 0 else Quality.GOOD]
    offset = np.array([0, seed * 37 % 5000, 0], np.int32)
    return Batch(
        facility, gateway, 1, number, T0 + number * TICK_MS, value, None, offset,
        np.array(quality, np.uint8), sent_ms=T0 + number * TICK_MS + 5,
        traceparent=f"00-{number + 1:032x}-{tick + 1:016x}-01",
    )  # fmt: skip


@cache
def chunk(
    minute: int,
    gateway: str = "gw-1",
    ticks: Sequence[int] = TICKS,
    revision: int = 1,
    complete: bool = True,
    facility: str = FACILITY,
) -> Chunk:
    """The chunk of these ticks of a minute since T0."""
    parts = [batch(minute, tick, gateway, facility) for tick in ticks]
    missing = 0 if complete else 6 - len(parts)
    minute_ms = T0 + minute * MINUTE_MS
    return collect(facility, gateway, minute_ms, revision, complete, missing, parts)


def hour(number: int = 0, gateway: str = "gw-1", facility: str = FACILITY) -> list[Chunk]:
    """All 60 minutes of an hour since T0."""
    minutes = range(number * 60, number * 60 + 60)
    return [chunk(minute, gateway, facility=facility) for minute in minutes]


def readings(batches: Iterable[Batch]) -> list[Reading]:
    """What is in batches, in order."""
    found = []
    for one in batches:
        times = one.time_ms - T0 + one.offset_ms
        columns = (one.slots(), times, one.value.view(np.int64), one.quality)
        found += [(one.gateway, *row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    return sorted(found)


def rolled_up(batches: Sequence[Batch]) -> dict[Key, MinuteRollup]:
    """What rollup_readings publishes of a gateway's batches that all come, in order."""
    windows = Windows(batches[0].facility, batches[0].gateway)
    closed = [c for one in batches for c in windows.add(one, one.sent_ms).closed]
    last = batches[-1].sequence
    end = batch((last + 1) // 6, (last + 1) % 6, batches[0].gateway, batches[0].facility)
    closed += windows.add(end, end.sent_ms).closed
    return {(c.gateway, (c.minute_ms - T0) // MINUTE_MS): c for c in closed}


def batches(minutes: Iterable[int], gateway: str = "gw-1", facility: str = FACILITY) -> list[Batch]:
    """All batches of these minutes."""
    return [batch(minute, tick, gateway, facility) for minute in minutes for tick in TICKS]


@dataclass
class Site:
    """A lake, a compactor of it, and what it published."""

    catalog: Catalog
    lake: LakeSettings
    limits: Limits = field(default_factory=Limits)
    published: list[MinuteRollup] = field(default_factory=list)

    def table(self, spec: TableSpec) -> Table:
        return load_table(self.catalog, self.lake, spec)

    def archive(self, *chunks: Chunk | tuple[Chunk, bytes]) -> None:
        """Chunks of one facility hour as Flink adds them: one file, one commit."""
        commit(self.table(CHUNKS), add=[write_chunks(self.table(CHUNKS), chunks)])

    def compactor(self, limits: Limits | None = None) -> Compactor:
        return Compactor(
            self.catalog, self.lake, find, self.published.extend, limits or self.limits
        )

    # -- what the tables say

    def chunk_files(self) -> list[str]:
        return [file.file_path for file in data_files(self.table(CHUNKS))]

    def readings(self) -> list[Reading]:
        rows = self.table(READINGS).scan().to_arrow().cast(READINGS_SCHEMA)
        if not len(rows):
            return []
        found = explode(rows)
        columns = (
            found["gateway"].to_pylist(),
            found["slot"].to_pylist(),
            (found["time"].cast(pa.int64()).to_numpy() - T0).tolist(),
            found["value"].to_numpy().view(np.int64).tolist(),
            found["quality"].to_pylist(),
        )
        return sorted(zip(*columns, strict=True))

    def rollups(self) -> dict[Key, MinuteRollup]:
        rows = self.table(ROLLUPS).scan().to_arrow()
        keys = sorted({*zip(rows["gateway"].to_pylist(), minutes_of(rows), strict=True)})
        minutes = pa.array(minutes_of(rows))
        gateways = np.array(rows["gateway"].to_pylist())
        return {
            (gateway, minute): rollup_of(
                rows.filter(pa.array((gateways == gateway) & (minutes.to_numpy() == minute)))
            )
            for gateway, minute in keys
        }

    def audit(self) -> list[dict[str, object]]:
        rows = self.table(RESTATEMENTS).scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda r: (r["gateway"], r["minute"], r["slot"], r["revision"]))

    def snapshots(self) -> list[int]:
        specs = (CHUNKS, READINGS, ROLLUPS, RESTATEMENTS)
        return [len(self.table(spec).snapshots()) for spec in specs]


def find(facility: str, gateway: str, version: int) -> Catalogue | None:
    return catalogue(gateway, version, facility) if version == 1 else None


def minutes_of(rows: pa.Table) -> list[int]:
    return ((rows["minute"].cast(pa.int64()).to_numpy() // 1000 - T0) // MINUTE_MS).tolist()


def write_chunks(table: Table, chunks: Sequence[Chunk | tuple[Chunk, bytes]]):
    """A file of table chunks; a chunk may be given with other bytes than its own."""
    pairs = [one if isinstance(one, tuple) else (one, encode(one)) for one in chunks]
    rows = pa.table(
        {name: [getattr(c, name) for c, _ in pairs]
         for name in ("facility", "gateway", "revision", "complete", "missing")}
        | {
            "minute": pa.array([c.minute_ms * 1000 for c, _ in pairs], pa.timestamp("us", "UTC")),
            "batches": [len(c.batches) for c, _ in pairs],
            "readings": [len(c) for c, _ in pairs],
            "chunk": [data for _, data in pairs],
        }
    )  # fmt: skip
    return write_parquet(table, rows, row_group_rows=16)


def same_values(found: MinuteRollup, expected: MinuteRollup) -> bool:
    """Equal in every sum to the bit, and in what the table says of the minute."""
    names = ("count", "sum", "sum_sq", "min", "max", "first", "last", "bad")
    same = all(getattr(found, n).tobytes() == getattr(expected, n).tobytes() for n in names)
    header = ("facility", "gateway", "minute_ms", "revision", "complete", "missing")
    return same and all(getattr(found, n) == getattr(expected, n) for n in header)
