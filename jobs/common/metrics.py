"""The metrics that every step of every job has, under the same names.

received, emitted, dead_lettered{reason} and what a step counts (duplicates, late, raised, updated,
resolved, patterns_overflow): counters. event_time_lag_ms: the
largest of the last second, between a live reading's time and its arrival here. What a step's own
`gauges` name (open_minutes, missing_batches): the sum over its gateways, some seconds old. What
rules an operator goes by ("rules_revision", "rulebooks_refused"): as its feed says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pyflink.metrics import Distribution, MetricGroup

from udfs.batch import Reason
from udfs.records import DEAD_LETTERS, Output

_TALLIED = ("duplicates", "late", "raised", "updated", "resolved", "patterns_overflow")
_LAG_EVERY_MS = 1000


class OperatorMetrics:
    """Counters of one operator; opened once, since a lookup by name costs more than a record."""

    def __init__(self, group: MetricGroup) -> None:
        self._received = group.counter("received")
        self._emitted = group.counter("emitted")
        self._tallied = {name: group.counter(name) for name in _TALLIED}
        self._refused = {
            reason.value: group.add_group("reason", reason.value).counter("dead_lettered")
            for reason in Reason
        }
        # set from here; a gauge would call Python from the reporter's thread
        self._lag = group.distribution("event_time_lag_ms")
        self._worst_ms = self._next_ms = 0
        self._group = group
        self._gauges: dict[str, Distribution] = {}
        self._levels: dict[str, dict[str, int]] = {}
        self._sums: Counter[str] = Counter()
        self._shown: dict[str, int] = {}

    def received(self) -> None:
        """One record came."""
        self._received.inc()

    def stepped(self, tally: Counter[str], outputs: Sequence[Output]) -> None:
        """What a step said of itself, and what it gave."""
        for name, count in tally.items():
            self._tallied[name].inc(count)
        if outputs:
            self._emitted.inc(len(outputs))
            for output in outputs:
                if output.topic == DEAD_LETTERS:
                    self._refused[output.headers["reason"]].inc()

    def levels(self, key: str, levels: Mapping[str, int]) -> None:
        """The gauges of one gateway's step, as they are now."""
        before = self._levels.get(key, {})
        self._levels[key] = dict(levels)
        for name, level in levels.items():
            self._sums[name] += level - before.get(name, 0)
            self._gauge(name).update(self._sums[name])

    def shown(self, levels: Mapping[str, int]) -> None:
        """Levels of the operator as a whole."""
        for name, level in levels.items():
            if self._shown.get(name) != level:
                self._gauge(name).update(level)
                self._shown[name] = level

    def lag(self, now_ms: int, event_ms: int) -> None:
        """A live batch's age on arrival."""
        self._worst_ms = max(self._worst_ms, now_ms - event_ms)
        if now_ms >= self._next_ms:
            self._lag.update(self._worst_ms)
            self._worst_ms, self._next_ms = 0, now_ms + _LAG_EVERY_MS

    def _gauge(self, name: str) -> Distribution:
        if name not in self._gauges:
            self._gauges[name] = self._group.distribution(name)
        return self._gauges[name]
