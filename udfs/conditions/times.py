"""The latch that counts: n of the last m readings are hot.

It fires with the reading that makes n of the last m hot, and its onset is the first of these n. It
ends when the last m readings are all cool, so a signal that flutters is one alarm. After a gap it
counts anew; what fires goes on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from udfs.batch import Bools, Floats
from udfs.conditions import latch
from udfs.conditions.latch import NEVER, Found, Ints, Phase, Readings, State, Touched, Whole, pick

MOST = 64  # readings that one uint64 an entry remembers

_ONE = np.uint64(1)
_ALL = np.uint64(2**64 - 1)


def start(entries: int, at_least: int) -> State:
    """No reading yet, 18 bytes an entry and 8 for each of `at_least`.

    history: the last readings as bits, the newest lowest: hot, or while it fires: not cool.
    hot_ms: times of the last hot readings, a ring; place: the row of the oldest.
    """
    return latch.start(entries) | {
        "history": np.zeros(entries, np.uint64),
        "hot_ms": np.full((at_least, entries), NEVER, np.int64),
        "place": np.zeros(entries, np.uint8),
    }


def restart(state: State, readings: Readings) -> None:
    """Who does not fire counts anew after a gap."""
    latch.restart(state, readings)
    if readings.restart is not None:
        idle = state["phase"][readings.restart] == Phase.IDLE
        state["history"][readings.restart[idle]] = 0


def step(
    state: State,
    touched: Touched,
    cool: Bools,
    limit: float | Floats,
    at_least: int,
    of: Whole,
) -> list[Found]:
    """Move the latches by one reading an entry; all as in `latch.step`.

    Args: at_least: n, the same for all. of: m, from n to `MOST`, one or shape (entries,).
    """
    phase, since, entry = state["phase"], state["since"], touched.entry
    was = phase[entry]
    fired = was >= Phase.FIRING
    onset = _note(state, touched, at_least)
    history = _remember(state, touched, np.where(fired, ~cool, touched.hot), of)
    fires = ~fired & touched.hot & (np.bitwise_count(history) >= at_least)
    clears = fired & (history == 0)
    now = np.where(fired, was, np.where(history != 0, Phase.PENDING, Phase.IDLE))
    now[fires], now[clears] = Phase.FIRING, Phase.IDLE
    begun = np.where(fires, onset, since[entry])
    phase[entry], since[entry] = now, begun
    return latch.tell(touched, fires, clears & (was == Phase.FIRING), begun, limit)


def _note(state: State, touched: Touched, at_least: int) -> Ints:
    """Keep the times of hot readings. Returns: time of the n-th last hot one, shape (t,)."""
    hot = np.flatnonzero(touched.hot)
    entry = touched.entry[hot]
    place = state["place"][entry]
    state["hot_ms"][place, entry] = pick(touched.time, hot)
    state["place"][entry] = (place + 1) % at_least
    oldest: Ints = state["hot_ms"][state["place"][touched.entry], touched.entry]
    return oldest


def _remember(state: State, touched: Touched, bit: Bools, of: Whole) -> npt.NDArray[np.uint64]:
    forgotten = MOST - np.asarray(pick(of, touched.entry))
    mask = _ALL >> forgotten.astype(np.uint64)
    history: npt.NDArray[np.uint64] = ((state["history"][touched.entry] << _ONE) | bit) & mask
    state["history"][touched.entry] = history
    return history
