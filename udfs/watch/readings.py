"""From a batch to what conditions see: usable readings, one a sensor at a time, and their gaps.

    rounds = split(batch, keep, sensors)        # the k-th reading of each sensor is in round k
    rounds = follow(last_ms, limit_ms, rounds)  # finds the gaps, remembers the newest times
    readings = project(round, slots, ...)       # the readings of a bank's entries

The usual batch (every sensor once, all good, one time) is one round and nothing is copied.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from udfs.batch import Batch, Bools, Floats, Quality
from udfs.conditions.base import View
from udfs.conditions.latch import NEVER, Ints, Readings, Slots
from udfs.conditions.quality import quality_of


@dataclass(slots=True)
class Round:
    """At most one reading a sensor; k of them, ascending by slot.

    slot: shape (k,); None when every sensor of the gateway has one. time: one for all, or (k,).
    paused_ms: time since the sensor's reading before, shape (k,), where that is a gap, else 0;
        None when there is no gap at all.
    """

    slot: Slots | None
    value: Floats
    time: int | Ints
    paused_ms: Ints | None = None
    _places: list[Slots] = field(default_factory=list)  # shared with what `follow` makes of it

    def places(self, sensors: int) -> Slots:
        """Position of each slot's reading, -1 where there is none, shape (sensors,)."""
        if not self._places:
            places = np.full(sensors, -1, np.intp)
            places[self.slot] = np.arange(len(self.value))
            self._places.append(places)
        return self._places[0]


def seen(batch: Batch, sensors: int, wanted: Collection[View]) -> dict[View, list[Round]]:
    """The batch as each of these views sees it; views that see the same share their rounds."""
    good = batch.good()
    plain = split(batch, None, sensors) if good is None or View.ANY in wanted else []
    rounds = dict.fromkeys(wanted, plain)
    if good is not None:
        usable = split(batch, good, sensors)
        rounds |= {view: usable for view in (View.GOOD, View.SIGNAL) if view in wanted}
        if View.SIGNAL in wanted and batch.quality is not None:
            stuck = (batch.quality == Quality.STUCK) & np.isfinite(batch.value)
            rounds[View.SIGNAL] = split(batch, good | stuck, sensors)
    if View.QUALITY in wanted:
        rounds[View.QUALITY] = split(replace(batch, value=quality_of(batch)), None, sensors)
    return rounds


def split(batch: Batch, keep: Bools | None, sensors: int) -> list[Round]:
    """The readings in rounds: the first of each sensor, the second, and so on. keep: which ones."""
    plain = batch.sensor is None and batch.offset_ms is None
    if plain and keep is None and len(batch) == sensors:
        return [Round(None, batch.value, batch.time_ms)]
    slot, value = batch.slots().astype(np.intp), batch.value
    time: int | Ints = batch.time_ms
    if batch.offset_ms is not None:
        time = batch.time_ms + batch.offset_ms.astype(np.int64)
    if keep is not None:
        slot, value, time = slot[keep], value[keep], _pick(time, keep)
    turns = _turns(slot)
    if len(turns) == 1:
        return [Round(None if len(slot) == sensors else slot, value, time)]
    return [Round(slot[at], value[at], _pick(time, at)) for at in turns]


def _turns(slot: Slots) -> list[Slots]:
    """Positions of the first reading of each sensor, of the second, ...; slots are ascending."""
    if not len(slot):
        return []
    first = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    if len(first) == len(slot):
        return [first]
    counts = np.diff(np.append(first, len(slot)))
    turn = np.arange(len(slot)) - np.repeat(first, counts)
    order = np.argsort(turn, kind="stable")
    return np.split(order, np.cumsum(np.bincount(turn))[:-1])


def _pick(time: int | Ints, at: Bools | Slots) -> int | Ints:
    return time if isinstance(time, int) else time[at]


def follow(last_ms: Ints, limit_ms: Ints, rounds: list[Round]) -> list[Round]:
    """Note the times of all readings in `last_ms`, shape (sensors,), and which follow a gap.

    A step back in time is a gap too: what was counted in the clock of before cannot go on.
    Returns: the rounds with `paused_ms`. They are new ones, since lanes and views share theirs.
    """
    return [_follow(last_ms, limit_ms, turn) for turn in rounds]


def _follow(last_ms: Ints, limit_ms: Ints, turn: Round) -> Round:
    paused = None
    if not _clearly_no_gap(last_ms, limit_ms, turn):
        paused = _paused(last_ms, limit_ms, turn)
    last_ms[slice(None) if turn.slot is None else turn.slot] = turn.time
    return Round(turn.slot, turn.value, turn.time, paused, turn._places)


def _clearly_no_gap(last_ms: Ints, limit_ms: Ints, turn: Round) -> bool:
    """Two numbers tell it for the usual batch."""
    if turn.slot is not None or not isinstance(turn.time, int):
        return False
    newest, oldest = int(last_ms.max()), int(last_ms.min())
    return turn.time >= newest and turn.time - oldest <= int(limit_ms.min())


def _paused(last_ms: Ints, limit_ms: Ints, turn: Round) -> Ints | None:
    at = slice(None) if turn.slot is None else turn.slot
    elapsed = turn.time - last_ms[at]
    if elapsed.min() >= 0 and elapsed.max() <= limit_ms.min():
        return None
    gap = ((elapsed > limit_ms[at]) | (elapsed < 0)) & (last_ms[at] != NEVER)
    return np.where(gap, np.maximum(elapsed, 1), 0) if gap.any() else None


def project(turn: Round, slots: Slots, whole: bool, sensors: int) -> Readings | None:
    """The round's readings of these entries; None when there is none.

    Args: slots: slot of each entry, any order, shape (entries,). whole: they are all slots, in
        order. sensors: how many slots there are.
    """
    if turn.slot is not None:
        return _project_some(turn, slots, whole, sensors)
    if whole:
        return _readings(slice(None), turn.value, turn.time, turn.paused_ms)
    paused = None if turn.paused_ms is None else turn.paused_ms[slots]
    return _readings(slice(None), turn.value[slots], _pick(turn.time, slots), paused)


def _project_some(turn: Round, slots: Slots, whole: bool, sensors: int) -> Readings | None:
    assert turn.slot is not None
    at: slice | Slots
    if whole:
        at, mine = turn.slot, np.arange(len(turn.slot))
    else:
        place = turn.places(sensors)[slots]
        at = np.flatnonzero(place >= 0)
        mine = place[at]
        if len(at) == len(slots):
            at = slice(None)
    if not len(mine):
        return None
    paused = None if turn.paused_ms is None else turn.paused_ms[mine]
    return _readings(at, turn.value[mine], _pick(turn.time, mine), paused)


def _readings(
    at: slice | Slots, value: Floats, time: int | Ints, paused_ms: Ints | None
) -> Readings:
    if paused_ms is None or not paused_ms.any():
        return Readings(at, value, time)
    gaps = np.flatnonzero(paused_ms)
    restart = gaps if isinstance(at, slice) else at[gaps]
    return Readings(at, value, time, restart, paused_ms[gaps])
