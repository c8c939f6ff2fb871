"""What an input hands over: readings as columns, and the receipt to be given for them.

    block = Block(slot, time_ms, value, quality, source="line-1", received_ms=now_ms)

An input turns each message into one block at once; nothing after it sees a message again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.uint32]
Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Qualities = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


class Receipt:
    """An acknowledgement that is owed for a message, given when nothing of it is only in memory.

    Whoever puts a part of the message aside calls `hold`; whoever has it on disk, or has dropped it
    on purpose, calls `release`. `give` runs once, with the last release.
    """

    __slots__ = ("_give", "_open")

    def __init__(self, give: Callable[[], None]) -> None:
        self._give = give
        self._open = 0

    def hold(self) -> None:
        """One part more is in memory only."""
        self._open += 1

    def release(self) -> None:
        """One part less; with the last one the acknowledgement is given."""
        self._open -= 1
        if self._open == 0:
            self._give()


@dataclass(slots=True)
class Waveform:
    """A window of samples of one sensor, as it came: vibration, current, sound.

    time_ms: as the device said it, UTC epoch ms. samples: float64 (m,), in the unit in which the
    device reports. period_ms: between two samples; 0 when nobody said it. quality: of all of them.
    """

    slot: int
    time_ms: int
    samples: Floats
    period_ms: float
    quality: int = 0


@dataclass(slots=True)
class Block:
    """n readings of one message (or one call of the direct input), in any order.

    slot: uint32 (n,), of the registry. time_ms: int64 (n,), as the device said it, UTC epoch ms.
    value: float64 (n,), in the unit in which the device reports. quality: uint8 (n,) of
    `udfs.batch.Quality`. source: whose clock made the times (device, edge node, topic).
    received_ms: wall clock at arrival. historical: the device had buffered them; they are no news.
    waveforms: windows that came with them; not counted by `len`.
    """

    slot: Slots
    time_ms: Times
    value: Floats
    quality: Qualities
    source: str = ""
    received_ms: int = 0
    historical: bool = False
    receipt: Receipt | None = field(default=None, repr=False)
    waveforms: tuple[Waveform, ...] = ()

    def __len__(self) -> int:
        return len(self.value)
