"""The batch contract, version 1: one gateway's readings of one tick, as one Arrow record.

    batch = Batch("plant-07", "gw-1", epoch=1, sequence=42, time_ms=..., value=np.array([...]))
    data = encode(batch)                 # bytes of one Kafka record, 8 bytes a reading
    batch = decode(data)                 # columns are views of the bytes, nothing is copied
    check(batch, facility="plant-07", sensors=5000, now_ms=...)

`decode` and `check` raise `Refused` with one reason of a short fixed list, so that a bad batch
becomes a dead letter and never an exception of a job. infra/contracts/readings.yaml is the same
contract as data; a test holds the two together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.arrow import body_is_plain, encode_stream

CONTRACT = "hardiot.readings.v1"

MAX_BATCH_BYTES = 2 * 1024 * 1024
MAX_FUTURE_MS = 5 * 60 * 1000
# a batch is one tick: its readings lie within this span after time_ms
MAX_OFFSET_MS = 10_000

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Quality:
    """Quality of a reading, as uint8. Only GOOD and CLOCK_REPAIRED readings enter a sum."""

    GOOD, UNCERTAIN, BAD, STUCK, CLOCK_REPAIRED = range(5)


class Lane(StrEnum):
    """How a batch travels: as it happens, or as replay after an outage."""

    LIVE = "live"
    BACKLOG = "backlog"


class Reason(StrEnum):
    """Why a record is refused. The value is the `reason` of the dead letter and of the metric."""

    NOT_ARROW = "not_arrow"
    UNKNOWN_CONTRACT = "unknown_contract"
    BAD_HEADER = "bad_header"
    BAD_COLUMNS = "bad_columns"
    WRONG_FACILITY = "wrong_facility"
    UNKNOWN_GATEWAY = "unknown_gateway"
    UNKNOWN_CATALOGUE = "unknown_catalogue"
    SLOT_OUT_OF_RANGE = "slot_out_of_range"
    SLOTS_NOT_ASCENDING = "slots_not_ascending"
    TOO_LARGE = "too_large"
    FUTURE_TIME = "future_time"
    BAD_LEDGER = "bad_ledger"
    LATE = "late"


class Refused(Exception):
    """A record that the contract does not admit. Its text says what was found, what is allowed."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def usable(value: Floats, quality: npt.NDArray[np.uint8] | None) -> Bools | None:
    """Which readings may enter a sum, shape (n,); None when all may, the usual case."""
    finite: Bools = np.isfinite(value)
    if quality is not None:
        finite &= (quality == Quality.GOOD) | (quality == Quality.CLOCK_REPAIRED)
    return None if finite.all() else finite


@dataclass(slots=True)
class Batch:
    """Readings of one gateway and one tick; n of them, ascending by sensor, then time.

    value: float64, shape (n,), each in its sensor's own unit.
    sensor: uint32 slots in the catalogue, shape (n,); None means 0, 1, 2, ...
    offset_ms: int32, reading time minus `time_ms`, shape (n,); None means 0. From 0 to below
        MAX_OFFSET_MS, so that a batch holds nothing older than `time_ms` and minutes close on time.
    quality: uint8 `Quality`, shape (n,); None means all good.
    time_ms, sent_ms: UTC epoch milliseconds; `time_ms` is the start of the tick.
    """

    facility: str
    gateway: str
    epoch: int
    sequence: int
    time_ms: int
    value: Floats
    sensor: npt.NDArray[np.uint32] | None = None
    offset_ms: npt.NDArray[np.int32] | None = None
    quality: npt.NDArray[np.uint8] | None = None
    sent_ms: int = 0
    lane: str = Lane.LIVE
    catalogue: int = 1
    traceparent: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.value)

    def good(self) -> Bools | None:
        """Which readings may enter a sum, shape (n,); None when all may, the usual case."""
        return usable(self.value, self.quality)

    def slots(self) -> npt.NDArray[np.uint32]:
        """The slot of each reading, shape (n,)."""
        return self.sensor if self.sensor is not None else np.arange(len(self), dtype=np.uint32)


_FIELDS = {
    "value": pa.field("value", pa.float64(), nullable=False),
    "sensor": pa.field("sensor", pa.uint32(), nullable=False),
    "offset_ms": pa.field("offset_ms", pa.int32(), nullable=False),
    "quality": pa.field("quality", pa.uint8(), nullable=False),
}
_DTYPES = {"value": "<f8", "sensor": "<u4", "offset_ms": "<i4", "quality": "u1"}
_NUMBERS = ("epoch", "sequence", "time_ms", "sent_ms", "catalogue")
_KEYS = {
    "contract", "facility", "gateway", "epoch", "sequence", "time_ms", "sent_ms", "lane",
    "catalogue", "traceparent",
}  # fmt: skip


def encode(batch: Batch) -> bytes:
    """The batch as one Arrow IPC stream: a schema with the header as metadata, one record batch."""
    columns = [(name, getattr(batch, name)) for name in _FIELDS]
    present = [(name, array) for name, array in columns if array is not None]
    schema = pa.schema([_FIELDS[name] for name, _ in present], metadata=_header(batch))
    arrays = [pa.array(array, type=_FIELDS[name].type) for name, array in present]
    return encode_stream(schema, arrays)


def _header(batch: Batch) -> dict[str, str]:
    header = {"contract": CONTRACT, "facility": batch.facility, "gateway": batch.gateway}
    header |= {name: str(getattr(batch, name)) for name in _NUMBERS}
    header |= {"lane": str(batch.lane), "traceparent": batch.traceparent}
    return header | batch.extra


