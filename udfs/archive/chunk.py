"""A gateway's minute as one record: all its readings by sensor, with the table of its batches.

    chunk = collect("plant-07", "gw-1", minute_ms, 1, True, 0, batches)
    data = encode(chunk)
    chunk = decode(data)

Nothing is lost: every bit of every value, each reading's time and quality, and which batch it came
in. `Chunk.fingerprint` is the sum of the fingerprints of what was collected.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from udfs.archive.gather import arrangement, gathered
from udfs.archive.packing import Reader, Writer, within
from udfs.archive.series import read_series, write_series
from udfs.archive.values import read_values, write_values
from udfs.batch import Batch, Lane
from udfs.fingerprint import fingerprint_of

MAX_BATCHES = 1 << 16
MAX_READINGS = 1 << 24

Longs = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Slots = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int32] | None
Qualities = npt.NDArray[np.uint8] | None


@dataclass(frozen=True, eq=False, slots=True)
class Batches:
    """The b batches of a chunk, in the order of their numbers; int64 arrays of shape (b,).

    time_ms, sent_ms: UTC epoch milliseconds. backlog: bool, shape (b,). traceparent: b texts.
    """

    epoch: Longs
    sequence: Longs
    time_ms: Longs
    sent_ms: Longs
    catalogue: Longs
    backlog: npt.NDArray[np.bool_]
    traceparent: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.epoch)

    @staticmethod
    def of(parts: Sequence[Batch]) -> Batches:
        """The table of these batches."""

        def column(name: str) -> Longs:
            return np.array([getattr(part, name) for part in parts], np.int64)

        return Batches(
            epoch=column("epoch"),
            sequence=column("sequence"),
            time_ms=column("time_ms"),
            sent_ms=column("sent_ms"),
            catalogue=column("catalogue"),
            backlog=np.array([part.lane == Lane.BACKLOG for part in parts], np.bool_),
            traceparent=tuple(part.traceparent for part in parts),
        )


@dataclass(frozen=True, eq=False, slots=True)
class Chunk:
    """n readings of a gateway's minute, ascending by slot, then batch, then place in the batch.

    minute_ms: its start, UTC epoch milliseconds. missing: batches known to be lost.
    sensor: uint32 slots, shape (n,). batch: uint16, row of `batches`, shape (n,).
    value: float64, shape (n,). offset_ms: int32 after the batch's time, shape (n,); None is 0.
    quality: uint8 `Quality`, shape (n,); None means all good.
    """

    facility: str
    gateway: str
    minute_ms: int
    revision: int
    complete: bool
    missing: int
    batches: Batches
    sensor: Slots
    batch: npt.NDArray[np.uint16]
    value: Floats
    offset_ms: Offsets
    quality: Qualities

    def __len__(self) -> int:
        return len(self.value)

    def times_ms(self) -> Longs:
        """When each reading was taken, UTC epoch milliseconds, shape (n,)."""
        times = self.batches.time_ms[self.batch]
        return times if self.offset_ms is None else times + self.offset_ms

    def fingerprint(self) -> int:
        """Sum of the fingerprints of the batches' readings, modulo 2^64, as the ledger has it."""
        return fingerprint_of(self.sensor, self.times_ms(), self.value, self.quality)


def collect(
    facility: str,
    gateway: str,
    minute_ms: int,
    revision: int,
    complete: bool,
    missing: int,
    parts: Sequence[Batch],
) -> Chunk:
    """The readings of batches as one chunk.

    Args: parts: in the order of their numbers, each with readings of this minute only.
    Raises: ValueError: more than MAX_BATCHES batches.
    """
    if len(parts) > MAX_BATCHES:
        raise ValueError(f"{len(parts)} batches; a chunk holds at most {MAX_BATCHES}")
    sensor, batch, arrange = arrangement(parts)
    return Chunk(
        facility, gateway, minute_ms, revision, complete, missing, Batches.of(parts), sensor, batch,
        value=arrange([part.value for part in parts]),
        offset_ms=gathered(arrange, parts, "offset_ms", np.int32),
        quality=gathered(arrange, parts, "quality", np.uint8),
    )  # fmt: skip


_MAGIC = b"HIOC"
_VERSION = 1
_HEAD = struct.Struct("<4sBI")  # magic, version, crc32 of all that follows
_TRUTH = (0, 1)


def encode(chunk: Chunk) -> bytes:
    """The chunk as compressed bytes that say themselves what they are.

    Raises: ValueError: readings are not ascending by slot and batch, or more than MAX_READINGS.
    """
    writer = Writer()
    writer.text(chunk.facility)
    writer.text(chunk.gateway)
    for number in (chunk.minute_ms, chunk.revision, chunk.complete, chunk.missing):
        writer.number(number)
    _write_batches(writer, chunk.batches)
    starts = _write_rows(writer, chunk)
    write_values(writer, chunk.value, starts)
    writer.number(chunk.offset_ms is not None)
    if chunk.offset_ms is not None:
        write_series(writer, chunk.offset_ms.astype(np.int64), starts)
    writer.number(chunk.quality is not None)
    if chunk.quality is not None:
        writer.column(chunk.quality.astype(np.int64), usual=0)
    body = writer.packed()
    return _HEAD.pack(_MAGIC, _VERSION, zlib.crc32(body)) + body


