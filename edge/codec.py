"""The body of a raw spool record: one batch in about a sixth of its size, whole in itself.

    body = Encoder().encode(batch)
    batch = decode(body, epoch, sequence, facility, gateway)     # bit for bit

Left out is what the record's header holds (epoch, sequence), what the spool itself knows (facility,
gateway), and what is decided when the batch is sent (lane, `sent_ms`).

Version 1, little-endian: header (version, flags, readings, catalogue, `time_ms`, length of the
text), text (JSON: traceparent and extra keys), then as edge/sections.py describes: sensor slots as
steps, offsets, quality, forms of the values (edge/decimals.py), the bits of values of full
precision, the numbers of all others. A column that the batch does not have is not there.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from edge.decimals import DECIMALS, DOUBLE, Floats, Forms, Numbers, join, split
from edge.sections import Reader, Words, Writer
from udfs.batch import MAX_BATCH_BYTES, Batch

VERSION = 1
MAX_READINGS = MAX_BATCH_BYTES // 8  # a value takes 8 bytes on the way to Kafka

_HEADER = struct.Struct("<BBIqqI")
_SENSOR, _OFFSET, _QUALITY = 1, 2, 4  # flags: columns that are there


class Encoder:
    """Makes bodies. It remembers how many decimals each sensor had, so that all numbers of a sensor
    are of one size; that saves a seventh. A body can be read without it.
    """

    def __init__(self) -> None:
        self._decimals = np.zeros(0, np.uint8)  # by slot

    def encode(self, batch: Batch) -> bytes:
        """The body of a batch. Raises: ValueError: more readings than one record may hold."""
        if len(batch) > MAX_READINGS:
            raise ValueError(f"{len(batch)} readings; a batch has {MAX_READINGS} at most")
        writer = Writer()
        _write_header(writer, batch)
        if batch.sensor is not None:
            steps = np.diff(batch.sensor, prepend=np.uint32(0))  # modulo 2^32
            writer.numbers(steps.astype(np.uint64))
        if batch.offset_ms is not None:
            writer.numbers(batch.offset_ms.astype(np.uint32).astype(np.uint64))
        if batch.quality is not None:
            writer.section(np.ascontiguousarray(batch.quality))
        forms, numbers = self._split(batch)
        writer.section(forms)
        _write_numbers(writer, forms, numbers)
        return writer.body()

    def _split(self, batch: Batch) -> tuple[Forms, Numbers]:
        value = np.ascontiguousarray(batch.value)
        slots, slot_count = batch.slots(), len(batch)
        if batch.sensor is not None:
            slot_count = int(slots.max(initial=0)) + 1
        if slot_count > MAX_READINGS:  # a gateway has no such slots
            return split(value)
        if slot_count > len(self._decimals):
            self._decimals = np.pad(self._decimals, (0, slot_count - len(self._decimals)))
        hint = self._decimals[slots]
        forms, numbers = split(value, hint)
        self._decimals[slots] = np.where(forms < DECIMALS, forms, hint)
        return forms, numbers


def encode(batch: Batch) -> bytes:
    """The body of one batch on its own. Raises: ValueError: as `Encoder.encode`."""
    return Encoder().encode(batch)


def decode(body: bytes, epoch: int, sequence: int, facility: str, gateway: str) -> Batch:
    """The batch as it was, of the live lane and not sent yet.

    Raises: ValueError: a newer version, or damaged; no length in it is trusted.
    """
    reader = Reader(body)
    flags, readings, header = _read_header(reader)
    columns: dict[str, Any] = {}
    if flags & _SENSOR:
        columns["sensor"] = np.cumsum(reader.numbers(readings), dtype=np.uint32)
    if flags & _OFFSET:
        columns["offset_ms"] = reader.numbers(readings).astype(np.uint32).view(np.int32)
    if flags & _QUALITY:
        columns["quality"] = reader.section(readings)
    columns["value"] = _read_values(reader, readings)
    reader.end()
    return Batch(facility, gateway, epoch, sequence, **header, **columns)


def _write_header(writer: Writer, batch: Batch) -> None:
    text = json.dumps([batch.traceparent, batch.extra], separators=(",", ":")).encode()
    columns = ((batch.sensor, _SENSOR), (batch.offset_ms, _OFFSET), (batch.quality, _QUALITY))
    flags = sum(flag for column, flag in columns if column is not None)
    numbers = (len(batch), batch.catalogue, batch.time_ms, len(text))
    writer.raw(_HEADER.pack(VERSION, flags, *numbers))
    writer.raw(text)


def _read_header(reader: Reader) -> tuple[int, int, dict[str, Any]]:
    """(flags, readings, what else the batch says of itself)."""
    (version,) = head = reader.raw(1)
    if version != VERSION:
        raise ValueError(f"body of version {version}; this gateway reads {VERSION}")
    _, flags, readings, catalogue, time_ms, length = _HEADER.unpack(
        head + reader.raw(_HEADER.size - 1)
    )
    if flags & ~(_SENSOR | _OFFSET | _QUALITY) or readings > MAX_READINGS:
        raise ValueError(f"flags {flags:#x} and {readings} readings are not those of a batch")
    traceparent, extra = _read_text(reader.raw(length))
    header = {"catalogue": catalogue, "time_ms": time_ms}
    return flags, readings, header | {"traceparent": traceparent, "extra": extra}


def _read_text(text: bytes) -> tuple[str, dict[str, str]]:
    try:
        traceparent, extra = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"a damaged text: {str(error)[:100]}") from None
    texts = [traceparent, *extra.values()] if isinstance(extra, dict) else [None]
    if not all(isinstance(item, str) for item in texts):
        raise ValueError("a damaged text: no traceparent and extra keys")
    return traceparent, extra


def _write_numbers(writer: Writer, forms: Forms, numbers: Numbers) -> None:
    double = forms == DOUBLE
    if double.any():
        bits = numbers[double].view(np.uint8).reshape(-1, 8)
        writer.section(np.ascontiguousarray(bits.T))  # signs and exponents together: they are alike
        numbers = numbers[~double]
    writer.numbers(((numbers << 1) ^ (numbers >> 63)).view(np.uint64))  # small ones of either sign


def _read_values(reader: Reader, readings: int) -> Floats:
    forms = reader.section(readings)
    double = forms == DOUBLE
    count = int(np.count_nonzero(double))
    numbers = np.empty(readings, np.int64)
    if count:
        bits = reader.section(8 * count).reshape(8, count)
        numbers[double] = np.ascontiguousarray(bits.T).view(np.int64).reshape(count)
    zigzag: Words = reader.numbers(readings - count)
    signs = -(zigzag & np.uint64(1)).view(np.int64)
    numbers[~double] = (zigzag >> np.uint64(1)).view(np.int64) ^ signs
    return join(forms, numbers)
