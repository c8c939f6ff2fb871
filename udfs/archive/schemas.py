"""Columns of tables `readings` and `rollups`, and of readings one a row; docs/storage.md says what
each means.

Times of an hour are in ms after its start. A `minutes` has a byte a minute of the hour. Optional
columns are what another column makes needless; list elements are never null, but Iceberg's lists
from Arrow files must be declared as if they could be.
"""

from __future__ import annotations

import pyarrow as pa

HOUR_MS = 3_600_000
MINUTES = 60

# what facility, gateway and slot stand for
TEXTS = ("sensor", "asset", "kind", "unit")

_TIMESTAMP = pa.timestamp("us", tz="UTC")
_INTS = pa.list_(pa.field("element", pa.int32()))
_DOUBLES = pa.list_(pa.field("element", pa.float64()))

_SENSOR = [
    pa.field("facility", pa.string(), nullable=False),
    pa.field("gateway", pa.string(), nullable=False),
    pa.field("slot", pa.int32(), nullable=False),
    *(pa.field(name, pa.string(), nullable=False) for name in TEXTS),
]

# what names a sensor hour
KEYS = pa.schema([*_SENSOR, pa.field("hour", _TIMESTAMP, nullable=False)])

READINGS_SCHEMA = pa.schema(
    [
        *KEYS,
        pa.field("part", pa.int32(), nullable=False),
        pa.field("minutes", pa.binary(), nullable=False),
        pa.field("readings", pa.int32(), nullable=False),
        pa.field("first_ms", pa.int32(), nullable=False),
        pa.field("step_ms", pa.int32()),
        pa.field("times_ms", _INTS),
        pa.field("scale", pa.int32()),
        pa.field("values", _INTS),
        pa.field("doubles", _DOUBLES),
        pa.field("qualities", _INTS),
    ]
)

# count 0: the sums are 0; min, max, first and last are null
ROLLUPS_SCHEMA = pa.schema(
    [
        *_SENSOR,
        pa.field("minute", _TIMESTAMP, nullable=False),
        pa.field("revision", pa.int32(), nullable=False),
        pa.field("complete", pa.bool_(), nullable=False),
        pa.field("missing", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("sum", pa.float64(), nullable=False),
        pa.field("sum_sq", pa.float64(), nullable=False),
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("first", pa.float64()),
        pa.field("last", pa.float64()),
        pa.field("bad", pa.int32(), nullable=False),
    ]
)

_CODES = pa.dictionary(pa.int32(), pa.string())

# a row a reading
EXPLODED_SCHEMA = pa.schema(
    [
        pa.field("facility", _CODES, nullable=False),
        pa.field("gateway", _CODES, nullable=False),
        pa.field("slot", pa.int32(), nullable=False),
        *(pa.field(name, _CODES, nullable=False) for name in TEXTS),
        pa.field("time", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.uint8(), nullable=False),
    ]
)
