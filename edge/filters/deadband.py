"""Small changes are not sent, but at times a sign of life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.block import Bools, Floats
from edge.filters.columns import Columns, Ints, extended, fitted
from edge.filters.settings import Chosen
from edge.registry import Sensor

_NO_QUALITY = 255
_NEVER = -(1 << 62)


class Deadband:
    """State by slot: value, time and quality that were sent last."""

    def __init__(self) -> None:
        self._band = np.empty(0)  # below 0: everything is sent
        self._heartbeat_ms = np.empty(0, np.int64)
        self._value = np.empty(0)
        self._time_ms = np.empty(0, np.int64)
        self._quality = np.empty(0, np.uint8)
        self._idle = True

    def grow(self, sensors: Sequence[Sensor], chosen: Sequence[Chosen]) -> None:
        """New sensors."""
        bands = [_band(s, c) for s, c in zip(sensors, chosen, strict=True)]
        beats = [round(c.deadband.heartbeat_s * 1000) if c.deadband else 0 for c in chosen]
        self._band = extended(self._band, bands)
        self._heartbeat_ms = extended(self._heartbeat_ms, beats)
        self._value = extended(self._value, [np.nan] * len(sensors))
        self._time_ms = extended(self._time_ms, [_NEVER] * len(sensors))
        self._quality = extended(self._quality, [_NO_QUALITY] * len(sensors))
        self._idle = self._idle and all(band < 0 for band in bands)

    def apply(self, columns: Columns, counts: Counter[str]) -> Columns:
        """A reading passes when it is further than the deadband from the one that was sent last,
        or `heartbeat_s` after it, or of another quality. Late ones are judged by themselves."""
        if self._idle or not len(columns):
            return columns
        if columns.late:
            return self._alone()._judged(columns, counts)
        return self._judged(columns, counts)

    def _judged(self, columns: Columns, counts: Counter[str]) -> Columns:
        passes = np.ones(len(columns), np.bool_)
        watched = columns.at(self._band) >= 0
        for turn in _turns(columns, watched):
            passes[turn] = self._passes(columns, turn)
            self._note(columns, turn[passes[turn]])
        if passes.all():
            return columns
        counts["deadband"] += len(columns) - int(passes.sum())
        return columns.keep(passes)

    def _passes(self, columns: Columns, turn: Ints) -> Bools:
        slot = columns.slot[turn]
        due = columns.time_ms[turn] - self._time_ms[slot] >= self._heartbeat_ms[slot]
        other = columns.quality[turn] != self._quality[slot]
        moved = _moved(columns.value[turn], self._value[slot], self._band[slot])
        passes: Bools = moved | due | other
        return passes

    def _note(self, columns: Columns, at: Ints) -> None:
        slot = columns.slot[at]
        self._value[slot] = columns.value[at]
        self._time_ms[slot] = columns.time_ms[at]
        self._quality[slot] = columns.quality[at]

    def _alone(self) -> Deadband:
        """The same bands without a memory."""
        other = Deadband()
        other._band, other._heartbeat_ms = self._band, self._heartbeat_ms
        other._value = np.full_like(self._value, np.nan)
        other._time_ms = np.full_like(self._time_ms, _NEVER)
        other._quality = np.full_like(self._quality, _NO_QUALITY)
        return other

    def replay(self, sent: Columns) -> None:
        """All that was sent is what is compared with."""
        if self._idle or not len(sent):
            return
        last = np.append(sent.firsts()[1:], len(sent)) - 1
        self._note(sent, last[sent.time_ms[last] > self._time_ms[sent.slot[last]]])

    def to_fields(self) -> dict[str, Any]:
        """State as arrays, for `udfs.state.pack`."""
        return {"value": self._value, "time_ms": self._time_ms, "quality": self._quality}

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave."""
        self._value = fitted(fields["value"], self._value)
        self._time_ms = fitted(fields["time_ms"], self._time_ms)
        self._quality = fitted(fields["quality"], self._quality)


def _band(sensor: Sensor, chosen: Chosen) -> float:
    deadband = chosen.deadband
    if deadband is None:
        return -1.0
    if deadband.absolute is not None:
        return deadband.absolute
    assert deadband.percent is not None
    span = sensor.high - sensor.low
    return deadband.percent / 100 * span if np.isfinite(span) else -1.0


def _moved(value: Floats, last: Floats, band: Floats) -> Bools:
    """Whether values are further apart than the band; not a number equals not a number."""
    with np.errstate(invalid="ignore"):  # infinite values
        near = (np.abs(value - last) <= band) | (value == last)
    moved: Bools = ~near & ~(np.isnan(value) & np.isnan(last))
    return moved


def _turns(columns: Columns, watched: Bools) -> list[Ints]:
    """Positions of each watched sensor's first reading, then of the second ones, and so on: each
    is compared with what was sent before it, so those of one sensor come one after another."""
    at = np.flatnonzero(watched)
    if columns.single or not len(at):
        return [at]
    slot = columns.slot[at]
    first = np.flatnonzero(np.append(True, slot[1:] != slot[:-1]))
    turn = np.arange(len(at)) - np.repeat(first, np.diff(np.append(first, len(at))))
    order = np.argsort(turn, kind="stable")
    return np.split(at[order], np.cumsum(np.bincount(turn))[:-1])
