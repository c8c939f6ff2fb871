"""Batches that the cloud counted and no range of the gateway's words has covered yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_BATCHES = 8192  # more than two hours at a batch a second
_FIRST_BATCHES = 64

Rows = npt.NDArray[np.uint64]


class Range(NamedTuple):
    """What a gateway says of the numbers [first, last] together."""

    epoch: int
    first: int
    last: int
    readings: int
    fingerprint: int


class Book:
    """Rows of (epoch, sequence, readings, fingerprint), each number once.

    Past MAX_BATCHES the oldest are forgotten.
    """

    def __init__(self, rows: Rows | None = None) -> None:
        self._rows = np.zeros((_FIRST_BATCHES, 4), np.uint64)
        self._used = 0
        if rows is not None and len(rows):
            self._rows, self._used = rows, len(rows)

    def __len__(self) -> int:
        return self._used

    @property
    def rows(self) -> Rows:
        """The rows in the order of arrival, uint64, shape (n, 4)."""
        return self._rows[: self._used]

    def add(self, epoch: int, sequence: int, readings: int, fingerprint: int) -> None:
        """Note a batch that was counted."""
        if self._used == len(self._rows):
            self._make_room()
        self._rows[self._used] = epoch, sequence, readings, fingerprint
        self._used += 1

    def compare(self, ranges: Sequence[Range]) -> list[bool | None]:
        """Whether each range of one epoch equals what was counted; None where a number is not in
        the book. What was compared leaves the book.
        """
        epoch = np.uint64(ranges[0].epoch)
        places = np.flatnonzero(self.rows[:, 0] == epoch)
        places = places[np.argsort(self.rows[places, 1])]
        # sums before each row, modulo 2^64 as a fingerprint is
        before = np.zeros((len(places) + 1, 2), np.uint64)
        np.cumsum(self.rows[places, 2:], axis=0, out=before[1:])
        told = np.array([r[1:] for r in ranges], np.uint64)
        begin = np.searchsorted(self.rows[places, 1], told[:, 0])
        end = np.searchsorted(self.rows[places, 1], told[:, 1], side="right")
        whole = (end - begin).astype(np.uint64) == told[:, 1] - told[:, 0] + np.uint64(1)
        equal = (before[end] - before[begin] == told[:, 2:]).all(axis=1)
        self._drop(places, begin[whole], end[whole])
        pairs = zip(whole.tolist(), equal.tolist(), strict=True)
        return [same if there else None for there, same in pairs]

    def _drop(
        self, places: npt.NDArray[np.intp], begin: npt.NDArray[np.intp], end: npt.NDArray[np.intp]
    ) -> None:
        """Take out the rows of these slices of `places`."""
        keep = np.ones(self._used, np.bool_)
        for low, high in zip(begin.tolist(), end.tolist(), strict=True):
            keep[places[low:high]] = False
        kept = self.rows[keep]
        self._used = len(kept)
        self._rows[: self._used] = kept

    def _make_room(self) -> None:
        """Twice the rows; at the bound, forget the oldest quarter."""
        kept = self.rows[-(MAX_BATCHES * 3 // 4) :] if self._used >= MAX_BATCHES else self.rows
        size = min(max(_FIRST_BATCHES, 2 * len(kept)), MAX_BATCHES)
        self._rows = np.zeros((size, 4), np.uint64)
        self._rows[: len(kept)], self._used = kept, len(kept)
