"""Rollups as rows of table `rollups`, a row a sensor minute, and back.

rows = rollup_rows(rollup, catalogue)
rollup = rollup_of(rows)                 # of one gateway minute, to publish a restatement
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from udfs.archive.hour_columns import texts
from udfs.archive.schemas import ROLLUPS_SCHEMA, TEXTS
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup

CLOUD, EDGE = "cloud", "edge"

_HEADER = ("facility", "gateway", "revision", "complete", "missing")
_COUNTS = ("count", "bad")
_SUMS = ("sum", "sum_sq")
# of no reading at all
_UNKNOWN = ("min", "max", "first", "last")


def rollup_rows(rollup: MinuteRollup, catalogue: Catalogue, source: str = CLOUD) -> pa.Table:
    """The sensors of a rollup as rows of `ROLLUPS_SCHEMA`, ascending by slot.

    A minute in which no sensor reported has no rows.

    Args: catalogue: of the rollup's version. source: CLOUD or EDGE.
    Raises: ValueError: a slot that the catalogue has not.
    """
    n = len(rollup.count)
    slots = np.arange(n) if rollup.sensor is None else rollup.sensor
    if n and slots[-1] >= len(catalogue):
        raise ValueError(f"slot {slots[-1]}; catalogue {catalogue.key} has {len(catalogue)}")
    minute = pa.scalar(rollup.minute_ms * 1000, ROLLUPS_SCHEMA.field("minute").type)
    same = {name: getattr(rollup, name) for name in _HEADER} | {"minute": minute, "source": source}
    columns = {name: pa.repeat(value, n) for name, value in same.items()}
    columns |= {name: texts(catalogue)[name].take(pa.array(slots)) for name in TEXTS}
    columns |= {name: pa.array(getattr(rollup, name)) for name in (*_COUNTS, *_SUMS)}
    none = rollup.count == 0
    columns |= {name: pa.array(getattr(rollup, name), mask=none) for name in _UNKNOWN}
    columns["slot"] = pa.array(slots)
    return pa.table(columns).select(ROLLUPS_SCHEMA.names).cast(ROLLUPS_SCHEMA)


def rollup_of(rows: pa.Table, catalogue: int = 0) -> MinuteRollup:
    """The rollup that rows of one gateway minute say, in any order.

    Where some sensors were restated and others not, it has the highest revision, with what that
    one says of the minute.

    Args: catalogue: version to be named, for rows do not tell.
    Returns: with epoch 0, no batches and no traceparent.
    Raises: ValueError: no rows, or of several gateway minutes, sources, or twice of a sensor.
    """
    rows = rows.take(pc.sort_indices(rows, sort_keys=[("slot", "ascending")]))
    distinct = rows.group_by(["facility", "gateway", "minute", "source"]).aggregate([])
    slots = rows["slot"].to_numpy().astype(np.uint32)
    if len(distinct) != 1 or (slots[1:] == slots[:-1]).any():
        raise ValueError("rows of one gateway minute and one source, each sensor once")
    newest = rows.slice(int(np.argmax(rows["revision"].to_numpy())), 1)
    header = {name: newest[name][0].as_py() for name in _HEADER}
    columns = {name: rows[name].to_numpy().astype(np.uint32) for name in _COUNTS}
    columns |= {name: rows[name].to_numpy() for name in _SUMS}
    columns |= {name: pc.fill_null(rows[name], np.nan).to_numpy() for name in _UNKNOWN}
    return MinuteRollup(
        **header,
        minute_ms=int(newest["minute"].cast(pa.int64())[0].as_py()) // 1000,
        batches=0,
        epoch=0,
        catalogue=catalogue,
        traceparent="",
        sensor=None if int(slots[-1]) + 1 == len(slots) else slots,
        **columns,
    )
