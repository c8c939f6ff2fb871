"""Values at known places of a payload, all of one kind at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edge.block import Floats
from edge.sparkplug.content import SIGNED_BITS

Bytes = npt.NDArray[np.uint8]

_LONGEST = 10
_SHIFTS = (7 * np.arange(_LONGEST)).astype(np.uint64)


class Place(NamedTuple):
    """One value: the field that it is written in, its first byte and the one after its last.

    kind: "" where there is no value.
    """

    kind: str
    begin: int
    end: int
    datatype: int


class Values:
    """The values of n metrics, wherever they are and however they are written."""

    def __init__(self, places: list[Place]) -> None:
        doubles, floats, integers = (
            [row for row, place in enumerate(places) if place.kind in kinds]
            for kinds in (
                ("double_value",),
                ("float_value",),
                ("int_value", "long_value", "boolean_value"),
            )
        )
        self._length = len(places)
        self._doubles, self._floats, self._integers = doubles, floats, integers
        self._double_at = _positions(places, doubles, 8)
        self._float_at = _positions(places, floats, 4)
        self._numbers = _Integers([places[row] for row in integers])

    def read(self, buffer: Bytes) -> Floats:
        """Float64 (n,); NaN where there is no value."""
        doubles: Floats = buffer.take(self._double_at).view("<f8")
        if len(self._doubles) == self._length:
            return doubles
        value = np.full(self._length, np.nan)
        value[self._doubles] = doubles
        value[self._floats] = buffer.take(self._float_at).view("<f4")
        if self._integers:
            value[self._integers] = self._numbers.read(buffer)
        return value


def _positions(places: list[Place], rows: list[int], width: int) -> npt.NDArray[np.intp]:
    begins = np.array([places[row].begin for row in rows], np.intp)
    return (begins[:, None] + np.arange(width)).ravel()


class _Integers:
    """Values that are varints: integers of any width and sign, and booleans; m of them."""

    def __init__(self, places: list[Place]) -> None:
        begins = np.array([place.begin for place in places], np.intp)[:, None]
        ends = np.array([place.end for place in places], np.intp)[:, None]
        at = begins + np.arange(_LONGEST)
        self._used = at < ends
        self._at = np.where(self._used, at, begins)
        kinds = np.array([place.kind for place in places], object)
        self._boolean = kinds == "boolean_value"
        self._short = kinds == "int_value"
        bits = np.array([SIGNED_BITS.get(place.datatype, 0) for place in places], np.int64)
        bits[self._boolean] = 0
        self._signed = bits > 0
        # to the upper end and back: cuts to the type's bits and extends the sign
        self._shift = np.where(self._signed, 64 - bits, 0)

    def read(self, buffer: Bytes) -> Floats:
        """Float64 (m,)."""
        parts = (buffer.take(self._at) & 0x7F).astype(np.uint64) << _SHIFTS
        raw = np.where(self._used, parts, 0).sum(axis=1, dtype=np.uint64)
        raw = np.where(self._short, raw & 0xFFFFFFFF, raw)  # a longer varint is legal
        signed = raw.view(np.int64) << self._shift >> self._shift
        value: Floats = np.where(self._signed, signed.astype(np.float64), raw.astype(np.float64))
        value[self._boolean] = raw[self._boolean] != 0
        return value
