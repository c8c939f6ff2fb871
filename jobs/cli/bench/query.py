"""How long two questions take: a sensor's 90 days, and a facility's minute rollups of a day.

The days are files as the maintenance merges them, of a gateway of 5,000 sensors. Of these only the
neighbours of the sensor that is asked for have a reading a second, the others one an hour. So row
groups, statistics and footers are all there, what is read is as in a full day, and only the files
are smaller than they would be: 15 GB would take half an hour to make.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.manifest import DataFile

from jobs.cli.output import log
from jobs.common.errors import HardiotError
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import commit
from jobs.lake.files import write_parquet
from jobs.lake.maintain.layout import layout_of
from jobs.lake.query import Lake, Result
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import READINGS, ROLLUPS, ensure, load_table
from jobs.local.paths import BUILD
from udfs.archive.rows import SensorHours, pack
from udfs.archive.schemas import HOUR_MS, KEYS, ROLLUPS_SCHEMA

SENSORS, DAYS = 5_000, 90
FULL = 64  # sensors with a reading a second, among them the one that is asked for
ASKED = 2_432  # its slot: FULL sensors from 2,400 on are full
START_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000
_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
_FACILITY, _GATEWAY = "plant-0001", "gw-1"


@dataclass(frozen=True)
class _Timed:
    """A question's first answer, its second, the CPU time of that, and the rows it gave."""

    first_s: float
    again_s: float
    again_cpu_s: float
    rows: int


def measure(sensors: int = SENSORS, days: int = DAYS) -> dict[str, Any]:
    """Make the tables, ask both questions twice."""
    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        settings = LakeSettings.model_validate(
            {"catalog_uri": f"sqlite:{folder}/lake.db", "warehouse": folder}
        )
        began_s = time.monotonic()
        _fill(settings, sensors, days)
        log.print(f"tables made in {time.monotonic() - began_s:.0f} s; asking")
        place: dict[str, Any] = {"facility": _FACILITY}
        asked = _name(min(ASKED, sensors - 1))
        sensor = _ask(settings, lambda lake: lake.readings(**place, sensor=asked))
        hours = _ask(settings, lambda lake: lake.rollups(**place, every="1h"))
    readings, rows = days * _DAY_MS // 1000, sensors * 24
    if (sensor.rows, hours.rows) != (readings, rows):
        raise HardiotError(
            f"{sensor.rows} readings and {hours.rows} rollups, not {readings} and {rows}"
        )
    return {
        "readings_per_s": sensor.rows / sensor.first_s,
        "sensor_readings": sensor.rows,
        "sensor_first_s": sensor.first_s,
        "sensor_again_s": sensor.again_s,
        "sensor_again_cpu_s": sensor.again_cpu_s,
        "rollup_rows": sensors * 1440,
        "rollups_first_s": hours.first_s,
        "rollups_again_s": hours.again_s,
        "rollups_again_cpu_s": hours.again_cpu_s,
        "rollup_rows_per_s": sensors * 1440 / hours.first_s,
        "load": f"{days} files of a day, {sensors} sensors each, of which {FULL} neighbours have a "
        f"reading a second and the others one an hour: `sensor` is all readings of one as an "
        f"Arrow table, opened anew; `rollups` is a day of {sensors * 1440:,} minute rollups as "
        "hours; files in the page cache",
    }


def _folder() -> Path:
    BUILD.mkdir(exist_ok=True)
    return BUILD


def _ask(settings: LakeSettings, question: Callable[[Lake], Result]) -> _Timed:
    """All that a program would wait for, opening the lake included, then the same again."""
    began_s = time.monotonic()
    with Lake.open(settings) as lake:
        rows = len(question(lake).arrow())
        first_s, cpu_s = time.monotonic() - began_s, time.process_time()
        question(lake).arrow()
        again_s = time.monotonic() - began_s - first_s
        return _Timed(first_s, again_s, time.process_time() - cpu_s, rows)


def _fill(settings: LakeSettings, sensors: int, days: int) -> None:
    with open_catalog(settings) as catalog:
        ensure(catalog, settings)
        for spec, parts in ((READINGS, _days(sensors, days)), (ROLLUPS, _rollups(sensors))):
            table = load_table(catalog, settings, spec)
            made = [write_parquet(table, rows, **layout_of(spec).parquet) for rows in parts]
            commit(table, add=made)
            log.print(f"{spec.name}: {len(made)} files of {_size_mb(made)} MB")


def _size_mb(made: list[DataFile]) -> int:
    return round(sum(int(file.file_size_in_bytes) for file in made) / len(made) / 1e6)


def _name(slot: int) -> str:
    return f"pump-{slot // 8:04d}.signal-{slot % 8}"


def _texts(slots: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Columns of what the sensors are."""
    names = [_name(slot) for slot in slots.tolist()]
    return {
        "facility": pa.repeat(_FACILITY, len(slots)),
        "gateway": pa.repeat(_GATEWAY, len(slots)),
        "slot": pa.array(slots, pa.int32()),
        "sensor": pa.array(names),
        "asset": pa.array([name[:9] for name in names]),
        "kind": pa.repeat("vibration", len(slots)),
        "unit": pa.repeat("mm/s", len(slots)),
    }


def _days(sensors: int, days: int) -> Iterator[pa.Table]:
    """Rows of table `readings`, a day at a time: random walks at 0.01 steps."""
    random = np.random.default_rng(6)
    slots = np.repeat(np.arange(sensors), 24)
    asked = min(ASKED, sensors - 1)
    full = (slots > asked - FULL // 2) & (slots <= asked + FULL // 2)
    counts = np.where(full, 3600, 1)
    starts = np.cumsum(counts) - counts
    time_ms = ((np.arange(counts.sum()) - np.repeat(starts, counts)) * 1000).astype(np.int32)
    texts = _texts(slots)
    for day in range(days):
        start_ms = START_MS + day * _DAY_MS
        hours = start_ms + np.tile(np.arange(24) * HOUR_MS, sensors)
        keys = pa.table(texts | {"hour": pa.array(hours * 1000, KEYS.field("hour").type)})
        value = 40 + np.cumsum(random.integers(-5, 6, len(time_ms))) / 100
        packed = SensorHours(keys.cast(KEYS), counts, time_ms, np.round(value, 2), None)
        yield pack(packed, 0, [b"\1" * 60] * len(counts))


def _rollups(sensors: int) -> Iterator[pa.Table]:
    """Rows of table `rollups` of one day, by sensor and minute."""
    n = sensors * 1440
    random = np.random.default_rng(7)
    slots = np.repeat(np.arange(sensors), 1440)
    texts = _texts(np.arange(sensors))
    columns: dict[str, Any] = {name: column.take(pa.array(slots)) for name, column in texts.items()}
    minutes = START_MS + np.tile(np.arange(1440) * _MINUTE_MS, sensors)
    value = 40 + random.integers(-500, 500, n) / 100
    columns |= {"minute": pa.array(minutes * 1000, ROLLUPS_SCHEMA.field("minute").type)}
    columns |= {"revision": pa.repeat(1, n), "complete": pa.repeat(True, n)}
    columns |= {"missing": pa.repeat(0, n), "source": pa.repeat("cloud", n)}
    columns |= {"count": pa.repeat(60, n), "bad": pa.repeat(0, n), "sum": value * 60.1}
    columns |= {"sum_sq": value * value * 60.2, "first": value - 0.3, "last": value + 0.2}
    columns |= {"min": value - 1.5, "max": value + 1.5}
    yield pa.table(columns).select(ROLLUPS_SCHEMA.names).cast(ROLLUPS_SCHEMA)
