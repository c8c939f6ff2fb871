"""Conditions whose alarm begins after a duration, or after n of the last m readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from udfs.batch import Bools, Floats
from udfs.conditions import latch, times
from udfs.conditions.base import Columns, View
from udfs.conditions.latch import Found, Phase, Readings, Slots, State, Touched, Whole


@dataclass(frozen=True, eq=False, kw_only=True)
class Latched(Columns):
    """What a reading must be stands in the heirs; here is how often or how long.

    for_ms: so long without interruption; used unless `at_least` is given. at_least, of: so many of
    the last `of` readings, at most 64.
    """

    columns: ClassVar[tuple[str, ...]] = ("for_ms", "of")

    for_ms: Whole = 0
    at_least: int | None = None
    of: Whole = 1
    view: View = View.GOOD
    unit: str = "{}"

    def start(self, entries: int) -> State:
        """Idle latches, 9 bytes an entry; 18 and 8 for each of `at_least` where they count."""
        if self.at_least is None:
            return latch.start(entries)
        return times.start(entries, self.at_least)

    def _restart(self, state: State, readings: Readings) -> None:
        """Forget what is pending where there was a gap."""
        if self.at_least is None:
            latch.restart(state, readings)
        else:
            times.restart(state, readings)

    def _move(
        self, state: State, touched: Touched, cool: Bools, limit: float | Floats
    ) -> list[Found]:
        if self.at_least is None:
            return latch.step(state, touched, cool, limit, self.for_ms)
        return times.step(state, touched, cool, limit, self.at_least, self.of)

    def _held(self, state: State, at: slice | Slots) -> Bools:
        """Whose readings are not to be learned from, even if they are usual: shape (k,)."""
        # the cool ones among the counted are as usual as any
        least = Phase.PENDING if self.at_least is None else Phase.FIRING
        held: Bools = state["phase"][at] >= least
        return held
