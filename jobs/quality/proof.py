"""Is what a gateway told in the table? Proven by fingerprints, when the batches are long forgotten.

A fingerprint is a sum, so those of whole seconds of event time can be added up, as can those of the
ranges that a gateway told. Where both sums meet, the readings in between are the very same. A batch
holds a tick, so they meet at nearly every range; where a late batch has readings of an older tick
they meet later, and the ranges until then are proven together.

A range that meets nowhere is *unproven* (it may be of another day), unless ranges before and after
it are proven: then it is *different*, for nothing else can be between these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from udfs.book import Range

Words = npt.NDArray[np.uint64]

# ranges that are tried as a beginning before the distance to the next is doubled, and how often
_TRIED, _DOUBLED = 16, 10


@dataclass(frozen=True)
class Difference:
    """Ranges [first, last] of an epoch, told and archived from second `since` to before `until`."""

    epoch: int
    first: int
    last: int
    told: int
    archived: int
    since: int
    until: int


@dataclass
class Proof:
    """proven: of the ranges, in their order, whether each is. differences: in the same order."""

    proven: list[bool]
    differences: list[Difference] = field(default_factory=list)


def prove(counts: Words, prints: Words, ranges: Sequence[Range]) -> Proof:
    """Hold ranges against seconds.

    Args: counts, prints: readings and fingerprint of each second, shape (s,). ranges: of one
        gateway, in the order of numbers, with nothing but declared losses between them.
    """
    seconds, proof = _Seconds(counts, prints), Proof([False] * len(ranges))
    told = np.zeros((len(ranges) + 1, 2), np.uint64)
    rows = np.array([found[3:] for found in ranges], np.uint64).reshape(-1, 2)
    np.cumsum(rows, axis=0, out=told[1:])
    end: int | None = None
    start = 0  # ranges before `start` are judged; up to second `end`
    while (found := _begin(seconds, rows, start)) is not None:
        places = seconds.place(told - told[found[0]] + seconds.before[found[1]])
        met = start + np.flatnonzero(places[start:] >= 0)
        first, last = int(met[0]), int(met[-1])
        if end is not None and end <= places[first]:
            since, until = (start, end), (first, int(places[first]))
            proof.differences.append(_difference(seconds, ranges, told, since, until))
        proof.proven[first:last] = [True] * (last - first)
        start, end = last, int(places[last])
    return proof


def _begin(seconds: _Seconds, rows: Words, start: int) -> tuple[int, int] | None:
    """A range from `start` on that is in whole seconds, and in which second it begins."""
    steps = np.repeat(1 << np.arange(_DOUBLED), _TRIED)
    for number in (start + np.cumsum(steps) - 1).tolist():
        if number >= len(rows):
            break
        if rows[number, 0] and (second := seconds.find(rows[number])) is not None:
            return number, second
    return None


class _Seconds:
    """Sums of all seconds before each, and where each sum is."""

    def __init__(self, counts: Words, prints: Words) -> None:
        self.before = np.zeros((len(counts) + 1, 2), np.uint64)
        np.cumsum(counts, out=self.before[1:, 0])
        np.cumsum(prints, out=self.before[1:, 1])
        # of seconds without a reading, the first: sums are the same from there on
        fresh = np.r_[True, counts > 0]
        self._places = np.flatnonzero(fresh)
        order = np.argsort(self.before[self._places, 1], kind="stable")
        self._places = self._places[order]
        self._sums = self.before[self._places, 1]

    def place(self, sums: Words) -> npt.NDArray[np.int64]:
        """Up to which second each (readings, fingerprint) is summed, -1 where none; shape (n,)."""
        at = np.minimum(np.searchsorted(self._sums, sums[:, 1]), len(self._sums) - 1)
        places = self._places[at]
        return np.where((self.before[places] == sums).all(axis=1), places, -1)

    def find(self, row: Words) -> int | None:
        """Where a range of whole seconds begins."""
        begins = self._places[self.place(self.before[self._places] + row) >= 0]
        return int(begins.min()) if len(begins) else None


def _difference(
    seconds: _Seconds,
    ranges: Sequence[Range],
    told: Words,
    since: tuple[int, int],
    until: tuple[int, int],
) -> Difference:
    """Between two places where both sides met."""
    inside = ranges[since[0] : until[0]] or ranges[since[0] : since[0] + 1]
    count = int(told[until[0], 0] - told[since[0], 0])
    archived = int(seconds.before[until[1], 0] - seconds.before[since[1], 0])
    epoch, first = inside[0][:2]
    return Difference(epoch, first, inside[-1].last, count, archived, since[1], until[1])
