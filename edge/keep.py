"""What is kept of raw batches that a full spool must drop: their minute rollups.

    spool.roll_up = partial(roll_up, "plant-07", "gw-1")

The same windows as in the cloud. A segment begins and ends inside a minute: those two minutes are
told as they are known, provisional, each with as many batches as it holds.
"""

from __future__ import annotations

import struct

import pyarrow as pa

from edge import codec
from edge.spool.record import Stored
from udfs import rollup
from udfs.rollup import MinuteRollup
from udfs.windows import Windows

_AT_THE_END = 2**60  # wall clock after which every open minute is due
_MAX_BYTES = 64 * 1024 * 1024
_SIZE = struct.Struct("<I")


def roll_up(facility: str, gateway: str, batches: list[Stored]) -> list[tuple[bytes, int]]:
    """Rollups of raw records that follow each other: bodies for the spool, and their minutes.

    A record whose body cannot be read is left out; its minute has so many batches less.
    """
    windows = Windows(facility, gateway)
    minutes: list[MinuteRollup] = []
    for stored in batches:
        try:
            batch = codec.decode(stored.body, stored.epoch, stored.sequence, facility, gateway)
        except ValueError:
            continue
        minutes += windows.add(batch, 0).closed
    minutes += windows.provisional(_AT_THE_END)
    return [(pack(rollup.encode(minute)), minute.minute_ms) for minute in minutes]


def pack(data: bytes) -> bytes:
    """An encoded rollup as a spool body: its length, then zstd."""
    packed: bytes = pa.Codec("zstd", 3).compress(data, asbytes=True)
    return _SIZE.pack(len(data)) + packed


def unpack(body: bytes) -> bytes:
    """The encoded rollup. Raises: ValueError: not what `pack` gave."""
    try:
        (size,) = _SIZE.unpack_from(body)
        if size > _MAX_BYTES:
            raise ValueError(f"a rollup of {size} bytes")
        data: bytes = pa.Codec("zstd").decompress(body[_SIZE.size :], size, asbytes=True)
    except (struct.error, OSError, pa.ArrowException) as error:
        raise ValueError(f"not a packed rollup: {error}") from None
    return data
