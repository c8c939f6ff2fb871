"""Sets of whole numbers as ranges, both ends included."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class Ranges:
    """Ascending ranges that neither overlap nor touch."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Put [first, last] in; nothing when last < first."""
        if last < first:
            return
        low = bisect_left(self._lasts, first - 1)  # the first range that touches or lies behind
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def holes(self, first: int, last: int) -> list[Range]:
        """The parts of [first, last] that are not in the set."""
        found = []
        at = first
        for index in range(bisect_left(self._lasts, first), len(self._firsts)):
            if self._firsts[index] > last:
                break
            if self._firsts[index] > at:
                found.append((at, self._firsts[index] - 1))
            at = self._lasts[index] + 1
        if at <= last:
            found.append((at, last))
        return found

    def covers(self, first: int, last: int) -> bool:
        """Whether all of [first, last] is in the set."""
        return not self.holes(first, last)

    def highest(self) -> int:
        """The highest number, -1 when there is none."""
        return self._lasts[-1] if self._lasts else -1

    def __contains__(self, number: int) -> bool:
        index = bisect_left(self._lasts, number)
        return index < len(self._firsts) and self._firsts[index] <= number

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        return len(self._firsts)
