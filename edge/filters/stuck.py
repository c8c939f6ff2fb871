"""Signals that do not move although they should: the very same value for too long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.block import Bools, Times
from edge.filters.columns import Columns, Ints, extended, fitted
from edge.filters.settings import Chosen
from edge.registry import Sensor
from udfs.batch import Quality


class Stuck:
    """State by slot: the newest value, and since when it has been that."""

    def __init__(self) -> None:
        self._limit_ms = np.empty(0, np.int64)  # 0: not watched
        self._value = np.empty(0)
        self._since_ms = np.empty(0, np.int64)
        self._idle = True

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors."""
        limits = [round(c.stuck.stuck_s * 1000) if c.stuck else 0 for c in chosen]
        self._limit_ms = extended(self._limit_ms, limits)
        self._value = extended(self._value, [np.nan] * len(sensors))
        self._since_ms = extended(self._since_ms, [0] * len(sensors))
        self._idle = self._idle and not any(limits)

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """Good readings of a signal that has not moved for its limit are flagged stuck."""
        if self._idle or columns.late or not len(columns):
            return columns
        since_ms = self._follow(columns)
        limit_ms = columns.at(self._limit_ms)
        stuck = (limit_ms > 0) & (columns.time_ms - since_ms >= limit_ms) & columns.good()
        if not stuck.any():
            return columns
        counts["flagged_stuck"] += int(stuck.sum())
        return columns.flagged(stuck, Quality.STUCK)

    def replay(self, sent: Columns) -> None:
        """Follow what was sent. Equal readings that a deadband held back change nothing here."""
        if not self._idle and len(sent):
            self._follow(sent)

    def _follow(self, columns: Columns) -> Times:
        """Note the newest values. Returns: since when each reading's value has been shown."""
        first = columns.firsts()
        slot = columns.slot[first]
        moved = np.append(True, columns.value[1:] != columns.value[:-1])
        moved[first] = columns.value[first] != self._value[slot]
        since_ms = _since(columns.time_ms, moved, first, self._since_ms[slot])
        last = np.append(first[1:], len(columns)) - 1
        self._value[slot] = columns.value[last]
        self._since_ms[slot] = since_ms[last]
        return since_ms

    def to_fields(self) -> dict[str, Any]:
        """State as arrays, for `udfs.state.pack`."""
        return {"value": self._value, "since_ms": self._since_ms}

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave."""
        self._value = fitted(fields["value"], self._value)
        self._since_ms = fitted(fields["since_ms"], self._since_ms)


def _since(time_ms: Times, moved: Bools, first: Ints, before_ms: Times) -> Times:
    """Time of the last move at or before each reading; `before_ms` where its sensor had none yet.

    first: positions of the sensors' first readings; before_ms: of those sensors.
    """
    stays = first[~moved[first]]
    starts_ms = time_ms.copy()
    starts_ms[stays] = before_ms[~moved[first]]
    begins = moved.copy()
    begins[stays] = True
    at = np.maximum.accumulate(np.where(begins, np.arange(len(moved)), 0))
    since: Times = starts_ms[at]
    return since
