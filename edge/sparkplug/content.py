"""What a payload holds, as columns; and the general way to read it, metric by metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.block import Bools, Floats, Qualities, Slots, Times, Waveform
from edge.sparkplug.messages import DataType
from edge.sparkplug.table import ARRAYS, NO_SLOT, Entry, Table
from udfs.batch import Quality

# beyond any clock, and far enough from the end of int64 to be added to
_LATEST_MS = 1 << 62
SIGNED_BITS: dict[int, int] = {
    DataType.INT8: 8,
    DataType.INT16: 16,
    DataType.INT32: 32,
    DataType.INT64: 64,
}
_NUMBERS = {"double_value", "float_value", "int_value", "long_value", "boolean_value"}
_QUALITY_KEY = "Quality"
# what a source keeps of a signal that it lost: it was right once, it is no news and proves nothing
_STALE = 500


@dataclass(slots=True)
class Content:
    """n readings, in the order of the payload, and what else was in it.

    seq: the message's number, None when absent. time_ms of the readings: the metric's own, else the
    payload's, else that of arrival. historical: bool (n,), None when none is.
    unknown: metrics that no birth explains. skipped: metrics of sensors without a usable value.
    """

    seq: int | None
    slot: Slots
    time_ms: Times
    value: Floats
    quality: Qualities
    historical: Bools | None = None
    waveforms: list[Waveform] = field(default_factory=list)
    unknown: int = 0
    skipped: int = 0


class _Rows:
    """Readings on the way to columns."""

    def __init__(self) -> None:
        self.slot: list[int] = []
        self.time_ms: list[int] = []
        self.value: list[float] = []
        self.quality: list[int] = []
        self.historical: list[bool] = []
        self.waveforms: list[Waveform] = []
        self.unknown = self.skipped = 0


def read(payload: Any, table: Table, received_ms: int) -> Content:
    """The readings of a parsed `Payload`.

    Args: received_ms: UTC epoch ms, for metrics without a time.
    """
    rows = _Rows()
    sent_ms = payload.timestamp if payload.HasField("timestamp") else received_ms
    for metric in payload.metrics:
        entry = find(metric, table)
        if entry is None:
            rows.unknown += 1
        elif entry.slot != NO_SLOT:
            _take(rows, metric, entry, sent_ms)
    historical = np.array(rows.historical, np.bool_)
    return Content(
        seq=payload.seq if payload.HasField("seq") else None,
        slot=np.array(rows.slot, np.uint32),
        time_ms=np.array(rows.time_ms, np.int64),
        value=np.array(rows.value, np.float64),
        quality=np.array(rows.quality, np.uint8),
        historical=historical if historical.any() else None,
        waveforms=rows.waveforms,
        unknown=rows.unknown,
        skipped=rows.skipped,
    )


def find(metric: Any, table: Table) -> Entry | None:
    """What the birth says of a metric: by its alias, or by its name when it has no alias."""
    if metric.HasField("alias"):
        return table.by_alias.get(metric.alias)
    return table.by_name.get(metric.name)


def _take(rows: _Rows, metric: Any, entry: Entry, sent_ms: int) -> None:
    which = metric.WhichOneof("value")
    datatype = metric.datatype or entry.datatype
    time_ms = min(metric.timestamp if metric.HasField("timestamp") else sent_ms, _LATEST_MS)
    if which == "bytes_value" and datatype in ARRAYS:
        _take_waveform(rows, metric, entry, datatype, time_ms)
    elif metric.is_null or which in _NUMBERS:
        rows.slot.append(entry.slot)
        rows.time_ms.append(time_ms)
        null = metric.is_null
        rows.value.append(np.nan if null else number(which, getattr(metric, which), datatype))
        rows.quality.append(Quality.BAD if null else quality(metric))
        rows.historical.append(metric.is_historical)
    else:
        rows.skipped += 1


def _take_waveform(rows: _Rows, metric: Any, entry: Entry, datatype: int, time_ms: int) -> None:
    dtype = np.dtype(ARRAYS[datatype])
    data = metric.bytes_value
    if metric.is_null or not data or len(data) % dtype.itemsize:
        rows.skipped += 1
        return
    samples = np.frombuffer(data, dtype).astype(np.float64)
    period_ms = property_of(metric, "samplePeriodMs", float, entry.period_ms)
    rows.waveforms.append(Waveform(entry.slot, time_ms, samples, period_ms, quality(metric)))


def number(which: str, raw: float, datatype: int) -> float:
    """A value as float64. Integers are unsigned on the wire: two's complement in the type's bits.

    Some senders write an Int8 into 8 bits, others sign-extend it to 32: the low 8 bits hold it.
    """
    bits = SIGNED_BITS.get(datatype)
    if bits is None or which not in ("int_value", "long_value"):
        return float(raw)
    low = int(raw) & ((1 << bits) - 1)
    return float(low - (1 << bits) if low >> (bits - 1) else low)


def quality(metric: Any) -> int:
    """Our quality of a metric's property `Quality`; good without one."""
    if not metric.HasField("properties"):
        return Quality.GOOD
    code = property_of(metric, _QUALITY_KEY, int, None)
    return Quality.GOOD if code is None else quality_of_code(code)


def quality_of_code(code: int) -> int:
    """OPC codes of 8 bits by their two upper ones; 500 (stale) is uncertain; all others are bad.

    Stale is not stuck: the sensor may be sound, it is the way to it that is down.
    """
    if code == _STALE:
        return Quality.UNCERTAIN
    if not 0 <= code < 256:
        return Quality.BAD
    return (Quality.BAD, Quality.UNCERTAIN, Quality.UNCERTAIN, Quality.GOOD)[code >> 6]


def property_of(metric: Any, key: str, kind: Callable[[Any], Any], default: Any) -> Any:
    """A property of a metric as `kind` (str, int, float); the default when there is none such."""
    properties = metric.properties
    for name, value in zip(properties.keys, properties.values, strict=False):
        which = value.WhichOneof("value")
        if name == key and which is not None and not value.is_null:
            found = getattr(value, which)
            try:
                return default if isinstance(found, bytes) else kind(found)  # bytes: not UTF-8
            except (TypeError, ValueError, OverflowError):
                return default
    return default
