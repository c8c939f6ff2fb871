"""Values of many sensors as bytes: decimals as whole numbers, all others as their bits.

The few that are no decimals in a sensor that is (not a number, infinite, -0.0) are listed apart, so
that a bad reading does not cost its whole minute.
"""

from __future__ import annotations

import numpy as np

from udfs.archive.packing import Longs, Reader, Writer, within
from udfs.archive.scaled import MAX_PLACES, Floats, Places, Rows, from_scaled, to_scaled
from udfs.archive.series import read_series, write_series

_NEGATIVE_ZERO = np.iinfo(np.int64).min  # its bits


def write_values(writer: Writer, value: Floats, starts: Rows) -> None:
    """Write values, shape (n,), of sensors that begin at `starts`, shape (s,); none is empty."""
    odd = np.flatnonzero(~np.isfinite(value) | (value.view(np.int64) == _NEGATIVE_ZERO))
    writer.number(len(odd))
    if len(odd):
        writer.progression(odd)
        writer.progression(value[odd].view(np.int64))
        value = _without(value, odd, starts)
    scale, ints = to_scaled(value, starts)
    writer.column(scale.astype(np.int64), int(scale[0]) if len(scale) else 0)
    if (scale < 0).any():
        bits = np.repeat(scale < 0, np.diff(starts, append=len(value)))
        ints = np.where(bits, value.view(np.int64), ints)
    write_series(writer, ints, starts)


def read_values(reader: Reader, counts: Rows) -> Floats:
    """The values of `write_values`, shape (n,).

    Args: counts: readings of each sensor, none 0, shape (s,).
    Raises: ValueError: these are not such bytes.
    """
    n = int(counts.sum())
    odd, odd_bits = _read_odd(reader, n)
    scale = _read_scale(reader, len(counts))
    ints = read_series(reader, counts)
    value = from_scaled(scale, ints, np.cumsum(counts) - counts)
    if (scale < 0).any():
        bits = np.repeat(scale < 0, counts)
        value[bits] = ints[bits].view(np.float64)
    value[odd] = odd_bits.view(np.float64)
    return value


def _without(value: Floats, odd: Rows, starts: Rows) -> Floats:
    """A copy in which an odd value is 0.0 if it was -0.0, else like the one before it."""
    rows = np.arange(len(value))
    rows[odd] = 0
    begin = np.zeros(len(value), np.intp)
    begin[starts] = starts
    rows, begin = np.maximum.accumulate(rows), np.maximum.accumulate(begin)
    filled: Floats = value[rows]
    filled[odd] = np.where((rows[odd] < begin[odd]) | (value[odd] == 0), 0.0, filled[odd])
    return filled


def _read_odd(reader: Reader, n: int) -> tuple[Longs, Longs]:
    """Rows of odd values and their bits."""
    count = reader.number(0, n)
    if not count:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return within(reader.progression(count), 0, n - 1), reader.progression(count)


def _read_scale(reader: Reader, sensors: int) -> Places:
    return within(reader.column(sensors), -1, MAX_PLACES).astype(np.int8)
