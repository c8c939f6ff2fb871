"""One minute of a gateway while it is open, with all its readings as they came."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field

from udfs.batch import Batch
from udfs.losses import Position

Parts = list[tuple[Position, Batch]]


@dataclass(slots=True)
class RawMinute:
    """The minute that starts at `start_ms`; its parts in the order of their numbers.

    A part is a batch, or of a batch that crosses into the next minute what lies in this one. Its
    arrays are views of the record that it came in.
    """

    start_ms: int
    arrival_ms: int = 0
    parts: Parts = field(default_factory=list)

    def add(self, part: Batch) -> None:
        """Keep a part in its place."""
        position = Position(part.epoch, part.sequence)
        insort(self.parts, (position, part), key=lambda item: item[0])

    def batches(self) -> list[Batch]:
        """The parts, in the order of their numbers."""
        return [part for _, part in self.parts]


def size_bytes(batch: Batch) -> int:
    """Memory that the readings of a batch take."""
    arrays = (batch.value, batch.sensor, batch.offset_ms, batch.quality)
    return sum(array.nbytes for array in arrays if array is not None)
