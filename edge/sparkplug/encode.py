"""What devices say: births, data and deaths as bytes, for the simulator and for tests.

    encoder = DeviceEncoder(sensors, first_alias=1)
    encoder.birth(now_ms, seq=1, value=values)
    encoder.data(values, times, seq=2)             # all good: a template is patched

A device's metrics are doubles; the alias of the i-th one is `first_alias + i`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.block import Floats, Qualities, Times
from edge.registry import Sensor
from edge.sparkplug.layout import TIME_BYTES
from edge.sparkplug.messages import DataType, Payload
from edge.sparkplug.wire import scan
from udfs.batch import Quality

BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"

_CODES = {Quality.UNCERTAIN: 64, Quality.BAD: 0, Quality.STUCK: 500, Quality.CLOCK_REPAIRED: 192}
_MIN_MS, _MAX_MS = 1 << 7 * (TIME_BYTES - 1), (1 << 7 * TIME_BYTES) - 1
_SHIFTS = 7 * np.arange(TIME_BYTES)
_MORE = np.array([0x80] * (TIME_BYTES - 1) + [0], np.uint8)


class DeviceEncoder:
    """The messages of one device with n metrics."""

    def __init__(self, sensors: Sequence[Sensor], first_alias: int = 1) -> None:
        self._sensors = sensors
        self._aliases = range(first_alias, first_alias + len(sensors))
        self._templates: dict[int, _Template] = {}

    def birth(self, time_ms: int, seq: int, value: Floats | None = None) -> bytes:
        """DBIRTH. Args: value: float64 (n,), NaN where unknown; None: all are unknown."""
        payload = Payload(timestamp=time_ms, seq=seq)
        values = repeat(np.nan) if value is None else value.tolist()
        for sensor, alias, number in zip(self._sensors, self._aliases, values, strict=False):
            metric = payload.metrics.add(
                name=sensor.name, alias=alias, timestamp=time_ms, datatype=DataType.DOUBLE
            )
            _set_value(metric, number)
            _describe(metric, sensor)
        return _bytes(payload)

    def data(
        self,
        value: Floats,
        time_ms: Times,
        seq: int,
        quality: Qualities | None = None,
        metric: npt.NDArray[np.integer[Any]] | None = None,
        historical: bool = False,
    ) -> bytes:
        """DDATA of m readings.

        Args: value: float64 (m,), NaN is sent as null. time_ms: int64 (m,), UTC epoch ms. seq: 0 to
            255. quality: of `udfs.batch.Quality`, (m,); None means all good. metric: places
            of the metrics (m,); None means all n in order. historical: the device had kept them.
        """
        plain = quality is None and metric is None and not historical and len(value) > 0
        if plain and not np.isnan(value).any() and _fits(time_ms):
            length = 1 if seq < 128 else 2
            if length not in self._templates:
                self._templates[length] = _Template(self._aliases, seq)
            return self._templates[length].patch(value, time_ms, seq)
        payload = Payload(timestamp=int(time_ms.max(initial=0)), seq=seq)
        places = range(len(self._sensors)) if metric is None else metric.tolist()
        codes = repeat(Quality.GOOD) if quality is None else quality.tolist()
        rows = zip(places, time_ms.tolist(), value.tolist(), codes, strict=False)
        for place, at_ms, number, code in rows:
            made = payload.metrics.add(alias=self._aliases[place], timestamp=at_ms)
            if historical:
                made.is_historical = True
            _set_value(made, number)
            if code in _CODES:
                _add_property(made, "Quality", DataType.INT32, int_value=_CODES[code])
        return _bytes(payload)


class _Template:
    """A data message of all metrics, to be patched."""

    def __init__(self, aliases: Iterable[int], seq: int) -> None:
        payload = Payload(timestamp=_MAX_MS, seq=seq)
        for alias in aliases:
            payload.metrics.add(alias=alias, timestamp=_MAX_MS, double_value=0.0)
        data = _bytes(payload)
        found = scan(data)
        assert found is not None and found.sent is not None and found.seq is not None
        self._bytes = np.frombuffer(data, np.uint8).copy()
        times = [found.sent, *(spans["time"] for spans in found.metrics)]
        self._time_at = np.array(times)[:, :1] + np.arange(TIME_BYTES)
        values = [spans["double_value"] for spans in found.metrics]
        self._value_at = np.array(values)[:, :1] + np.arange(8)
        self._seq_at = slice(*found.seq)

    def patch(self, value: Floats, time_ms: Times, seq: int) -> bytes:
        """The message with other values and times; it was sent at the newest of these."""
        buffer = self._bytes
        times = np.concatenate(([time_ms.max()], time_ms))
        buffer[self._time_at] = (times[:, None] >> _SHIFTS) & 0x7F | _MORE
        buffer[self._value_at] = np.ascontiguousarray(value, "<f8").view(np.uint8).reshape(-1, 8)
        buffer[self._seq_at] = [seq] if seq < 128 else [seq & 0x7F | 0x80, seq >> 7]
        return buffer.tobytes()


def node_birth(time_ms: int, bd_seq: int, seq: int = 0) -> bytes:
    """NBIRTH of an edge node that has no metrics of its own."""
    payload = Payload(timestamp=time_ms, seq=seq)
    _add_bd_seq(payload, bd_seq, time_ms)
    payload.metrics.add(
        name=REBIRTH, timestamp=time_ms, datatype=DataType.BOOLEAN, boolean_value=False
    )
    return _bytes(payload)


def node_death(bd_seq: int, time_ms: int | None = None) -> bytes:
    """NDEATH: the will of the session that began with the NBIRTH of that `bd_seq`."""
    payload = Payload() if time_ms is None else Payload(timestamp=time_ms)
    _add_bd_seq(payload, bd_seq, time_ms)
    return _bytes(payload)


def device_death(time_ms: int, seq: int) -> bytes:
    """DDEATH."""
    return _bytes(Payload(timestamp=time_ms, seq=seq))


def rebirth_command(time_ms: int) -> bytes:
    """NCMD that asks an edge node for all its births."""
    payload = Payload(timestamp=time_ms)
    payload.metrics.add(
        name=REBIRTH, timestamp=time_ms, datatype=DataType.BOOLEAN, boolean_value=True
    )
    return _bytes(payload)


def _fits(time_ms: Times) -> bool:
    return bool(time_ms.min() >= _MIN_MS and time_ms.max() <= _MAX_MS)


def _add_bd_seq(payload: Any, bd_seq: int, time_ms: int | None) -> None:
    metric = payload.metrics.add(name=BD_SEQ, datatype=DataType.INT64, long_value=bd_seq)
    if time_ms is not None:
        metric.timestamp = time_ms


def _set_value(metric: Any, value: float) -> None:
    if np.isnan(value):
        metric.is_null = True
    else:
        metric.double_value = value


def _describe(metric: Any, sensor: Sensor) -> None:
    texts = {"engUnit": sensor.unit, "kind": sensor.kind}
    texts |= {"assetType": sensor.asset_type, "tags": sensor.tags}
    for key, text in texts.items():
        if text:
            _add_property(metric, key, DataType.STRING, string_value=text)
    numbers = {"engLow": sensor.low, "engHigh": sensor.high, "samplePeriodMs": sensor.period_ms}
    for key, number in numbers.items():
        if np.isfinite(number):
            _add_property(metric, key, DataType.DOUBLE, double_value=number)


def _add_property(metric: Any, key: str, datatype: int, **value: Any) -> None:
    metric.properties.keys.append(key)
    metric.properties.values.add(type=datatype, **value)


def _bytes(payload: Any) -> bytes:
    data: bytes = payload.SerializeToString()
    return data
