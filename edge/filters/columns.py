"""What a step gets and gives: a tick's readings as columns, ascending by slot, then time.

    columns = in_order(tick, counts)
    columns = columns.keep(mask)
    columns = columns.flagged(mask, Quality.STUCK)

Columns are never written to: they may be those of the input's block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.block import Bools, Floats, Qualities, Slots, Times
from edge.filters.settings import Chosen
from edge.registry import Sensor
from edge.ticks import Tick
from udfs.batch import Quality

Ints = npt.NDArray[np.intp]
# a slot, an offset in the tick (below 10 s) and a position in one number that sorts
_OFFSET_BITS, _PLACE_BITS = 14, 27


@dataclass(frozen=True, slots=True)
class Columns:
    """n readings. slot uint32, time_ms int64, value float64, quality uint8, each of shape (n,).

    start_ms, end_ms: of the tick. single: no slot is there twice. late: readings of an older time
    than what was sent already; steps judge them by themselves and remember nothing of them.
    """

    start_ms: int
    end_ms: int
    late: bool
    single: bool
    slot: Slots
    time_ms: Times
    value: Floats
    quality: Qualities

    def __len__(self) -> int:
        return len(self.value)

    def keep(self, mask: Bools | Ints) -> Columns:
        """Only those readings."""
        return replace(
            self,
            slot=self.slot[mask],
            time_ms=self.time_ms[mask],
            value=self.value[mask],
            quality=self.quality[mask],
        )

    def flagged(self, mask: Bools, quality: int) -> Columns:
        """Those readings with another quality."""
        return replace(self, quality=np.where(mask, np.uint8(quality), self.quality))

    def good(self) -> Bools:
        """Which readings may enter a sum, shape (n,)."""
        usable = (self.quality == Quality.GOOD) | (self.quality == Quality.CLOCK_REPAIRED)
        good: Bools = usable & np.isfinite(self.value)
        return good

    def at(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The elements of a per-slot array that belong to the readings, shape (n,)."""
        n = len(self)
        if self.single and n and int(self.slot[-1]) == n - 1:  # slots are 0, 1, 2, ...
            return array[:n]
        return array[self.slot]

    def firsts(self) -> Ints:
        """Position of the first reading of each sensor, shape (sensors here,)."""
        return _starts(self.slot[1:] != self.slot[:-1], len(self))

    def firsts_in_ticks(self) -> Ints:
        """The same of each sensor and tick: late readings may be of several ticks."""
        if not self.late:
            return self.firsts()
        tick = self.time_ms // (self.end_ms - self.start_ms)
        other = (self.slot[1:] != self.slot[:-1]) | (tick[1:] != tick[:-1])
        return _starts(other, len(self))


def _starts(other: Bools, n: int) -> Ints:
    """Where groups of n readings begin; other: whether each but the first begins one."""
    return np.flatnonzero(np.append(True, other)[:n])


class Kept(Protocol):
    """What goes into the checkpoint."""

    def to_fields(self) -> dict[str, Any]:
        """State as arrays, for `udfs.state.pack`."""

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave."""


class Step(Kept, Protocol):
    """One filter: what is set for each sensor, and what is remembered of it, as arrays by slot."""

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """Sensors that are new, in the order of their slots, and what was chosen for them."""

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """The tick's readings after this step; what is dropped or flagged is counted by reason."""

    def replay(self, sent: Columns) -> None:
        """Remember readings that were sent before a restart."""


class Stateless:
    """The part of a step that remembers nothing."""

    def replay(self, sent: Columns) -> None:
        """Nothing to remember."""

    def to_fields(self) -> dict[str, Any]:
        """No state."""
        return {}

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """No state."""


def extended(array: npt.NDArray[Any], values: Sequence[Any]) -> npt.NDArray[Any]:
    """The array with more elements at its end."""
    return np.concatenate([array, np.array(values, array.dtype)])


def fitted(array: npt.NDArray[Any], like: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An older array, with elements of a newer one for the sensors that have come since."""
    return np.concatenate([array[: len(like)], like[len(array) :]])


def in_order(tick: Tick, tick_ms: int, counts: Counter[str]) -> Columns:
    """A tick's readings, sorted; of several with one slot and time the first one stays."""
    slot, time_ms, value, quality = tick.slot, tick.reading_ms, tick.value, tick.quality
    single = bool((slot[1:] > slot[:-1]).all())
    if not single:
        order = _order(slot, time_ms - tick.time_ms)
        slot, time_ms, value, quality = slot[order], time_ms[order], value[order], quality[order]
        single = bool((slot[1:] > slot[:-1]).all())
    end_ms = tick.time_ms + tick_ms
    columns = Columns(tick.time_ms, end_ms, tick.late, single, slot, time_ms, value, quality)
    return columns if single else _without_doubles(columns, counts)


def _order(slot: Slots, offset: Times) -> Ints:
    """Positions by slot, time and arrival. One sort of numbers is much faster than a lexsort."""
    place = np.arange(len(slot), dtype=np.int64)
    key = slot.astype(np.int64) << (_OFFSET_BITS + _PLACE_BITS)
    key |= (offset << _PLACE_BITS) | place
    key.sort()
    order: Ints = key & ((1 << _PLACE_BITS) - 1)
    return order


def _without_doubles(columns: Columns, counts: Counter[str]) -> Columns:
    same_slot = columns.slot[1:] == columns.slot[:-1]
    double = same_slot & (columns.time_ms[1:] == columns.time_ms[:-1])
    if not double.any():
        return columns
    counts["duplicate_in_tick"] += int(double.sum())
    kept = columns.keep(np.append(True, ~double))
    return replace(kept, single=bool((kept.slot[1:] > kept.slot[:-1]).all()))
