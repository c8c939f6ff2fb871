"""What all conditions share: the readings they get, what they find, and the latch of an alarm.

A sensor is idle, then pending while its readings are hot, then firing once they were hot for long
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


def quiet(state: State, hot: Bools) -> bool:
    """Whether a step of the latch would change nothing; nearly always so, and cheap to ask."""
    return not hot.any() and not state["phase"].max()


def drop_pending(state: State, readings: Readings) -> None:
    """Durations do not bridge a gap: who was pending before it starts again."""
    if readings.restart is not None:
        phase = state["phase"][readings.restart]
        state["phase"][readings.restart] = np.where(phase == Phase.PENDING, Phase.IDLE, phase)


def step(
    state: State,
    readings: Readings,
    hot: Bools,
    cool: Bools,
    limit: float | Floats,
    for_ms: Whole = 0,
    value: Floats | None = None,
    onset: Ints | None = None,
) -> list[Found]:
    """Move the latches by one reading an entry.

    Args: hot, cool: shape (k,); never both. limit: one, or shape (k,). for_ms: one, or shape
        (entries,). value: what to tell of, the readings themselves unless given. onset: when it
        began, the time of the first hot reading unless given.
    Returns: who began or ceased to fire, ascending by entry.
    """
    phase, since = state["phase"], state["since"]
    touched = np.flatnonzero(hot | (phase[readings.at] != Phase.IDLE))
    slot = touched if isinstance(readings.at, slice) else readings.at[touched]
    was = phase[slot]
    time = pick(readings.time, touched)
    begun = np.where(
        was == Phase.IDLE, time if onset is None else pick(onset, touched), since[slot]
    )
    pending = hot[touched] & (was <= Phase.PENDING)
    fires = pending & (time - begun >= pick(for_ms, slot))
    clears = cool[touched] & (was >= Phase.FIRING)
    now = np.where(was >= Phase.FIRING, was, np.where(pending, Phase.PENDING, Phase.IDLE))
    now[fires], now[clears] = Phase.FIRING, Phase.IDLE
    phase[slot], since[slot] = now, begun
    told = np.flatnonzero(fires | (clears & (was == Phase.FIRING)))
    shown = readings.value if value is None else value
    columns = (slot, fires, begun, time, shown[touched], pick(limit, touched))
    return _found(told, *columns)


def _found(told: Slots, slot: Slots, fires: Bools, begun: Ints, *rest: Any) -> list[Found]:
    times, values, limits = (np.broadcast_to(column, slot.shape) for column in rest)
    return [
        Found(
            int(slot[i]),
            bool(fires[i]),
            int(begun[i]),
            int(times[i]),
            float(values[i]),
            float(limits[i]),
        )
        for i in told
    ]


def inherit(state: State) -> None:
    """Mark what fires as told by another lane."""
    state["phase"][state["phase"] == Phase.FIRING] = Phase.INHERITED


def release(state: State) -> None:
    """Make everything idle that fires: it belongs to another lane."""
    state["phase"][state["phase"] >= Phase.FIRING] = Phase.IDLE


def firing(state: State) -> Slots:
    """Entries that fire and are told of by this lane. Their onset is `state["since"]`."""
    return np.flatnonzero(state["phase"] == Phase.FIRING)
