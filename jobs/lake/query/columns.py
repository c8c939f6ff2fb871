"""Columns of what questions give, with their units: `result.schema.field("value").metadata`."""

from __future__ import annotations

import pyarrow as pa

TEXT = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("ms", tz="UTC")
OWN = "that of column unit"


def _field(name: str, kind: pa.DataType, description: str, unit: str = "") -> pa.Field:
    said = {"description": description} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, metadata=said)


_SENSOR = [
    _field("facility", TEXT, "The site."),
    _field("gateway", TEXT, "The edge box."),
    _field("slot", pa.int32(), "Number of the sensor at its gateway."),
    _field("sensor", TEXT, "Name of the sensor."),
    _field("asset", TEXT, "The machine that it is on."),
    _field("kind", TEXT, "Kind of the sensor, such as temperature."),
    _field("unit", TEXT, "Unit of its values."),
]

READINGS_COLUMNS = pa.schema(
    [
        *_SENSOR,
        _field("time", TIME, "When it was taken.", "UTC, ms"),
        _field("value", pa.float64(), "What was read, bit for bit.", OWN),
        _field("quality", pa.uint8(), "0 good, 1 uncertain, 2 bad, 3 stuck, 4 clock repaired."),
    ]
)

ROLLUPS_COLUMNS = pa.schema(
    [
        *_SENSOR,
        _field("time", TIME, "When the minute, or the longer time, begins.", "UTC, ms"),
        _field("count", pa.int64(), "Readings that entered the sums.", "readings"),
        _field("mean", pa.float64(), "Their mean; null without any, as min to last.", OWN),
        _field("min", pa.float64(), "The smallest value.", OWN),
        _field("max", pa.float64(), "The largest value.", OWN),
        _field("first", pa.float64(), "The earliest value.", OWN),
        _field("last", pa.float64(), "The latest value.", OWN),
        _field("sum", pa.float64(), "Sum of values.", OWN),
        _field("sum_sq", pa.float64(), "Sum of squares of values.", f"square of {OWN}"),
        _field("bad", pa.int64(), "Readings that may not enter a sum.", "readings"),
        _field("minutes", pa.int32(), "Minutes that are in it.", "minutes"),
        _field("edge", pa.int32(), "Rows that a gateway made; null: not said.", "minutes"),
        _field("complete", pa.bool_(), "Whether all its minutes are there, without a hole."),
        _field("missing", pa.int64(), "Batches known to be lost; null: not said.", "batches"),
        _field("revision", pa.int32(), "The highest; above 1: restated. Null: not said."),
    ]
)
