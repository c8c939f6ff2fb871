"""Numbers of a gateway that will not come, and which minutes they are missing from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

UNKNOWN = -1  # an end or a time that is not known (yet)


class Position(NamedTuple):
    """A batch's place in its gateway's order."""

    epoch: int
    sequence: int


@dataclass(slots=True)
class Loss:
    """Numbers of one epoch that will not come, with the times of the batches beside them.

    When nobody knows how many there were (an epoch that ended unseen), `last` is `first` - 1.
    """

    epoch: int
    first: int
    last: int
    before_ms: int = UNKNOWN
    after_ms: int = UNKNOWN

    def count(self) -> int:
        return self.last - self.first + 1

    def settled(self) -> bool:
        """Whether the batches on both sides are there."""
        return self.before_ms != UNKNOWN and self.after_ms != UNKNOWN

    def hides(self, start_ms: int, end_ms: int) -> bool:
        """Whether an unknown number of batches may be missing in [start, end)."""
        if self.count() or self.after_ms == UNKNOWN:
            return False
        return self.before_ms < end_ms and self.after_ms >= start_ms

    def count_in(self, start_ms: int, end_ms: int) -> int:
        """How many of them fall into [start, end), were they sent at an even pace."""
        if self.after_ms == UNKNOWN:
            return 0
        if self.before_ms == UNKNOWN or self.after_ms <= self.before_ms:
            return self.count() if start_ms <= self.after_ms < end_ms else 0
        steps, span_ms = self.count() + 1, self.after_ms - self.before_ms
        lowest = -((self.before_ms - start_ms) * steps // span_ms)
        beyond = -((self.before_ms - end_ms) * steps // span_ms)
        return max(0, min(beyond - 1, steps - 1) - max(lowest, 1) + 1)