def decode(data: bytes) -> Chunk:
    """The chunk of these bytes.

    Raises: ValueError: not a chunk, damaged, or of a newer version.
    """
    reader = Reader(_body(data))
    head = (reader.text(), reader.text(), reader.number(), reader.number())
    complete, missing = bool(reader.number(*_TRUTH)), reader.number()
    batches = _read_batches(reader)
    sensor, batch, counts = _read_rows(reader, len(batches))
    value = read_values(reader, counts)
    offset_ms = quality = None
    if reader.number(*_TRUTH):
        offset_ms = within(read_series(reader, counts), -(2**31), 2**31 - 1).astype(np.int32)
    if reader.number(*_TRUTH):
        quality = within(reader.column(len(value)), 0, 255).astype(np.uint8)
    reader.end()
    return Chunk(*head, complete, missing, batches, sensor, batch, value, offset_ms, quality)


def _body(data: bytes) -> bytes:
    if len(data) < _HEAD.size:
        raise ValueError(f"{len(data)} bytes are no chunk")
    magic, version, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError(f"it begins with {magic!r}, a chunk with {_MAGIC!r}")
    if version != _VERSION:
        raise ValueError(f"a chunk of version {version}; this reader knows {_VERSION}")
    body = data[_HEAD.size :]
    if zlib.crc32(body) != crc:
        raise ValueError("the chunk is damaged: its checksum is another")
    return body


def _write_batches(writer: Writer, batches: Batches) -> None:
    writer.number(len(batches))
    for column in (batches.epoch, batches.sequence, batches.time_ms, batches.sent_ms):
        writer.progression(column)
    writer.progression(batches.catalogue)
    writer.column(batches.backlog.astype(np.int64), usual=0)
    writer.column(np.array([len(text) for text in batches.traceparent], np.int64), usual=0)
    writer.text("".join(batches.traceparent))


def _read_batches(reader: Reader) -> Batches:
    count = reader.number(0, MAX_BATCHES)
    epoch, sequence, time_ms, sent_ms, catalogue = (reader.progression(count) for _ in range(5))
    backlog = within(reader.column(count), *_TRUTH).astype(np.bool_)
    lengths, text = reader.column(count), reader.text()
    ends = np.cumsum(within(lengths, 0, len(text))).tolist()
    if (ends[-1] if ends else 0) != len(text):
        raise ValueError("the lengths of the traceparents are not those of their text")
    traceparent = tuple(text[a:b] for a, b in pairwise([0, *ends]))
    return Batches(epoch, sequence, time_ms, sent_ms, catalogue, backlog, traceparent)


def _write_rows(writer: Writer, chunk: Chunk) -> Rows:
    """Write which readings are whose; gives where each sensor's readings begin, shape (s,)."""
    n, sensor, batch = len(chunk), chunk.sensor, chunk.batch.astype(np.int64)
    if n > MAX_READINGS:
        raise ValueError(f"{n} readings; a chunk holds at most {MAX_READINGS}")
    starts = np.flatnonzero(np.r_[n > 0, sensor[1:] != sensor[:-1]][:n])
    steps = np.diff(
        batch, prepend=0
    )  # of batches, 1 is usual: the first of a sensor as if after -1
    steps[starts] = batch[starts] + 1
    slots = sensor[starts].astype(np.int64)
    if (np.diff(slots) <= 0).any() or (steps < 0).any():
        raise ValueError("readings must ascend by slot, then batch")
    writer.number(n)
    writer.number(len(starts))
    writer.progression(slots)
    writer.column(np.diff(starts, append=n), usual=len(chunk.batches))
    writer.column(steps, usual=1)
    return starts


def _read_rows(reader: Reader, batches: int) -> tuple[Slots, npt.NDArray[np.uint16], Rows]:
    """Slots and rows of batches, shape (n,), and how many readings each sensor has, shape (s,)."""
    n = reader.number(0, MAX_READINGS)
    slots = within(reader.progression(reader.number(0, n)), 0, 2**32 - 1)
    counts = within(reader.column(len(slots)), 1, n)
    if (np.diff(slots) <= 0).any() or int(counts.sum()) != n:
        raise ValueError("the sensors do not ascend, or do not have all readings")
    steps = within(reader.column(n), 0, batches)
    rows = np.cumsum(steps)
    starts = np.cumsum(counts) - counts
    rows -= np.repeat(rows[starts] - steps[starts] + 1, counts)
    within(rows, 0, batches - 1)
    return np.repeat(slots.astype(np.uint32), counts), rows.astype(np.uint16), counts
