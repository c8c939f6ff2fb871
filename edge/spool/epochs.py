"""The epochs of a spool: which index has which number, and where each epoch ended.

Raw records have indices that go on for ever and sequences that begin at 0 with each epoch. Within
an epoch both go up together, so a record that cannot be read any more still has a number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edge.spool.record import NOTHING, Totals

_ROW = struct.Struct("<IIQqQQ")
_KEPT = 64  # epochs; a new one begins only after damage or a torn write
_OPEN = 2**63


@dataclass(slots=True)
class Epoch:
    """One epoch. base: index of its sequence 0. last: its newest sequence that is known of.

    end_known: whether `last` is certainly the last one. totals: through `last`.
    """

    number: int
    base: int
    last: int = -1
    end_known: bool = False
    totals: Totals = NOTHING


class Epochs:
    """Ascending by number and by base; the last one is the present one."""

    def __init__(self) -> None:
        self.table: list[Epoch] = []

    def begin(self, number: int, base: int) -> None:
        """A new epoch: the one before is over."""
        self.table.append(Epoch(number, base))
        del self.table[:-_KEPT]

    def ended(self) -> tuple[tuple[int, int | None], ...]:
        """(epoch, last sequence) of the epochs that are over; None: nobody knows it."""
        return tuple((e.number, e.last if e.end_known else None) for e in self.table[:-1])

    def named(self, number: int) -> Epoch | None:
        """The epoch of that number."""
        return next((e for e in self.table if e.number == number), None)

    def split(self, first: int, last: int) -> Iterator[tuple[int, int, Epoch | None]]:
        """The parts of an index range, each with its epoch; None: these never were numbers."""
        at = first
        for epoch in self.table:
            over = epoch is not self.table[-1]
            low = max(at, epoch.base)
            high = min(last, epoch.base + epoch.last if over else _OPEN)
            if low > high:
                continue
            if low > at:
                yield at, low - 1, None
            yield low, high, epoch
            at = high + 1
        if at <= last:
            yield at, last, None

    def encode(self) -> bytes:
        """The table as bytes."""
        rows = [_ROW.pack(e.number, e.end_known, e.base, e.last, *e.totals) for e in self.table]
        return b"".join(rows)

    @classmethod
    def decode(cls, data: bytes | None) -> Epochs:
        """The table that `encode` gave; an empty one from None."""
        epochs = cls()
        for number, known, base, last, *totals in _ROW.iter_unpack(data or b""):
            epochs.table.append(Epoch(number, base, last, bool(known), Totals(*totals)))
        return epochs
