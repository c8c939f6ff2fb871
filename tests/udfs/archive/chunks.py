"""Batches to make chunks of, and what is compared of a chunk."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from udfs.archive.chunk import Chunk, collect
from udfs.batch import Batch

MINUTE_MS = 1_750_000_020_000
COLUMNS = ("sensor", "batch", "value", "offset_ms", "quality")
NUMBERS = ("epoch", "sequence", "time_ms", "sent_ms", "catalogue")

_HEAD = struct.Struct("<4sBI")
_ZSTD = pa.Codec("zstd", 1)


def batch(sequence: int, value, **rest) -> Batch:
    time_ms = rest.pop("time_ms", MINUTE_MS + 1000 * sequence)
    return Batch("plant-07", "gw-1", 1, sequence, time_ms, np.array(value, float), **rest)


def slots(*numbers: int):
    return np.array(numbers, np.uint32)


def chunk_of(parts: list[Batch]) -> Chunk:
    return collect("plant-07", "gw-1", MINUTE_MS, 1, True, 0, parts)


def contents(chunk: Chunk) -> dict:
    """All of a chunk, to the bit."""
    columns = {name: getattr(chunk, name) for name in COLUMNS}
    columns |= {name: getattr(chunk.batches, name) for name in (*NUMBERS, "backlog")}
    names = ("facility", "gateway", "minute_ms", "revision", "complete", "missing")
    return (
        {name: getattr(chunk, name) for name in names}
        | {"traceparent": chunk.batches.traceparent}
        | {k: None if c is None else (c.dtype.str, c.tobytes()) for k, c in columns.items()}
    )


def sealed(body: bytes) -> bytes:
    """A body with the head that belongs to it."""
    return _HEAD.pack(b"HIOC", 1, zlib.crc32(body)) + body


def with_small(data: bytes, edit: Callable[[bytearray], object]) -> bytes:
    """A chunk whose small sections somebody has edited, with a right checksum."""
    body = data[_HEAD.size :]
    count, size, packed = struct.unpack_from("<III", body)
    head = 8 + 4 * count
    small = bytearray(_ZSTD.decompress(body[head : head + packed], size, asbytes=True))
    edit(small)
    frame = _ZSTD.compress(bytes(small), asbytes=True)
    sizes = struct.pack("<III", count, len(small), len(frame)) + body[12:head]
    return sealed(sizes + frame + body[head + packed :])


values = st.one_of(
    st.integers(-(10**5), 10**5).map(lambda cents: cents / 100),
    st.floats(),
    st.sampled_from([-0.0, 0.0, np.inf, 20.0]),
    st.integers(0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF).map(
        lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0]
    ),
)


@st.composite
def batches(draw) -> list[Batch]:
    """Batches of a minute as they may be: other sensors in each, or all the same."""
    count = draw(st.integers(0, 5))
    same = draw(st.lists(st.integers(0, 9), unique=True, max_size=6).map(sorted))
    regular = draw(st.booleans())
    parts = []
    for sequence in range(count):
        own = same if regular else sorted(draw(st.lists(st.integers(0, 2**32 - 1), max_size=6)))
        n = len(own)
        optional = {
            "sensor": np.array(own, np.uint32),
            "offset_ms": np.array(
                draw(st.lists(st.integers(0, 9999), min_size=n, max_size=n)), "i4"
            ),
            "quality": np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), "u1"),
        }
        kept = {name: c for name, c in optional.items() if draw(st.booleans())}
        parts.append(
            batch(
                sequence + draw(st.integers(0, 10**17)),
                draw(st.lists(values, min_size=n, max_size=n)),
                time_ms=MINUTE_MS + draw(st.integers(0, 59_999)),
                sent_ms=draw(st.integers(0, 10**17)),
                lane=draw(st.sampled_from(["live", "backlog"])),
                catalogue=draw(st.integers(1, 3)),
                traceparent=draw(st.text(max_size=5)),
                **kept,
            )
        )
    return parts
