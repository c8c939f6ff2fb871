"""How long something takes, in a fixed number of steps: bounded, and cheap to note."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

# from a good SSD's sync to a disk that is about to fail, in seconds
BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Durations:
    """counts: how many were up to each of BOUNDS_S and above the one before; last, the rest."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    sum_s: float = 0.0

    @property
    def count(self) -> int:
        """All durations."""
        return sum(self.counts)


NONE = Durations()


class Timings:
    """Collects durations; one thread notes, any may look."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def note(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    def durations(self) -> Durations:
        """All so far."""
        return Durations(tuple(self._counts), self._sum_s)
