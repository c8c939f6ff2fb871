"""The sensors that files of history speak of, as a catalogue that grows while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from jobs.common.history_table import Block
from udfs.catalogue import Catalogue
from udfs.rules.selector import KINDS
from udfs.trial.sensors import asset_of
from udfs.trial.ticks import Columns

_SAMPLE = 500_000  # readings from which sampling periods are guessed
_USUAL_MS = 1000


class Roster:
    """Slots in the order in which sensors were met. kinds: kinds by globs of sensor names."""

    def __init__(self, facility: str, gateway: str, kinds: Mapping[str, str]) -> None:
        self._place = facility, gateway
        self._kinds = kinds
        self._slots: dict[str, int] = {}
        self._words: list[tuple[str, str, str]] = []  # unit, kind, asset
        self._period_ms: list[int] = []
        self._made: Catalogue | None = None

    def number(self, block: Block) -> Columns:
        """The block with slots in place of names; new sensors get the next ones."""
        used = np.zeros(len(block.names), np.bool_)
        used[block.code] = True
        slots = np.zeros(len(block.names), np.uint32)
        for place in np.flatnonzero(used).tolist():
            slots[place] = self._slot(block, place)
        return Columns(block.time, slots[block.code], block.value, block.quality)

    def catalogue(self, columns: Columns) -> Catalogue:
        """The catalogue of all sensors met so far; a new version when there are more than before.

        columns: readings from which the sampling periods of the new ones are guessed.
        """
        known = len(self._period_ms)
        if self._made is not None and known == len(self._slots):
            return self._made
        periods = guess_periods(columns, len(self._slots))
        self._period_ms += periods[known:].tolist()
        n = len(self._slots)
        unit, kind, asset = (tuple(words) for words in zip(*self._words, strict=True))
        self._made = Catalogue(
            *self._place,
            version=1 if self._made is None else self._made.version + 1,
            name=tuple(self._slots),
            unit=unit,
            kind=kind,
            asset=asset,
            low=np.full(n, -np.inf),
            high=np.full(n, np.inf),
            period_ms=np.array(self._period_ms, np.int32),
        )
        return self._made

    def _slot(self, block: Block, place: int) -> int:
        name = block.names[place]
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._slots)
            given = {word: each[place] for word, each in block.words.items()}
            kind = given.get("kind") or self._kind(name)
            self._words.append((given.get("unit", ""), kind, given.get("asset") or asset_of(name)))
        return slot

    def _kind(self, name: str) -> str:
        """What was said of such names, else the kind whose word is in the name."""
        said = (kind for glob, kind in self._kinds.items() if fnmatchcase(name, glob))
        inside = (kind for kind in KINDS if len(kind) > 2 and kind in name.lower())
        return next(said, None) or next(inside, "")


def guess_periods(columns: Columns, sensors: int) -> npt.NDArray[np.int32]:
    """The median time between two readings of each sensor, ms; 1 s where there are no two."""
    first = slice(0, _SAMPLE)
    time, slot = columns.time[first], columns.slot[first]
    order = np.lexsort((time, slot))
    step, owner = np.diff(time[order]), slot[order][1:]
    same = (owner == slot[order][:-1]) & (step > 0)
    step, owner = step[same], owner[same]
    order = np.lexsort((step, owner))
    there, begin, count = np.unique(owner[order], return_index=True, return_counts=True)
    periods = np.full(sensors, _USUAL_MS, np.int32)
    periods[there] = np.minimum(step[order][begin + count // 2], 2**31 - 1)
    return periods
