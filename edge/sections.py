"""Columns as bytes of a spool record, packed and read again without trusting a length.

A section is a codec byte (0 as it is, 1 zstd), the length of what is stored, and that. How many
bytes it holds when unpacked follows from what was read before it, so nothing larger is ever
allocated. Whole numbers are a count of planes and a section for each plane: all lowest bytes, then
all second bytes, and so on; alike bytes stand together, and high planes shrink to nothing.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_PLAIN, _ZSTD = 0, 1
_LEVEL = 1  # higher ones gain nothing: what is left in a plane is noise
_HEAD = struct.Struct("<BI")

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


class Writer:
    """Collects the parts of a body."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._zstd = pa.Codec("zstd", _LEVEL)

    def raw(self, data: bytes) -> None:
        """Bytes whose length the reader knows."""
        self._parts.append(data)

    def section(self, data: Bytes) -> None:
        """One section of contiguous bytes."""
        stored, codec = self._zstd.compress(data, asbytes=True), _ZSTD
        if len(stored) >= data.nbytes:
            stored, codec = data.tobytes(), _PLAIN
        self._parts += [_HEAD.pack(codec, len(stored)), stored]

    def numbers(self, numbers: Words) -> None:
        """Whole numbers, uint64, shape (n,), in as many planes as the largest needs."""
        planes = (int(numbers.max(initial=0)).bit_length() + 7) // 8
        self._parts.append(bytes([planes]))
        split = numbers.view(np.uint8).reshape(-1, 8)
        for plane in range(planes):
            self.section(np.ascontiguousarray(split[:, plane]))

    def body(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)


class Reader:
    """Takes parts in the order in which they were written. Raises: ValueError: damaged ones."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = memoryview(body), 0
        self._zstd = pa.Codec("zstd")

    def raw(self, length: int) -> bytes:
        """As many bytes as they are."""
        end = self._at + length
        if end > len(self._body):
            raise ValueError(f"the body ends early: {len(self._body)} bytes of at least {end}")
        data, self._at = self._body[self._at : end], end
        return bytes(data)

    def section(self, length: int) -> Bytes:
        """A section that holds `length` bytes."""
        codec, stored_bytes = _HEAD.unpack(self.raw(_HEAD.size))
        stored = self.raw(stored_bytes)
        if codec == _ZSTD:
            try:
                stored = self._zstd.decompress(stored, length, asbytes=True)
            except (OSError, pa.ArrowException) as error:
                raise ValueError(f"a damaged section: {str(error)[:100]}") from None
        elif codec != _PLAIN:
            raise ValueError(f"unknown codec {codec} of a section")
        if len(stored) != length:
            raise ValueError(f"a section of {len(stored)} bytes where {length} are due")
        return np.frombuffer(stored, np.uint8)

    def numbers(self, count: int) -> Words:
        """`count` whole numbers."""
        (planes,) = self.raw(1)
        if planes > 8:
            raise ValueError(f"{planes} planes; a number has 8 bytes")
        split = np.zeros((count, 8), np.uint8)
        for plane in range(planes):
            split[:, plane] = self.section(count)
        return split.view(np.uint64).reshape(count)

    def end(self) -> None:
        """Nothing is left."""
        if self._at != len(self._body):
            raise ValueError(f"{len(self._body) - self._at} bytes too many")
