"""A gateway's minute as one record: all its readings by sensor, with the table of its batches.

    chunk = collect("plant-07", "gw-1", minute_ms, 1, True, 0, batches)
    data = encode(chunk)
    chunk = decode(data)

Nothing is lost: every bit of every value, each reading's time and quality, and which batch it came
in. `Chunk.fingerprint` is the sum of the fingerprints of what was collected.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.batch import Batch, Lane
from udfs.fingerprint import fingerprint_of

Longs = npt.NDArray[np.int64]
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
        names = ("epoch", "sequence", "time_ms", "sent_ms", "catalogue")
        return Batches(
            *(np.array([getattr(part, name) for part in parts], np.int64) for name in names),
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
    """
    sensor = np.concatenate([np.zeros(0, np.uint32), *(part.slots() for part in parts)])
    order = np.argsort(sensor, kind="stable")
    lengths = [len(part) for part in parts]
    return Chunk(
        facility, gateway, minute_ms, revision, complete, missing, Batches.of(parts),
        sensor[order],
        np.repeat(np.arange(len(parts), dtype=np.uint16), lengths)[order],
        np.concatenate([np.zeros(0), *(part.value for part in parts)])[order],
        _column(parts, "offset_ms", np.int32, order),
        _column(parts, "quality", np.uint8, order),
    )  # fmt: skip


def _column(parts: Sequence[Batch], name: str, dtype: Any, order: npt.NDArray[np.intp]) -> Any:
    columns = [getattr(part, name) for part in parts]
    if all(column is None or not column.any() for column in columns):
        return None
    filled = [
        np.zeros(len(p), dtype) if c is None else c for p, c in zip(parts, columns, strict=True)
    ]
    return np.concatenate(filled)[order]


_DTYPES = {"sensor": "<u4", "batch": "<u2", "value": "<f8", "offset_ms": "<i4", "quality": "u1"}
_NAMES = ("epoch", "sequence", "time_ms", "sent_ms", "catalogue", "backlog")


def encode(chunk: Chunk) -> bytes:
    """The chunk as bytes."""
    head = {
        n: getattr(chunk, n)
        for n in ("facility", "gateway", "minute_ms", "revision", "complete", "missing")
    }
    head |= {n: getattr(chunk.batches, n).tolist() for n in _NAMES}
    head |= {"traceparent": chunk.batches.traceparent, "n": len(chunk)}
    present = [n for n in _DTYPES if getattr(chunk, n) is not None]
    text = json.dumps(head | {"columns": present}).encode()
    body = b"".join(
        [
            struct.pack("<I", len(text)),
            text,
            *(getattr(chunk, n).astype(_DTYPES[n]).tobytes() for n in present),
        ]
    )
    packed = pa.Codec("zstd", 1).compress(body, asbytes=True)
    return b"HIO0" + struct.pack("<II", len(body), zlib.crc32(packed)) + packed


def decode(data: bytes) -> Chunk:
    """The chunk of these bytes.

    Raises: ValueError: not a chunk, damaged, or of a newer version.
    """
    if data[:4] != b"HIO0":
        raise ValueError("not a chunk")
    size, crc = struct.unpack_from("<II", data, 4)
    if zlib.crc32(data[12:]) != crc:
        raise ValueError("the chunk is damaged")
    body = pa.Codec("zstd", 1).decompress(data[12:], size, asbytes=True)
    length = struct.unpack_from("<I", body)[0]
    head = json.loads(body[4 : 4 + length])
    n, at, columns = head.pop("n"), 4 + length, dict.fromkeys(_DTYPES)
    for name in head.pop("columns"):
        columns[name] = np.frombuffer(body, _DTYPES[name], n, at)
        at += columns[name].nbytes
    table = [np.array(head.pop(name), np.int64) for name in _NAMES]
    table[-1] = table[-1].astype(np.bool_)
    head |= {"batches": Batches(*table, tuple(head.pop("traceparent")))}
    return Chunk(**head, **columns)
