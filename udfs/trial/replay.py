"""One gateway's history through `Watch`, with timers between its batches as if time went by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.rules.model import Rule
from udfs.watch.watch import Watch


class Replay:
    """The wall clock is that of the readings, so silence is judged as it would have been."""

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._rules = rules
        self._watch = Watch(rules, catalogue)
        self._now_ms: int | None = None

    def take(self, catalogue: Catalogue, batch: Batch) -> list[AlertEvent]:
        """Judge a batch; a catalogue of a later version replaces the one of before."""
        now_ms = max(batch.time_ms, batch.sent_ms, self._now_ms or 0)
        events = list(self.wait(now_ms)) if self._now_ms is not None else []
        if catalogue.version > self.catalogue.version:
            self.catalogue = catalogue
            self._watch = Watch.restore(self._rules, catalogue, self._watch.snapshot())
        self._now_ms = now_ms
        return events + self._watch.on_batch(batch, now_ms)

    def wait(self, until_ms: int) -> Iterator[AlertEvent]:
        """What is found while nothing comes until then."""
        while (at := self._watch.wake_at()) is not None and at < until_ms:
            yield from self._watch.on_timer(at)
