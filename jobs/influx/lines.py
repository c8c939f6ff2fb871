"""A gateway minute as lines of InfluxDB's line protocol, made column by column.

    lines = sensor_lines("rollup", minute, series, rows, policy)     # one text a point
    data = body(lines)                                               # all of them, without a copy

Source: InfluxDB 2 documentation, "Line protocol".
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.influx.policy import FieldName, Policy
from jobs.influx.series import Series
from udfs.rollup import MinuteRollup

CLOUD, EDGE = "rollup", "rollup_edge"
CLOUD_MINUTE, EDGE_MINUTE = "minute", "minute_edge"

Rows = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64] | npt.NDArray[np.uint32]


def sensor_lines(
    measurement: str, rollup: MinuteRollup, series: Series, rows: Rows, policy: Policy
) -> pa.StringArray:
    """One line a row that has a number in any field of its plan, by plan, then by row.

    Args: rows: rows of the rollup that are published, shape (m,).
    """
    slots = slots_of(rollup)[rows]
    plan = series.plan[slots]
    parts = [
        _lines_of_plan(measurement, rollup, series, rows[chosen], policy.sensors[index].fields)
        for index in np.unique(plan).tolist()
        if len(chosen := np.flatnonzero(plan == index))
    ]
    return pa.concat_arrays(parts) if parts else pa.array([], pa.string())


def minute_line(measurement: str, rollup: MinuteRollup, series: Series) -> pa.StringArray:
    """The gateway's own point: which revision this is, and what is missing."""
    fields = (
        f"revision={rollup.revision}i,complete={str(rollup.complete).lower()},"
        f"missing={rollup.missing}i,batches={rollup.batches}i,"
        f"sensors={len(rollup.count)}i,readings={rollup.readings()}i"
    )
    return pa.array([f"{measurement}{series.gateway_tags}{fields} {_second(rollup)}\n"])


def slots_of(rollup: MinuteRollup) -> Rows:
    """The slot of each row, shape (n,)."""
    count = len(rollup.count)
    return np.arange(count) if rollup.sensor is None else rollup.sensor.astype(np.intp)


def values_of(rollup: MinuteRollup, name: FieldName, rows: Rows) -> Numbers:
    """One field of some rows; NaN where there is no number.

    stddev: of the minute's readings as the whole population, from their sums.
    """
    if name not in ("mean", "stddev"):
        found: Numbers = getattr(rollup, name)[rows]
        return found
    count = rollup.count[rows].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean: npt.NDArray[np.float64] = rollup.sum[rows] / count
        if name == "mean":
            return mean
        spread: npt.NDArray[np.float64] = np.sqrt(
            np.maximum(rollup.sum_sq[rows] / count - mean * mean, 0.0)
        )
        return spread


def body(lines: pa.StringArray) -> memoryview:
    """The lines as one text: an Arrow array of texts is just that."""
    _, offsets, data = lines.buffers()
    if data is None or not len(lines):
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]


def _lines_of_plan(
    measurement: str, rollup: MinuteRollup, series: Series, rows: Rows, names: list[FieldName]
) -> pa.StringArray:
    # a point needs a field; and PyArrow 20 leaves out a row that has nothing to join
    numbers = {name: values_of(rollup, name, rows) for name in names}
    some = np.flatnonzero(np.any([np.isfinite(found) for found in numbers.values()], axis=0))
    columns = [_field(name, found[some]) for name, found in numbers.items()]
    fields = pc.binary_join_element_wise(*columns, ",", null_handling="skip")
    tags = series.tags.take(pa.array(slots_of(rollup)[rows[some]]))
    end = f" {_second(rollup)}\n"
    return pc.binary_join_element_wise(measurement, tags, fields, end, "")


def _field(name: FieldName, values: Numbers) -> pa.StringArray:
    """`name=value` of each, null where it is not finite."""
    if values.dtype == np.uint32:
        return pc.binary_join_element_wise(f"{name}=", pc.cast(values, pa.string()), "i", "")
    finite = pa.array(values, mask=~np.isfinite(values))
    return pc.binary_join_element_wise(f"{name}=", pc.cast(finite, pa.string()), "")


def _second(rollup: MinuteRollup) -> int:
    return rollup.minute_ms // 1000
