"""A compacted facility day whose every reading is known, the gateway's words on it, and ways to
break its tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyiceberg.catalog import Catalog

from jobs.lake.commit import commit
from jobs.lake.files import data_files, write_parquet
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import COUNTED, LEDGER
from jobs.quality.facts import Measured, measure
from jobs.quality.view import View
from tests.lake import compaction_plant as plant
from tests.lake.compaction_plant import FACILITY, HOUR_MS, MINUTE_MS, T0, Site
from udfs.archive.chunk import Chunk
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total
from udfs.ledger import Word, encode_word

TIME = pa.timestamp("us", tz="UTC")
NOW_MS = T0 + 5 * HOUR_MS


def nothing(gateway: str) -> Callable[..., Any]:
    """No valid ranges."""
    return lambda slots, kinds: (np.full(len(slots), -np.inf), np.full(len(slots), np.inf))


def archive(site: Site, hours: int = 2, gateways: Sequence[str] = ("gw-1",)) -> None:
    """Chunks of whole hours, compacted."""
    for number in range(hours):
        site.archive(*(c for gateway in gateways for c in plant.hour(number, gateway)))
    compact(site)


def compact(site: Site) -> None:
    site.compactor().round(NOW_MS)


def batches(hours: int = 2, gateway: str = "gw-1") -> list[Batch]:
    return plant.batches(range(hours * 60), gateway)


def words(found: Iterable[Batch], lost: Sequence[tuple[int, int]] = ()) -> list[Word]:
    """A word a minute, with a range of its six batches, less what is lost."""
    made, sent, whole = [], 0, list(found)
    for start in range(0, len(whole), 6):
        some = [b for b in whole[start : start + 6]
                if not any(first <= b.sequence <= last for first, last in lost)]  # fmt: skip
        sent += sum(map(len, some))
        last = whole[min(start + 5, len(whole) - 1)]
        ranges = [(b.sequence, b.sequence, len(b), fingerprint(b)) for b in some]
        if len(some) == 6:
            prints = total(*(fingerprint(b) for b in some))
            ranges = [(some[0].sequence, some[-1].sequence, sum(map(len, some)), prints)]
        made.append(
            Word(
                last.facility,
                last.gateway,
                1,
                last.sequence,
                sent,
                tuple(lost),
                sent_ms=last.time_ms + 11_000,
                ranges=tuple(ranges),
                acknowledged_through=last.sequence,
                pending=0,
            )
        )
    return made


def tell(site: Site, told: Iterable[Word]) -> None:
    """Words in table `ledger`, as archive_events writes them."""
    rows = [
        {
            "facility": w.facility, "gateway": w.gateway, "time": w.sent_ms * 1000,
            "epoch": w.epoch, "sent_through": w.sent_through, "readings": w.readings,
            "lost": sum(last - first + 1 for first, last in w.lost),
            "acknowledged_through": w.acknowledged_through, "pending": w.pending,
            **kafka(f"ledger.{w.facility}", number, w.sent_ms, encode_word(w)),
        }
        for number, w in enumerate(told)
    ]  # fmt: skip
    write(site, LEDGER, rows, ("time", "received"))


def kafka(topic: str, offset: int, time_ms: int, body: bytes) -> dict[str, Any]:
    return {"topic": topic, "partition": 0, "offset": offset, "received": time_ms * 1000,
            "body": body}  # fmt: skip


def count(site: Site, gateway: str = "gw-1", late: Sequence[int] = (0, 0),
          unaccounted: int = 0) -> None:  # fmt: skip
    """Lines of the cloud in table `counted`, a minute apart."""
    names = ("epoch", "batches", "readings", "epoch_readings", "bad_readings", "duplicates",
             "refused", "missing", "declared_lost", "contiguous_through", "highest")  # fmt: skip
    rows = [
        dict.fromkeys(names, 1)
        | {"facility": FACILITY, "gateway": gateway, "time": (T0 + n * MINUTE_MS) * 1000,
           "late": many, "verified_readings": None, "unaccounted_batches": unaccounted}
        | kafka(f"counted.{FACILITY}", n, T0, b"{}")
        for n, many in enumerate(late)
    ]  # fmt: skip
    write(site, COUNTED, rows, ("time", "received"))


def write(site: Site, spec: TableSpec, rows: list[dict[str, Any]], times: Sequence[str]) -> None:
    made = pa.Table.from_pylist(rows)
    for name in times:
        index = made.column_names.index(name)
        made = made.set_column(index, name, made[name].cast(TIME))
    table = site.table(spec)
    commit(table, add=[write_parquet(table, made, row_group_rows=100)])


def change(site: Site, spec: TableSpec, how: Callable[[pa.Table], pa.Table]) -> None:
    """The table's rows, which are of one partition, as `how` makes them."""
    table = site.table(spec)
    old, rows = data_files(table), how(table.scan().to_arrow())
    commit(table, add=[write_parquet(table, rows, row_group_rows=100)], remove=old)


def set_cell(rows: pa.Table, row: int, **values: Any) -> pa.Table:
    """The rows with other values in one row."""
    for name, value in values.items():
        column = rows[name].to_pylist()
        column[row] = value
        index = rows.column_names.index(name)
        rows = rows.set_column(index, rows.schema.field(name), pa.array(column, rows[name].type))
    return rows


def found(
    catalog: Catalog, lake: LakeSettings, hours: int = 24, facility: str = FACILITY, **more: Any
) -> Measured:
    """The facts of T0's day."""
    view = View.load(catalog, lake, (T0, T0 + hours * HOUR_MS))
    return measure(view, facility, T0, more.pop("ranges", nothing), **more)


def wrong(measured: Measured) -> dict[str, list[tuple[str, float, str]]]:
    """By suite.check: hour, how much, and where, of all that is not 0."""
    seen: dict[str, list[tuple[str, float, str]]] = {}
    for suite, rows in measured.frames.items():
        for row in rows:
            for name in (name.removesuffix("_at") for name in row if name.endswith("_at")):
                if row[name]:
                    place = row["hour"][11:], row[name], row[f"{name}_at"]
                    seen.setdefault(f"{suite}.{name}", []).append(place)
    return seen


def late_chunk(
    minute: int, ticks: Sequence[int], revision: int = 2, gateway: str = "gw-1"
) -> Chunk:
    return plant.chunk(minute, gateway, ticks, revision)


def chunk_without(minute: int, gone: Iterable[int], gateway: str = "gw-1") -> Chunk:
    ticks = tuple(tick for tick in plant.TICKS if tick not in set(gone))
    return plant.chunk(minute, gateway, ticks, complete=False)
