"""What all conditions share: the readings they get, what they find, and the latch of an alarm.

An entry is idle, then pending while its readings are hot, then firing once they were hot for long
enough, and idle again when a reading is cool. Between hot and cool lies the hysteresis.

State is a small set of named arrays whose last axis is the entry, one sensor of one rule, changed
in place by a step. Parameters are columns likewise: one number for all entries, or one an entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from udfs.batch import Bools, Floats

Ints = npt.NDArray[np.int64]
Slots = npt.NDArray[np.intp]
State = dict[str, npt.NDArray[Any]]
Number = float | Floats  # a column: one for all entries, or an array of shape (entries,)
Whole = int | Ints

NEVER = -(2**62)  # as a time: far enough back, and no difference with a real time overflows


class Phase:
    """Phase of an entry, as uint8. INHERITED fires, but another lane tells of it."""

    IDLE, PENDING, FIRING, INHERITED = range(4)


@dataclass(slots=True)
class Readings:
    """Usable readings, at most one an entry; k of them, ascending by entry.

    at: their entries, shape (k,); `slice(None)` when all entries have one.
    value: float64, shape (k,). time: event time, one for all or int64 of shape (k,).
    restart: entries whose reading follows a gap; None when there was no gap, as usual.
    gap_ms: length of these gaps, int64, of the shape of `restart`.
    """

    at: slice | Slots
    value: Floats
    time: int | Ints
    restart: Slots | None = None
    gap_ms: Ints | None = None


class Found(NamedTuple):
    """An entry began or ceased to fire. slot: the entry. value, limit: in the condition's unit."""

    slot: int
    firing: bool
    onset_ms: int
    event_ms: int
    value: float
    limit: float


def start(entries: int) -> State:
    """Latches that are idle, 9 bytes an entry."""
    return {"since": np.full(entries, NEVER, np.int64), "phase": np.zeros(entries, np.uint8)}


def pick(column: Any, at: int | slice | Slots) -> Any:
    """A column at these places; one number for all stays one."""
    return column[at] if isinstance(column, np.ndarray) else column


def entries(at: slice | Slots, places: Slots) -> Slots:
    """The entries of the readings at these places."""
    return places if isinstance(at, slice) else at[places]


def restart(state: State, readings: Readings) -> None:
    """Durations do not bridge a gap: who was pending before it starts again."""
    if readings.restart is not None:
        phase = state["phase"][readings.restart]
        state["phase"][readings.restart] = np.where(phase == Phase.PENDING, Phase.IDLE, phase)


class Touched(NamedTuple):
    """The few readings that may move a latch, t of them.

    at: their places among the readings, ascending. entry, time, value, hot: theirs, shape (t,);
    time may be one for all.
    """

    at: Slots
    entry: Slots
    time: Any
    value: Floats
    hot: Bools


def touch(state: State, readings: Readings, hot: Bools) -> Touched | None:
    """Readings that are hot, or of entries that are not idle. None when there are none.

    Nearly always so, and two reductions tell it.
    """
    phase = state["phase"]
    if not hot.any() and not phase.max(initial=0):
        return None
    at = np.flatnonzero(hot | (phase[readings.at] != Phase.IDLE))
    entry, time = entries(readings.at, at), pick(readings.time, at)
    return Touched(at, entry, time, readings.value[at], hot[at])


def step(
    state: State,
    touched: Touched,
    cool: Bools,
    limit: float | Floats,
    for_ms: Whole,
    onset: Ints | None = None,
) -> list[Found]:
    """Move the latches by one reading an entry.

    Args: cool: shape (t,), never true where hot is. limit: one, or shape (t,). for_ms: one, or
        shape (entries,). onset: when it began, the time of the first hot reading unless given.
    Returns: who began or ceased to fire, ascending by entry.
    """
    phase, since, entry = state["phase"], state["since"], touched.entry
    was = phase[entry]
    first = touched.time if onset is None else onset
    begun = np.where(was == Phase.IDLE, first, since[entry])
    pending = touched.hot & (was <= Phase.PENDING)
    fires = pending & (touched.time - begun >= pick(for_ms, entry))
    clears = cool & (was >= Phase.FIRING)
    now = np.where(was >= Phase.FIRING, was, np.where(pending, Phase.PENDING, Phase.IDLE))
    now[fires], now[clears] = Phase.FIRING, Phase.IDLE
    phase[entry], since[entry] = now, begun
    return tell(touched, fires, clears & (was == Phase.FIRING), begun, limit)


def tell(
    touched: Touched, fires: Bools, ended: Bools, begun: Ints, limit: float | Floats
) -> list[Found]:
    """What is found where latches fire or ended. begun: shape (t,). limit: one, or shape (t,)."""
    times, limits = (np.broadcast_to(c, begun.shape) for c in (touched.time, limit))
    return [
        Found(
            int(touched.entry[i]),
            bool(fires[i]),
            int(begun[i]),
            int(times[i]),
            float(touched.value[i]),
            float(limits[i]),
        )
        for i in np.flatnonzero(fires | ended)
    ]


def inherit(state: State, entries: Bools) -> None:
    """Mark what fires of these entries, shape (entries,), as told by another lane."""
    state["phase"][(state["phase"] == Phase.FIRING) & entries] = Phase.INHERITED


def release(state: State) -> None:
    """Make everything idle that fires: it belongs to another lane."""
    fires = state["phase"] >= Phase.FIRING
    state["phase"][fires] = Phase.IDLE
    if "history" in state:  # of udfs.conditions.times
        state["history"][fires] = 0


def firing(state: State) -> Slots:
    """Entries that fire and are told of by this lane. Their onset is `state["since"]`."""
    return np.flatnonzero(state["phase"] == Phase.FIRING)
