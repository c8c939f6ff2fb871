"""Sequence numbers that Kafka acknowledged to the gateway and that have not come."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace

import numpy as np
import numpy.typing as npt

MAX_CLAIMS = 1024


@dataclass(slots=True)
class Claim:
    """Numbers of one epoch, [first, last].

    said_ms: when the gateway said so, by its clock. told_ms: when that was read, wall clock.
    found_ms: since when they are unaccounted; 0 while they may still come.
    """

    epoch: int
    first: int
    last: int
    said_ms: int
    told_ms: int
    found_ms: int = 0

    def count(self) -> int:
        """How many numbers these are."""
        return self.last - self.first + 1


class Claims:
    """Claims in the order of their numbers; none holds a number of another."""

    def __init__(self, rows: npt.NDArray[np.int64] | None = None) -> None:
        self._claims = [Claim(*row) for row in rows.tolist()] if rows is not None else []

    def __len__(self) -> int:
        return len(self._claims)

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims)

    def rows(self) -> npt.NDArray[np.int64]:
        """All of them, int64, shape (n, 6)."""
        return np.array([astuple(claim) for claim in self._claims], np.int64).reshape(-1, 6)

    def add(self, claim: Claim) -> None:
        """Numbers that are not there yet. At the bound nothing is added: a gateway's words repeat
        how far all was acknowledged.
        """
        at = self._after(claim.epoch, claim.first)
        low = claim.first
        if at and self._claims[at - 1].epoch == claim.epoch:
            low = max(low, self._claims[at - 1].last + 1)
        while low <= claim.last and len(self._claims) < MAX_CLAIMS:
            following = self._claims[at] if at < len(self._claims) else None
            high = claim.last
            if following and following.epoch == claim.epoch:
                high = min(high, following.first - 1)
            if low <= high:
                self._claims.insert(at, replace(claim, first=low, last=high))
                at += 1
            if not following or following.epoch != claim.epoch:
                break
            low, at = following.last + 1, at + 1

    def remove(self, epoch: int, first: int, last: int) -> None:
        """These numbers came, or are lost."""
        at = max(self._after(epoch, first) - 1, 0)
        end = self._after(epoch, last)
        kept: list[Claim] = []
        for claim in self._claims[at:end]:
            if claim.epoch != epoch or claim.last < first:
                kept.append(claim)
                continue
            parts = replace(claim, last=first - 1), replace(claim, first=last + 1)
            kept += [part for part in parts if claim.first <= part.first <= part.last <= claim.last]
        self._claims[at:end] = kept

    def join(self) -> None:
        """Make one of neighbours that are both unaccounted."""
        joined: list[Claim] = []
        for claim in self._claims:
            before = joined[-1] if joined else None
            if before and before.found_ms and claim.found_ms and _adjacent(before, claim):
                before.last, before.found_ms = claim.last, max(before.found_ms, claim.found_ms)
            else:
                joined.append(claim)
        self._claims = joined

    def _after(self, epoch: int, sequence: int) -> int:
        """Index of the first claim that begins after a number."""
        return bisect_right(self._claims, (epoch, sequence), key=lambda c: (c.epoch, c.first))


def _adjacent(left: Claim, right: Claim) -> bool:
    return left.epoch == right.epoch and left.last + 1 == right.first
