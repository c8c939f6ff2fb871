"""A fingerprint of readings: equal on both sides of the ledger exactly when the readings are.

It is the sum, modulo 2^64, of a 64-bit mix of each reading's slot, time, value and quality. So it
does not depend on the order of readings, nor on how they are split into batches, and fingerprints
of batches are added to get that of a range (`total`).

Two readings that differ in one of the four have different mixes for certain; a batch that differs
otherwise has the same fingerprint with a probability of about 2^-64. It guards against faults, not
against somebody who makes up readings that fit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from udfs.batch import Batch

MODULUS = 1 << 64

Words = npt.NDArray[np.uint64]

# odd, so that each is a bijection modulo 2^64; slots, times and qualities are small and near each
# other, and these spread them over all bits
_SLOT = np.uint64(0x9E3779B97F4A7C15)
_TIME = 0xD1342543DE82EF95
_QUALITY = np.uint64(0xAF251AF3B0F025B5)
# two rounds of multiply and shift. Source: Stafford 2011, "Better Bit Mixing", variant 13, as used
# in Steele et al. 2014, SplitMix64; the first shift is left out, for the slot's spread has done it
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT, _LAST_SHIFT = np.uint64(32), np.uint64(31)


def fingerprint(batch: Batch) -> int:
    """Fingerprint of the batch's readings, from 0 to 2^64 - 1; 0 for an empty batch.

    Value bits count as they are: -0.0 is not 0.0, and each NaN is its own. Lane, `sent_ms`, numbers
    and how columns are written (absent, or with their defaults) do not count.
    """
    mixed: Words = np.bitwise_xor(_slots(batch), batch.value.view(np.uint64))
    start = np.uint64(batch.time_ms * _TIME % MODULUS)
    if batch.offset_ms is None:
        np.bitwise_xor(mixed, start, out=mixed)
    else:
        times = _spread(batch.offset_ms, np.uint64(_TIME))
        np.add(times, start, out=times)
        np.bitwise_xor(mixed, times, out=mixed)
    if batch.quality is not None:
        np.bitwise_xor(mixed, _spread(batch.quality, _QUALITY), out=mixed)
    _mix(mixed)
    return int(np.add.reduce(mixed))


def fingerprint_of(
    slots: npt.NDArray[np.uint32],
    times_ms: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    quality: npt.NDArray[np.uint8] | None,
) -> int:
    """Fingerprint of any readings, as columns of shape (n,); quality None means all good."""
    return int(np.add.reduce(mixes_of(slots, times_ms, value, quality)))


def mixes_of(
    slots: npt.NDArray[np.uint32],
    times_ms: npt.NDArray[np.int64],
    value: npt.NDArray[np.float64],
    quality: npt.NDArray[np.uint8] | None,
) -> Words:
    """What each reading adds to a fingerprint, shape (n,): of any of them it is the sum."""
    mixed: Words = np.bitwise_xor(_spread(slots, _SLOT), value.view(np.uint64))
    np.bitwise_xor(mixed, _spread(times_ms, np.uint64(_TIME)), out=mixed)
    if quality is not None:
        np.bitwise_xor(mixed, _spread(quality, _QUALITY), out=mixed)
    _mix(mixed)
    return mixed


def total(*fingerprints: int) -> int:
    """Fingerprint of all readings of several batches."""
    return sum(fingerprints) % MODULUS


def _slots(batch: Batch) -> Words:
    """The spread slots, shape (n,); not to be written to."""
    if batch.sensor is not None:
        return _spread(batch.sensor, _SLOT)
    readings = len(batch)
    return _first_slots(1 << readings.bit_length())[:readings]


@lru_cache(maxsize=32)
def _first_slots(count: int) -> Words:
    """Slots 0, 1, 2, ... spread, shape (count,); not to be written to."""
    return _spread(np.arange(count, dtype=np.uint64), _SLOT)


def _spread(column: npt.NDArray[np.generic], factor: np.uint64) -> Words:
    """column * factor modulo 2^64; a negative number as its two's complement."""
    spread: Words = np.multiply(column, factor, dtype=np.uint64, casting="unsafe")
    return spread


def _mix(mixed: Words) -> None:
    """The two rounds, in place."""
    np.multiply(mixed, _FIRST, out=mixed)
    shifted = np.right_shift(mixed, _SHIFT)
    np.bitwise_xor(mixed, shifted, out=mixed)
    np.multiply(mixed, _SECOND, out=mixed)
    np.right_shift(mixed, _LAST_SHIFT, out=shifted)
    np.bitwise_xor(mixed, shifted, out=mixed)
