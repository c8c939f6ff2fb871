"""From columns of readings to batches, one a tick; a gateway's history as it would have sent it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from udfs.batch import Batch, Bools, Floats
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Ints


@dataclass(slots=True)
class Columns:
    """Readings of one gateway, n of them, in any order.

    time: int64, UTC epoch ms, shape (n,). slot: uint32, in the catalogue. value: float64.
    quality: uint8 or None: all good.
    """

    time: Ints
    slot: npt.NDArray[np.uint32]
    value: Floats
    quality: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.time)

    def pick(self, at: npt.NDArray[np.intp] | Bools | slice) -> Columns:
        """Some of the readings."""
        quality = None if self.quality is None else self.quality[at]
        return Columns(self.time[at], self.slot[at], self.value[at], quality)


def cut(
    columns: Columns, catalogue: Catalogue, tick_ms: int = 1000, first: int = 0
) -> Iterator[Batch]:
    """Batches in the order of time, numbered from `first`.

    Args: tick_ms: at most 10,000, the span that a batch may have.
    """
    tick = columns.time // tick_ms
    columns, tick = _in_order(columns, tick)
    begins = np.flatnonzero(np.append(True, tick[1:] != tick[:-1])) if len(tick) else tick[:0]
    starts: list[int] = (tick[begins] * tick_ms).tolist()
    edges = [*begins.tolist(), len(tick)]
    offset = (columns.time - tick * tick_ms).astype(np.int32)
    on_tick = not offset.any()
    for number, time_ms in enumerate(starts):
        part = slice(edges[number], edges[number + 1])
        slot = columns.slot[part]
        yield Batch(
            catalogue.facility,
            catalogue.gateway,
            epoch=1,
            sequence=first + number,
            time_ms=time_ms,
            value=columns.value[part],
            sensor=None if _all(slot, len(catalogue)) else slot,
            offset_ms=None if on_tick else offset[part],
            quality=None if columns.quality is None else columns.quality[part],
            catalogue=catalogue.version,
        )


def _in_order(columns: Columns, tick: Ints) -> tuple[Columns, Ints]:
    """By tick, then sensor, then time; what is in order already is only looked at."""
    time, slot = columns.time, columns.slot
    later, same = tick[1:] > tick[:-1], tick[1:] == tick[:-1]
    up = (slot[1:] > slot[:-1]) | ((slot[1:] == slot[:-1]) & (time[1:] >= time[:-1]))
    if (later | (same & up)).all():
        return columns, tick
    order = np.lexsort((time, slot, tick))
    return columns.pick(order), tick[order]


def _all(slot: npt.NDArray[np.uint32], sensors: int) -> bool:
    """Whether ascending slots are each sensor once."""
    return len(slot) == sensors and bool((slot[1:] != slot[:-1]).all())
