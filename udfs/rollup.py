"""A minute rollup, contract version 1: one Arrow record for all sensors of a gateway's minute.

    data = encode(rollup)
    rollup = decode(data)

Revision 0 is provisional: the minute had holes when it was published. Revision 1 is final; a
restatement counts on from there. Whoever keeps rollups keeps the highest revision by (facility,
gateway, minute).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.arrow import encode_stream, open_stream

CONTRACT = "hardiot.rollup.v1"

PROVISIONAL, FINAL = 0, 1

COLUMNS = {
    "sensor": "<u4",
    "count": "<u4",
    "sum": "<f8",
    "sum_sq": "<f8",
    "min": "<f8",
    "max": "<f8",
    "first": "<f8",
    "last": "<f8",
    "bad": "<u4",
}
HEADER = (
    "contract",
    "facility",
    "gateway",
    "minute_ms",
    "revision",
    "complete",
    "missing",
    "batches",
    "epoch",
    "catalogue",
    "traceparent",
)

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]


@dataclass(frozen=True, eq=False, slots=True)
class MinuteRollup:
    """One gateway minute; arrays have one element a sensor that reported, shape (n,).

    sensor: slots, ascending; None means 0, 1, 2, ...
    count, bad: readings that entered the sums, readings that were bad or not a number.
    sum, sum_sq, min, max, first, last: of the good readings, in the sensor's unit; where `count` is
        0 the sums are 0 and the rest NaN.
    missing: batches of this minute known to be lost; `complete` is true when none is.
    """

    facility: str
    gateway: str
    minute_ms: int
    revision: int
    complete: bool
    missing: int
    batches: int
    epoch: int
    catalogue: int
    traceparent: str
    sensor: npt.NDArray[np.uint32] | None
    count: Counts
    sum: Floats
    sum_sq: Floats
    min: Floats
    max: Floats
    first: Floats
    last: Floats
    bad: Counts

    @property
    def key(self) -> str:
        """Key of the record in topic `rollups`: facility/gateway."""
        return f"{self.facility}/{self.gateway}"

    def readings(self) -> int:
        """Readings that the minute holds, good and bad."""
        return int(self.count.sum()) + int(self.bad.sum())

    def same_as(self, other: MinuteRollup) -> bool:
        """Equal in every header field and, to the bit, in every column."""
        return all(
            _bits(getattr(self, f.name)) == _bits(getattr(other, f.name)) for f in fields(self)
        )


def _bits(value: object) -> object:
    return value.tobytes() if isinstance(value, np.ndarray) else value


def encode(rollup: MinuteRollup) -> bytes:
    """The rollup as one Arrow IPC stream, header as schema metadata."""
    present = [name for name in COLUMNS if getattr(rollup, name) is not None]
    header = {name: str(getattr(rollup, name)) for name in HEADER[1:]}
    header |= {"contract": CONTRACT, "complete": "true" if rollup.complete else "false"}
    types = [pa.from_numpy_dtype(np.dtype(COLUMNS[name])) for name in present]
    schema = pa.schema(
        [pa.field(n, t, nullable=False) for n, t in zip(present, types, strict=True)],
        metadata=header,
    )
    arrays = [pa.array(getattr(rollup, n), t) for n, t in zip(present, types, strict=True)]
    return encode_stream(schema, arrays)


def decode(data: bytes) -> MinuteRollup:
    """Read a rollup. Raises: ValueError: not a rollup of this version."""
    try:
        reader, header = open_stream(data, CONTRACT)
        record = reader.read_next_batch()
        record.validate()
        columns: dict[str, Any] = {
            name: record[name].to_numpy() if name in record.schema.names else None
            for name in COLUMNS
        }
        numbers = ("minute_ms", "revision", "missing", "batches", "epoch", "catalogue")
        values: dict[str, Any] = {name: int(header[name]) for name in numbers}
        values |= {name: header[name] for name in ("facility", "gateway", "traceparent")}
        return MinuteRollup(complete=header["complete"] == "true", **values, **columns)
    except (pa.ArrowException, KeyError, OSError, StopIteration) as error:
        raise ValueError(f"not a rollup: {error}") from None
