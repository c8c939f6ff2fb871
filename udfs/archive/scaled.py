"""Decimal readings as whole numbers, and back to the very same bits.

A meter of 0.01 steps sends 21.37; the double is the one nearest to 2137 / 100, and the division
gives it back bit for bit. Whole numbers are a quarter of the size of doubles once they are stored
as differences.

    scale, ints = to_scaled(value, starts)
    value = from_scaled(scale, ints, starts)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_PLACES = 9
# above it not every whole number is a double
LIMIT = 2.0**53

# of each segment so many readings are looked at first, to guess its places
SAMPLE = 4

_POWERS = 10.0 ** np.arange(MAX_PLACES + 1)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int8]
Rows = npt.NDArray[np.intp]


def to_scaled(value: Floats, starts: Rows) -> tuple[Places, Ints]:
    """The smallest number of decimal places with which each segment comes back bit for bit.

    Args: value: float64, shape (n,). starts: where each segment begins, ascending from 0, shape
        (s,); no segment is empty.
    Returns: places from 0 to 9, shape (s,), -1 where none will do (-0.0, NaN, infinity, or too many
        digits); and the whole numbers nearest to value * 10^places, below 2^53, shape (n,), 0 in
        segments of -1.
    """
    scale = np.zeros(len(starts), np.int8)
    if not len(value):
        return scale, np.zeros(0, np.int64)
    lengths = _lengths(starts, len(value))
    # what the sample needs, the segment needs at least: most are right at the first pass
    sample = starts + (np.arange(SAMPLE)[:, None] * (lengths - 1) // (SAMPLE - 1))
    _fit(value[sample.T.ravel()], np.full(len(starts), SAMPLE), scale)
    return scale, _fit(value, lengths, scale)


def from_scaled(scale: Places, ints: Ints, starts: Rows) -> Floats:
    """The values of `to_scaled`, shape (n,); 0.0 in segments of -1, whose values the caller has.

    Args: scale: shape (s,). ints: shape (n,). starts: shape (s,).
    """
    values: Floats = ints / np.repeat(_POWERS[scale], _lengths(starts, len(ints)))
    return values


def _lengths(starts: Rows, n: int) -> Rows:
    return np.diff(starts, append=n)


def _fit(value: Floats, lengths: Rows, scale: Places) -> Ints:
    """Raise each segment's `scale`, in place, until it fits or there are no more places."""
    ints = np.zeros(len(value), np.int64)
    trying = scale >= 0
    while trying.any():
        inside = slice(None) if trying.all() else np.repeat(trying, lengths)
        taken, counts = value[inside], lengths[trying]
        scaled, fits = _try(taken, np.repeat(_POWERS[scale[trying]], counts))
        good = fits.all() or np.logical_and.reduceat(fits, np.cumsum(counts) - counts)
        trying[trying] = ~np.broadcast_to(good, len(counts))
        ints[inside] = scaled
        scale[trying] += 1
        scale[scale > MAX_PLACES] = -1
        trying &= scale >= 0
    if (scale < 0).any():
        ints[np.repeat(scale < 0, lengths)] = 0
    return ints


def _try(value: Floats, power: Floats) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The nearest whole numbers, and which of them give the value back, both of shape (n,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(value * power)
        scaled += 0.0  # -0.0 becomes 0.0, as it would in whole numbers, and so does not fit
        fits = np.abs(scaled) < LIMIT
        fits &= (scaled / power).view(np.int64) == value.view(np.int64)
        return scaled.astype(np.int64), fits
