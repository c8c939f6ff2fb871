"""Units whose conditions have the same form, fused into one condition over all their entries.

    banks = fuse_units(units)
    for each batch: bank.look(sources)      # the readings of all its entries, in rounds

An entry is one sensor (or asset of a signal) of one unit. A batch costs array operations a bank,
not a rule: ten thousand rules of one kind cost what their entries cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from udfs.batch import Bools
from udfs.conditions import latch
from udfs.conditions.base import Condition, View
from udfs.conditions.fuse import fuse
from udfs.conditions.latch import NEVER, Found, Ints, Readings, Slots, State
from udfs.rules.schedule import ScheduleModel
from udfs.watch.assets import Assets
from udfs.watch.readings import Round, project
from udfs.watch.signals import Signal
from udfs.watch.units import Unit

# where readings come from: those of sensors as a view sees them, or the values of a signal
Source = tuple[View, Signal | None]


class Bank:
    """Units of one form, source and schedule. Its calls take its state in one lane.

    blocks: units with one condition object share their entries. bounds: where the entries of each
    block begin, and the end of the last.
    """

    def __init__(self, units: Sequence[Unit], assets: Assets) -> None:
        """Args: assets: of the gateway; a subject of a signal is an asset's number there."""
        blocks: dict[Condition, list[Unit]] = {}
        for unit in units:
            blocks.setdefault(unit.condition, []).append(unit)
        self.blocks = tuple(tuple(block) for block in blocks.values())
        sizes = [len(block[0].slots) for block in self.blocks]
        self.bounds: Ints = np.concatenate([[0], np.cumsum(sizes)])
        self.slots: Slots = np.concatenate([block[0].slots for block in self.blocks])
        self.condition: Condition = fuse(list(zip(blocks, sizes, strict=True)))
        self.source: Source = (self.condition.view, units[0].signal)
        self.when: ScheduleModel | None = units[0].when
        signal = self.source[1]
        self.subjects = self.slots if signal is None else assets.numbers(signal.assets)[self.slots]
        # every entry is its own slot: nothing to gather
        self._plain = bool((self.slots == np.arange(len(self.slots))).all())

    def __len__(self) -> int:
        return len(self.slots)

    def start(self) -> State:
        """State of entries that know nothing."""
        return self.condition.start(len(self))

    def look(self, rounds: Iterable[Round], sensors: int) -> list[Readings]:
        """The readings of its entries. sensors: slots of its source."""
        plain = self._plain and len(self) == sensors
        seen = (project(turn, self.slots, plain, sensors) for turn in rounds)
        return [readings for readings in seen if readings is not None]

    def judges(self, time_ms: int) -> bool:
        """Whether its schedule lets it judge what is of that time."""
        return self.when is None or self.when.active(time_ms)

    def test(self, state: State, rounds: Iterable[Readings], time_ms: int) -> Iterator[Found]:
        """What the condition finds in a batch of that time."""
        if not self.judges(time_ms):
            yield from self._rest(state, time_ms)
            return
        for readings in rounds:
            yield from self.condition.step(state, readings)

    def entries_of(self, chosen: Callable[[Unit], bool]) -> Bools:
        """Which entries are those of chosen units, shape (entries,)."""
        found = [chosen(block[0]) for block in self.blocks]
        return np.repeat(np.array(found, np.bool_), np.diff(self.bounds))

    def units_of(self, entry: int) -> tuple[Unit, ...]:
        """Whose entry it is; of several rules when it is an event in their patterns."""
        return self.blocks[int(np.searchsorted(self.bounds, entry, "right")) - 1]

    def _rest(self, state: State, time_ms: int) -> list[Found]:
        """Nothing is judged now: what fires ends, what is pending is forgotten."""
        found = [
            Found(entry, False, int(state["since"][entry]), time_ms, np.nan, np.nan)
            for entry in map(int, latch.firing(state))
        ]
        if found or state["phase"].max(initial=0) or state["since"].max(initial=NEVER) != NEVER:
            for name, fresh in self.start().items():
                state[name][...] = fresh
        return found


def fuse_units(units: Sequence[Unit], assets: Assets) -> list[Bank]:
    """All units in as few banks as there are forms, in the order of their first units."""
    groups: dict[tuple[object, ...], list[Unit]] = {}
    for unit in units:
        groups.setdefault((unit.condition.form, unit.signal, unit.when), []).append(unit)
    return [Bank(group, assets) for group in groups.values()]


def sources(banks: Sequence[Bank]) -> Mapping[Signal, None]:
    """The signals that these banks need, each once, in order."""
    return dict.fromkeys(bank.source[1] for bank in banks if bank.source[1] is not None)
