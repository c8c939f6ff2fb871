"""Whole numbers of many sensors as differences: from the one before, or from the sensor's middle.

What drifts is small against the one before; what is noise about a level is smaller against the
middle, by half a bit. Sensors whose differences are of the same size are written together, so that
what counts bytes to compress them finds only bytes of one kind: a tenth smaller.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from udfs.archive.packing import (
    Longs,
    Reader,
    Words,
    Writer,
    byte_of,
    put_byte,
    unzigzag,
    within,
    zigzag,
)

Rows = npt.NDArray[np.intp]

_SAMPLE = 9  # readings of a sensor, of which one is its middle
# a sensor's key: bytes of a difference, whether from the one before, and how large they are
_WIDTH, _BEFORE = 512, 256
_LEAST = 256 ** np.arange(8, dtype=np.uint64)  # the least numbers of 1, 2, ..., 8 bytes


def write_series(writer: Writer, ints: Longs, starts: Rows) -> None:
    """Write numbers, shape (n,), of sensors that begin at `starts`, shape (s,); none is empty."""
    counts = np.diff(starts, append=len(ints))
    base, before, differences = _differences(ints, starts, counts)
    words = zigzag(differences)
    key = _keys(words, starts, counts) + _BEFORE * before
    writer.words(zigzag(base))
    writer.column(key, int(key[0]) if len(key) else 0)
    order, rows = _by_key(key, starts, counts)
    words = words[rows]
    for rows_of_key, width in _groups(key[order], counts[order]):
        for place in range(width):
            writer.raw(byte_of(words[rows_of_key], place))


def read_series(reader: Reader, counts: Rows) -> Longs:
    """The numbers of `write_series`, shape (n,).

    Args: counts: readings of each sensor, none 0, shape (s,).
    Raises: ValueError: these are not such bytes.
    """
    starts, n = np.cumsum(counts) - counts, int(counts.sum())
    base, key = unzigzag(reader.words(len(counts))), reader.column(len(counts))
    within(key, 0, 9 * _WIDTH - 1)  # 8 bytes at most
    order, rows = _by_key(key, starts, counts)
    words = np.zeros(n, np.uint64)
    for rows_of_key, width in _groups(key[order], counts[order]):
        part = words[rows_of_key]
        for place in range(width):
            put_byte(part, place, reader.raw(len(part)))
    differences = np.empty(n, np.int64)
    differences[rows] = unzigzag(words)
    return _sums(base, key & _BEFORE > 0, differences, starts, counts)


def _differences(
    ints: Longs, starts: Rows, counts: Rows
) -> tuple[Longs, npt.NDArray[np.bool_], Longs]:
    """Each sensor's base, whether differences are from the one before, and the differences.

    All is modulo 2^64: the bits of doubles come here too.
    """
    first = ints[starts]
    level = ints - np.repeat(first, counts)
    change = np.diff(ints, prepend=0)
    change[starts] = 0
    if not len(starts):
        return first, np.zeros(0, np.bool_), change
    middle = _middle(level, starts, counts)
    level -= np.repeat(middle, counts)
    before = np.add.reduceat(np.abs(change), starts) <= np.add.reduceat(np.abs(level), starts)
    base = np.where(before, first, first + middle)
    return base, before, np.where(np.repeat(before, counts), change, level)


def _middle(ints: Longs, starts: Rows, counts: Rows) -> Longs:
    """One of each sensor's own numbers that is near its mean, shape (s,).

    The mean itself would spoil what steps of the sensor and low zero bits have in common.
    """
    mean = np.add.reduceat(ints, starts) // counts
    sample = ints[starts + np.arange(_SAMPLE)[:, None] * (counts - 1) // (_SAMPLE - 1)]
    nearest = np.argmin(np.abs(sample - mean), axis=0)
    middle: Longs = sample[nearest, np.arange(len(starts))]
    return middle


def _sums(
    base: Longs, before: npt.NDArray[np.bool_], differences: Longs, starts: Rows, counts: Rows
) -> Longs:
    """The numbers of `_differences`."""
    changing = np.repeat(before, counts)
    sums = np.cumsum(np.where(changing, differences, 0))
    # what the sensors before have left in the running sum
    base = np.where(before, base - sums[starts], base)
    return np.where(changing, sums, differences) + np.repeat(base, counts)


def _keys(words: Words, starts: Rows, counts: Rows) -> Longs:
    """Width and size of each sensor's differences, shape (s,)."""
    if not len(starts):
        return np.zeros(0, np.int64)
    width = np.searchsorted(_LEAST, np.maximum.reduceat(words, starts), side="right")
    fraction, power = np.frexp(np.add.reduceat(words, starts) / counts)
    size = 2 * power + (fraction > np.sqrt(0.5))  # the half-powers of 2 that the mean has passed
    keys: Longs = width * _WIDTH + np.clip(size, 0, _BEFORE - 1)
    return keys


def _by_key(key: Longs, starts: Rows, counts: Rows) -> tuple[Rows, Rows]:
    """The sensors by ascending key, shape (s,), and the rows of their readings, shape (n,)."""
    order = np.argsort(key, kind="stable")
    sorted_counts = counts[order]
    moved = starts[order] - (np.cumsum(sorted_counts) - sorted_counts)
    return order, np.repeat(moved, sorted_counts) + np.arange(int(counts.sum()))


def _groups(key: Longs, counts: Rows) -> Iterator[tuple[slice, int]]:
    """The rows of each key, in its order, and how many bytes their differences have."""
    ends = np.cumsum(counts)
    last = np.flatnonzero(np.diff(key, append=-1))  # sensors with which a key ends
    for (begin, end), width in zip(pairwise([0, *ends[last].tolist()]), key[last], strict=True):
        yield slice(begin, end), int(width) // _WIDTH
