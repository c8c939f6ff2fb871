"""The metrics that every step of every job has, under the same names.

received, emitted, duplicates, late, dead_lettered{reason}: counters. event_time_lag_ms: the
largest of the last second, between a live reading's time and its arrival here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pyflink.metrics import MetricGroup

from udfs.batch import Reason
from udfs.records import DEAD_LETTERS, Output

_TALLIED = ("duplicates", "late", "missing", "raised", "resolved")
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

    def lag(self, now_ms: int, event_ms: int) -> None:
        """A live batch's age on arrival."""
        self._worst_ms = max(self._worst_ms, now_ms - event_ms)
        if now_ms >= self._next_ms:
            self._lag.update(self._worst_ms)
            self._worst_ms, self._next_ms = 0, now_ms + _LAG_EVERY_MS
