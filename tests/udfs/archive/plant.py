"""Batches of a small gateway, their chunks, and what they hold, reading by reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from udfs.archive.chunk import Chunk, collect
from udfs.archive.explode import explode
from udfs.batch import Batch
from udfs.catalogue import Catalogue

HOUR = 1_700_000_000_000 // 3_600_000 * 3_600_000
MINUTE = 60_000
SENSORS = 5

# slot, time, bits of the value, quality
Reading = tuple[int, int, int, int]

VALUES = st.sampled_from(
    [0.0, -0.0, 1.0, 21.37, -0.125, 1e9, 3e9, 1 / 3, float("nan"), float("inf"), -1e150, 5e-324]
)
DECIMALS = st.integers(-5000, 5000).map(lambda number: number / 100)


def catalogue(version: int = 1, sensors: int = SENSORS) -> Catalogue:
    """Sensors s0, s1, ... on assets a0, a1, ...; texts tell the version."""
    names = range(sensors)
    return Catalogue(
        "plant-1", "gw-1", version,
        name=tuple(f"s{n}" for n in names),
        unit=("°C",) * sensors,
        kind=tuple("pressure" if n % 2 else "temperature" for n in names),
        asset=tuple(f"a{n}-{version}" for n in names),
        low=np.zeros(sensors), high=np.ones(sensors), period_ms=np.full(sensors, 1000, np.int32),
    )  # fmt: skip


def batch(
    sequence: int,
    at_ms: int,
    value: Sequence[float],
    sensor: Sequence[int] | None = None,
    offset_ms: Sequence[int] | None = None,
    quality: Sequence[int] | None = None,
    version: int = 1,
) -> Batch:
    """A batch at that time of the hour."""
    return Batch(
        "plant-1",
        "gw-1",
        epoch=1,
        sequence=sequence,
        time_ms=HOUR + at_ms,
        value=np.array(value, np.float64),
        sensor=None if sensor is None else np.array(sensor, np.uint32),
        offset_ms=None if offset_ms is None else np.array(offset_ms, np.int32),
        quality=None if quality is None else np.array(quality, np.uint8),
        catalogue=version,
        traceparent=f"00-{sequence}",
    )


@st.composite
def batches(draw: st.DrawFn, values: st.SearchStrategy[float] = VALUES | DECIMALS) -> list[Batch]:
    """Batches of a few minutes of an hour, sparse or not, each within its minute."""
    seconds = sorted(draw(st.lists(st.integers(0, 5 * 60 - 1), max_size=6)))
    return [draw(one_batch(n, second, values)) for n, second in enumerate(seconds)]


@st.composite
def one_batch(
    draw: st.DrawFn, sequence: int, second: int, values: st.SearchStrategy[float]
) -> Batch:
    room_ms = min(9_999, 59_999 - second % 60 * 1000)
    slots, dense = st.integers(0, SENSORS - 1), draw(st.booleans())
    offsets = st.integers(0, draw(st.sampled_from([0, 3, room_ms])))
    sensor = range(SENSORS) if dense else sorted(draw(st.lists(slots, max_size=6)))
    rows = sorted((slot, draw(offsets)) for slot in sensor)
    quality = [draw(st.sampled_from([0, 0, 0, 1, 2, 4])) for _ in rows]
    return batch(
        sequence, second * 1000, [draw(values) for _ in rows],
        None if dense else [slot for slot, _ in rows],
        [offset for _, offset in rows] if draw(st.booleans()) else None,
        quality if draw(st.booleans()) else None,
        draw(st.integers(1, 2)),
    )  # fmt: skip


def chunks_of(parts: Iterable[Batch], revision: int = 1) -> list[Chunk]:
    """The chunks of batches that lie within their minutes."""
    minutes: dict[int, list[Batch]] = defaultdict(list)
    for part in parts:
        minutes[part.time_ms // MINUTE * MINUTE].append(part)
    return [
        collect("plant-1", "gw-1", minute, revision, True, 0, of_minute)
        for minute, of_minute in sorted(minutes.items())
    ]


def readings_of(parts: Iterable[Batch]) -> list[Reading]:
    """The readings of batches by slot, then time, then as they were sent."""
    found: list[Reading] = []
    for part in parts:
        zeros = np.zeros(len(part), np.int64)
        times = zeros + part.time_ms + (0 if part.offset_ms is None else part.offset_ms)
        quality = zeros if part.quality is None else part.quality
        columns = (part.slots(), times, part.value.view(np.int64), quality)
        found += zip(*(column.tolist() for column in columns), strict=True)
    return sorted(found, key=lambda reading: reading[:2])


def readings_in(rows: pa.Table) -> list[Reading]:
    """What rows of table `readings` hold, in their order."""
    return exploded(explode(rows))


def exploded(table: pa.Table) -> list[Reading]:
    """The readings of a table that has a row for each."""
    columns = [
        table["slot"].to_numpy(),
        table["time"].cast(pa.int64()).to_numpy(),
        table["value"].to_numpy().view(np.int64),
        table["quality"].to_numpy(),
    ]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def same(one: pa.Table, other: pa.Table) -> bool:
    """Equal columns and rows, where a NaN equals a NaN."""
    return one.schema == other.schema and repr(one.to_pylist()) == repr(other.to_pylist())