def decode(data: bytes, max_bytes: int = MAX_BATCH_BYTES) -> Batch:
    """Read a batch. Columns are views of `data`; unknown columns and keys are ignored.

    Raises: Refused: too_large, not_arrow, unknown_contract, bad_header or bad_columns.
    """
    if len(data) > max_bytes:
        raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes; at most {max_bytes} are allowed")
    try:
        reader = pa.ipc.open_stream(data)
        schema = reader.schema
        header = _read_header(schema.metadata or {})
        known = _known_columns(schema)
        if not body_is_plain(data):
            raise Refused(Reason.BAD_COLUMNS, "compressed body; compress the Kafka record instead")
        record = reader.read_next_batch()
        record.validate()  # lengths may lie, and PyArrow would read past the end of the buffers
        columns: dict[str, Any] = {n: _view(record.column(i), n) for n, i in known.items()}
    except (pa.ArrowException, StopIteration, OSError, ValueError) as error:
        raise Refused(Reason.NOT_ARROW, f"not one Arrow record batch: {str(error)[:200]}") from None
    return Batch(**header, **columns)


def _read_header(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    try:
        header: dict[str, str] = {k.decode(): v.decode() for k, v in metadata.items()}
    except UnicodeDecodeError:
        raise Refused(Reason.BAD_HEADER, "the metadata is not UTF-8") from None
    contract = header.get("contract", "")
    if contract != CONTRACT:
        raise Refused(
            Reason.UNKNOWN_CONTRACT, f'contract "{contract[:80]}"; this reader knows {CONTRACT}'
        )
    lane = header.get("lane", "")
    if lane not in ("live", "backlog"):
        raise Refused(Reason.BAD_HEADER, f'lane "{lane[:80]}"; allowed: live, backlog')
    fields: dict[str, Any] = {"lane": lane, "traceparent": header.get("traceparent", "")}
    for name in ("facility", "gateway"):
        if not NAME.fullmatch(header.get(name, "")):
            raise Refused(Reason.BAD_HEADER, f"{name} is missing or is not a lower-case name")
        fields[name] = header[name]
    for name in _NUMBERS:
        text = header.get(name, "")
        # 18 digits fit an int64; int() would also take "+1", " 1" and "1_0"
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Refused(Reason.BAD_HEADER, f"{name} is missing or not a whole number")
        fields[name] = int(text)
    if len(header) > len(_KEYS):
        fields["extra"] = {k: v for k, v in header.items() if k not in _KEYS}
    return fields


def _known_columns(schema: pa.Schema) -> dict[str, int]:
    """Where the columns are that this contract knows."""
    known: dict[str, int] = {}
    for index, name in enumerate(schema.names):
        expected = _FIELDS.get(name)
        if expected is None:
            continue
        found = schema.field(index).type
        if found != expected.type:
            raise Refused(Reason.BAD_COLUMNS, f"{name} is {found!s:.80}, not {expected.type}")
        if name in known:
            raise Refused(Reason.BAD_COLUMNS, f"column {name} is there twice")
        known[name] = index
    if "value" not in known:
        raise Refused(Reason.BAD_COLUMNS, "there is no column value")
    return known


def _view(column: pa.Array, name: str) -> npt.NDArray[np.generic]:
    if column.null_count:
        if name != "value":
            raise Refused(Reason.BAD_COLUMNS, f"{name} has nulls")
        filled: npt.NDArray[np.generic] = column.to_numpy(zero_copy_only=False)  # null becomes NaN
        return filled
    if not len(column):
        return np.empty(0, _DTYPES[name])
    return np.frombuffer(column.buffers()[1], _DTYPES[name], len(column), column.offset)


def check(batch: Batch, facility: str, sensors: int, now_ms: int) -> None:
    """Hold a decoded batch against what is known of its gateway.

    Args: facility: the one that the topic's name gives. sensors: slots of the batch's catalogue.
        now_ms: UTC epoch milliseconds at the reader.
    Raises: Refused: wrong_facility, future_time, slot_out_of_range, slots_not_ascending or
        bad_columns.
    """
    if batch.facility != facility:
        raise Refused(
            Reason.WRONG_FACILITY, f"the batch names {batch.facility}, its topic {facility}"
        )
    ahead_ms = batch.time_ms - now_ms
    if ahead_ms > MAX_FUTURE_MS:
        raise Refused(
            Reason.FUTURE_TIME, f"{ahead_ms} ms in the future; {MAX_FUTURE_MS} are allowed"
        )
    _check_slots(batch, sensors)
    _check_offsets(batch, now_ms)


def _check_slots(batch: Batch, sensors: int) -> None:
    slots = batch.sensor
    last = len(batch) - 1 if slots is None or not len(slots) else int(slots[-1])
    if slots is not None and len(slots) > 1 and (slots[1:] < slots[:-1]).any():
        raise Refused(Reason.SLOTS_NOT_ASCENDING, "slots must ascend by sensor, then time")
    if last >= sensors:
        raise Refused(Reason.SLOT_OUT_OF_RANGE, f"slot {last}; the catalogue has {sensors}")


def _check_offsets(batch: Batch, now_ms: int) -> None:
    offsets = batch.offset_ms
    if offsets is None or not len(offsets):
        return
    if int(offsets.min()) < 0 or int(offsets.max()) >= MAX_OFFSET_MS:
        raise Refused(Reason.BAD_COLUMNS, f"offset_ms must be from 0 to below {MAX_OFFSET_MS}")
    if batch.time_ms + int(offsets.max()) - now_ms > MAX_FUTURE_MS:
        raise Refused(Reason.FUTURE_TIME, "a reading is more than 5 minutes in the future")
    if batch.sensor is not None and len(offsets) > 1:
        same = batch.sensor[1:] == batch.sensor[:-1]
        if (same & (offsets[1:] < offsets[:-1])).any():
            raise Refused(Reason.SLOTS_NOT_ASCENDING, "slots must ascend by sensor, then time")
