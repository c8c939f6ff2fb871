"""A small plant whose rows are known in closed form, written as compaction writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from jobs.lake.commit import commit
from jobs.lake.files import write_parquet
from jobs.lake.maintain.policy import Policy
from jobs.lake.maintain.work import Sizes, Work
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import READINGS, load_table
from udfs.archive.explode import explode
from udfs.archive.schemas import READINGS_SCHEMA, ROLLUPS_SCHEMA

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MINUTE_MS = 60_000
TABLES = {
    "readings": "90d",
    "rollups": "5y",
    "rollups_hour": "5y",
    "rollups_day": "5y",
    "alerts": "5y",
    "ledger": "5y",
    "counted": "5y",
    "dead_letters": "90d",
    "restatements": "5y",
}


def ms(text: str) -> int:
    """UTC epoch milliseconds of an ISO time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def policy(**changes: object) -> Policy:
    """The usual declaration with other tables, holds, facilities or upkeep."""
    tables = TABLES | dict(changes.pop("tables", {}))  # type: ignore[call-overload]
    return Policy.model_validate({"tables": tables, **changes})


def hold(facility: str, **more: date) -> dict[str, object]:
    return {"facility": facility, "why": "claim 7", **more}


class Lake:
    """The tables of a test, and the work of a maintainer at a time that the test chooses."""

    def __init__(self, catalog: Catalog, settings: LakeSettings) -> None:
        self.catalog, self.settings = catalog, settings

    def table(self, spec: TableSpec) -> Table:
        return load_table(self.catalog, self.settings, spec)

    def work(self, now: str, rules: Policy | None = None, **more: object) -> Work:
        more = {"sizes": Sizes(settled_ms=6 * HOUR_MS), **more}
        return Work(self.catalog, self.settings, rules or policy(), ms(now), **more)  # type: ignore[arg-type]

    def add(self, spec: TableSpec, *parts: pa.Table, group: int = 64) -> list[DataFile]:
        """A file a table of rows, all in one commit."""
        table = self.table(spec)
        made = [write_parquet(table, rows, row_group_rows=group) for rows in parts]
        commit(table, made)
        return made

    def rows(self, spec: TableSpec) -> pa.Table:
        """All rows, ascending by the table's key."""
        keys = [(name, "ascending") for name in spec.key]
        return self.table(spec).scan().to_arrow().sort_by(keys)

    def files(self, spec: TableSpec) -> list[str]:
        return sorted(task.file.file_path for task in self.table(spec).scan().plan_files())

    def readings(self) -> pa.Table:
        """One row a reading, ascending by sensor and time."""
        rows = self.rows(READINGS).cast(READINGS_SCHEMA)
        found = explode(rows).select(["facility", "gateway", "slot", "time", "value", "quality"])
        keys = [(name, "ascending") for name in ("facility", "gateway", "slot", "time", "value")]
        plain = pa.table({n: found[n].cast(pa.string()) if n in found.column_names[:2] else found[n]
                          for n in found.column_names})  # fmt: skip
        return plain.sort_by(keys)


def names(facility: str, gateways: Iterable[str], slots: Sequence[int]) -> dict[str, pa.Array]:
    """The columns that say which sensor, gateways first."""
    pairs = [(gateway, slot) for gateway in gateways for slot in slots]
    slot = [slot for _, slot in pairs]
    return {
        "facility": pa.array([facility] * len(pairs)),
        "gateway": pa.array([gateway for gateway, _ in pairs]),
        "slot": pa.array(slot, pa.int32()),
        "sensor": pa.array([f"s{n}" for n in slot]),
        "asset": pa.array([f"pump-{n % 3}" for n in slot]),
        "kind": pa.array(["pressure"] * len(pairs)),
        "unit": pa.array(["bar"] * len(pairs)),
    }


def changed(rows: pa.Table, **columns: object) -> pa.Table:
    """The rows with other columns."""
    for name, values in columns.items():
        field = rows.schema.field(name)
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, field, pa.array(values, field.type))
    return rows


def hour_rows(
    facility: str, start_ms: int, gateways: Sequence[str] = ("gw-1", "gw-2"), slots: int = 5
) -> pa.Table:
    """Sensor hours of a reading a minute: value (slot * 100 + minute of the day) / 4."""
    who = names(facility, gateways, range(slots))
    n = len(who["slot"])
    first = start_ms % DAY_MS // MINUTE_MS
    values = [
        [25 * (slot * 100 + first + m) for m in range(60)] for slot in who["slot"].to_pylist()
    ]
    return pa.table(
        who
        | {
            "hour": pa.array([start_ms * 1000] * n).cast(pa.timestamp("us", "UTC")),
            "part": pa.array([0] * n, pa.int32()),
            "minutes": pa.array([bytes([1] * 60)] * n),
            "readings": pa.array([60] * n, pa.int32()),
            "first_ms": pa.array([0] * n, pa.int32()),
            "step_ms": pa.array([MINUTE_MS] * n, pa.int32()),
            "times_ms": pa.nulls(n, READINGS_SCHEMA.field("times_ms").type),
            "scale": pa.array([2] * n, pa.int32()),
            "values": pa.array(values, READINGS_SCHEMA.field("values").type),
            "doubles": pa.nulls(n, READINGS_SCHEMA.field("doubles").type),
            "qualities": pa.nulls(n, READINGS_SCHEMA.field("qualities").type),
        },
        schema=READINGS_SCHEMA,
    )


def minute_rows(
    facility: str,
    start_ms: int,
    minutes: int = 60,
    gateways: Sequence[str] = ("gw-1", "gw-2"),
    slots: int = 5,
    revision: int = 1,
    shift: float = 0.0,
    **other: object,
) -> pa.Table:
    """Sensor minutes, by gateway, slot and minute; all numbers are quarters, so sums are exact."""
    who = names(facility, gateways, range(slots))
    n = len(who["slot"])
    each = np.repeat(np.arange(n), minutes)
    minute = np.tile(np.arange(minutes), n)
    of_day = start_ms % DAY_MS // MINUTE_MS + minute
    value = who["slot"].to_numpy()[each] * 100 + of_day / 4 + shift
    count = np.where(of_day % 7 == 3, 0, 1 + of_day % 5).astype(np.int32)
    empty = count == 0
    columns = {name: column.take(pa.array(each)) for name, column in who.items()}
    micros = (start_ms + minute * MINUTE_MS) * 1000
    columns |= {
        "minute": pa.array(micros).cast(pa.timestamp("us", "UTC")),
        "revision": pa.array(np.full(n * minutes, revision, np.int32)),
        "complete": pa.array(np.ones(n * minutes, np.bool_)),
        "missing": pa.array(np.zeros(n * minutes, np.int64)),
        "source": pa.array(["cloud"] * (n * minutes)),
        "count": pa.array(count),
        "sum": pa.array(value * count),
        "sum_sq": pa.array(value * value * count),
        "min": pa.array(value - 1, mask=empty),
        "max": pa.array(value + 1, mask=empty),
        "first": pa.array(value - 0.5, mask=empty),
        "last": pa.array(value + 0.5, mask=empty),
        "bad": pa.array((of_day % 3).astype(np.int32)),
    }
    for name, given in other.items():
        columns[name] = pa.array([given] * (n * minutes), ROLLUPS_SCHEMA.field(name).type)
    return pa.table(columns, schema=ROLLUPS_SCHEMA)
