"""The sensors that files of history speak of, as a catalogue that grows while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from jobs.common.history_table import Block
from udfs.catalogue import Catalogue, join_tags, label_of, split_tags
from udfs.rules.selector import KINDS
from udfs.trial.sensors import asset_of
from udfs.trial.ticks import Columns

_SAMPLE = 500_000  # readings from which sampling periods are guessed
_USUAL_MS = 1000
_LONGEST_MS = 2**31 - 1


class Roster:
    """Slots in the order in which sensors were met. kinds: kinds by globs of sensor names."""

    def __init__(self, facility: str, gateway: str, kinds: Mapping[str, str]) -> None:
        self._place = facility, gateway
        self._kinds = kinds
        self._slots: dict[str, int] = {}
        self._words: list[tuple[str, ...]] = []  # unit, kind, asset, asset type, tags
        self._said_ms: list[int] = []  # sampling periods that the files say, else 0
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

        columns: readings from which the sampling periods of the new ones are guessed, where the
            files do not say them.
        """
        known = len(self._period_ms)
        if self._made is not None and known == len(self._slots):
            return self._made
        periods = guess_periods(columns, len(self._slots))
        said = np.minimum(np.array(self._said_ms, np.int64), _LONGEST_MS)
        self._period_ms += np.where(said > 0, said, periods)[known:].tolist()
        n = len(self._slots)
        unit, kind, asset, asset_type, tags = map(tuple, zip(*self._words, strict=True))
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
            asset_type=asset_type,
            tags=tags,
        )
        return self._made

    def _slot(self, block: Block, place: int) -> int:
        name = block.names[place]
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._slots)
            given = {word: each[place] for word, each in block.words.items()}
            kind = given.get("kind") or self._kind(name)
            asset = given.get("asset") or asset_of(name)
            labels = label_of(given.get("asset_type", "")), _tags(given.get("tags", ""))
            self._words.append((given.get("unit", ""), kind, asset, *labels))
            self._said_ms.append(block.period_ms[place] if block.period_ms else 0)
        return slot

    def _kind(self, name: str) -> str:
        """What was said of such names, else the kind whose word is in the name."""
        said = (kind for glob, kind in self._kinds.items() if fnmatchcase(name, glob))
        inside = (kind for kind in KINDS if len(kind) > 2 and kind in name.lower())
        return next(said, None) or next(inside, "")


def _tags(text: str) -> str:
    return join_tags(split_tags(text))


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
    periods[there] = np.minimum(step[order][begin + count // 2], _LONGEST_MS)
    return periods
