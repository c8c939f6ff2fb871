"""Columns of whole numbers as bytes, small where they are regular; one section after the other.

    writer = Writer()
    writer.progression(time_ms)        # evenly spaced: a few bytes, however long
    writer.column(quality, usual=0)    # all usual: a few bytes; few that are not: those alone
    reader = Reader(writer.packed())
    time_ms, quality = reader.progression(60), reader.column(300_000)

Byte k of all numbers of a column stands together, so that what is zero or alike is side by side,
and is compressed with zstd. How many numbers a column has is for the reader to know: nothing is
unpacked to a size that only the bytes name, but for small sections and texts, which have limits.
"""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

# so many numbers, or one in so many, may differ from the usual one and still be listed one by one
_FEW = 8

_LISTED, _PLAIN = 0, 1

# level 1: what is left to find here are frequencies of bytes, which higher levels know no better
_CODEC = pa.Codec("zstd", 1)
_LARGE = 1024  # bytes from which on a section is compressed by itself
MAX_SECTIONS = 1 << 14
MAX_SMALL_BYTES = MAX_SECTIONS * _LARGE
MAX_TEXT_BYTES = 1 << 28
_ONE = np.uint64(1)


class Writer:
    """Sections in the making."""

    def __init__(self) -> None:
        self._small: list[bytes] = []
        self._large: list[bytes] = []

    def packed(self) -> bytes:
        """All sections, compressed: the small ones together, each large one by itself."""
        small = b"".join(self._small)
        frames = [_CODEC.compress(data, asbytes=True) for data in (small, *self._large)]
        sizes = [len(small), *map(len, frames)]
        head = struct.pack(f"<I{len(sizes)}I", len(frames), *sizes)
        return head + b"".join(frames)

    def raw(self, data: bytes) -> None:
        """Bytes whose length the reader will know."""
        (self._small if len(data) < _LARGE else self._large).append(data)

    def number(self, value: int) -> None:
        """One whole number of 64 bits, with sign."""
        self.raw(struct.pack("<q", value))

    def text(self, text: str) -> None:
        data = text.encode()
        self.number(len(data))
        self.raw(data)

    def words(self, words: Words) -> None:
        """Numbers without sign, shape (n,), with as many bytes each as the largest needs."""
        width = (int(words.max()).bit_length() + 7) // 8 if len(words) else 0
        self.number(width)
        for place in range(width):
            self.raw(byte_of(words, place))

    def column(self, ints: Longs, usual: int) -> None:
        """Whole numbers, shape (n,), of which many may be `usual`."""
        self.number(usual)
        odd = np.flatnonzero(ints != usual)
        form = _LISTED if len(odd) * _FEW <= len(ints) else _PLAIN
        self.number(form)
        if form == _LISTED:
            self.number(len(odd))
            self.words(np.diff(odd, prepend=-1).astype(np.uint64))
            ints = ints[odd]
        self.words(zigzag(ints - usual))

    def progression(self, ints: Longs) -> None:
        """Whole numbers, shape (n,), of which each may be the one before plus the same step."""
        steps = np.diff(ints, prepend=0)
        self.column(steps, int(steps[1]) if len(steps) > 1 else 0)


class Reader:
    """The sections of a `Writer`, in the same order.

    Raises (all methods): ValueError: there are fewer bytes than that, or they make no sense.
    """

    def __init__(self, data: bytes) -> None:
        (count,) = struct.unpack_from("<I", _enough(data, 4))
        if not 1 <= count <= MAX_SECTIONS:
            raise ValueError(f"{count} sections; at most {MAX_SECTIONS} are possible")
        at = 8 + 4 * count
        size, *lengths = struct.unpack_from(f"<{count + 1}I", _enough(data, at), 4)
        if at + sum(lengths) != len(data):
            raise ValueError(f"{at + sum(lengths)} bytes expected, {len(data)} are there")
        if size > MAX_SMALL_BYTES:
            raise ValueError(
                f"{size} bytes of small sections; at most {MAX_SMALL_BYTES} are possible"
            )
        ends = accumulate(lengths, initial=at)
        packed = [data[begin:end] for begin, end in pairwise(ends)]
        self._small, self._at = _unpack(packed[0], size), 0
        self._large = packed[:0:-1]

    def end(self) -> None:
        """To be called last: that nothing is left over."""
        if self._at != len(self._small) or self._large:
            raise ValueError("there is more than was expected")

    def raw(self, size: int) -> memoryview:
        """The next bytes."""
        if size >= _LARGE:
            if not self._large:
                raise ValueError(f"{size} bytes expected, none are there")
            return _unpack(self._large.pop(), size)
        if not 0 <= size <= len(self._small) - self._at:
            raise ValueError(f"{size} bytes expected, {len(self._small) - self._at} are there")
        self._at += size
        return self._small[self._at - size : self._at]

    def number(self, low: int = -(2**63), high: int = 2**63 - 1) -> int:
        """One whole number between two limits, both included."""
        (value,) = struct.unpack("<q", self.raw(8))
        if not low <= value <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return int(value)

    def text(self) -> str:
        return bytes(self.raw(self.number(0, MAX_TEXT_BYTES))).decode()

    def words(self, count: int) -> Words:
        """`Writer.words` of so many numbers."""
        words = np.zeros(count, np.uint64)
        for place in range(self.number(0, 8)):
            put_byte(words, place, self.raw(count))
        return words

    def column(self, count: int) -> Longs:
        """`Writer.column` of so many numbers."""
        usual = self.number()
        if self.number(_LISTED, _PLAIN) == _PLAIN:
            return unzigzag(self.words(count)) + usual
        listed = self.number(0, count)
        gaps = within(self.words(listed).view(np.int64), 1, count)
        places = within(np.cumsum(gaps) - 1, 0, count - 1)
        ints = np.full(count, usual, np.int64)
        ints[places] += unzigzag(self.words(listed))
        return ints

    def progression(self, count: int) -> Longs:
        """`Writer.progression` of so many numbers."""
        return np.cumsum(self.column(count))


def within(ints: Longs, low: int, high: int) -> Longs:
    """The numbers, all of which must be between two limits, both included, or a ValueError."""
    if len(ints) and not low <= int(ints.min()) <= int(ints.max()) <= high:
        raise ValueError(f"a number is not between {low} and {high}")
    return ints


def zigzag(ints: Longs) -> Words:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...: what is near 0 has few bits, whatever its sign."""
    return ((ints << 1) ^ (ints >> 63)).view(np.uint64)


def unzigzag(words: Words) -> Longs:
    """The numbers of `zigzag`."""
    ints: Longs = (words >> _ONE).view(np.int64)
    ints ^= -(words & _ONE).view(np.int64)
    return ints


def byte_of(words: Words, place: int) -> bytes:
    """One byte of each number, 0 being the lowest; as many bytes as numbers."""
    return words.astype("<u8", copy=False).view(np.uint8)[place::8].tobytes()


def put_byte(words: Words, place: int, data: memoryview) -> None:
    """Set one byte of each number, in place."""
    if np.little_endian:
        words.view(np.uint8)[place::8] = np.frombuffer(data, np.uint8)
    else:
        words |= np.frombuffer(data, np.uint8).astype(np.uint64) << np.uint64(8 * place)


def _enough(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise ValueError(f"{size} bytes expected, {len(data)} are there")
    return data


def _unpack(packed: bytes, size: int) -> memoryview:
    try:
        return memoryview(_CODEC.decompress(packed, size, asbytes=True))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not {size} bytes of zstd: {error}") from None
