"""Watch one gateway: all rules over its batches, sensor by sensor, alerts out.

    watch = Watch(rules, catalogue)
    alerts = watch.on_batch(batch, arrival_ms)       # batches that are checked and no duplicates
    alerts = watch.on_timer(now_ms)                  # at watch.wake_at() or later
    watch = Watch.restore(rules, catalogue, watch.snapshot())

Deterministic: the same calls give the same alerts under the same ids; no clock, nothing random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import NEVER, Found, State
from udfs.conditions.no_data import NoData
from udfs.rules.model import Rule
from udfs.watch import state as watch_state
from udfs.watch.lanes import Lanes, LaneState, Position
from udfs.watch.silence import Silence
from udfs.watch.telling import Occasion, Teller
from udfs.watch.watched import Lens, Watched, silence_limits, watch_rules

# Readings that came after their tick was closed travel in a batch of their own, behind younger
# ones. Judged in line they would end what is pending and clear what fires, so they are passed over.
# A time that goes further back is a clock that was set, and is followed.
STRAGGLER_MS = 10_000


class Watch:
    """All rules over one gateway.

    changed: whether this watch was restored with rules that its snapshot did not have, or lacks
    some that it had. Whoever runs input since the snapshot again must not throw away what it gives
    then: nobody has heard it yet. (The ids are deterministic, so telling it twice does no harm.)
    """

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue) -> None:
        self.changed = False
        self._catalogue = catalogue
        self._rules = {rule.key: rule for rule in rules}
        self._watched = watch_rules(rules, catalogue)
        self._lens = Lens(catalogue)
        self._teller = Teller(catalogue)
        silence = Silence(silence_limits(rules, catalogue))
        self._kept = watch_state.Kept(Lanes(self._new_lane), silence)

    def on_batch(self, batch: Batch, arrival_ms: int) -> list[AlertEvent]:
        """Judge a batch that is decoded, checked and no duplicate.

        Args: arrival_ms: wall clock. Returns: alerts by rule, then sensor, then time.
        """
        occasion = Occasion(arrival_ms, traceparent=batch.traceparent)
        events = self._disown(batch.time_ms, arrival_ms)
        for back in self._kept.silence.hear(batch.time_ms, arrival_ms):
            events.append(self._teller.gateway(self._rules[back.rule], back, occasion))
        entered = self._kept.lanes.enter(batch)
        if entered is not None:
            lane, continued = entered
            if not 0 < lane.time_ms - batch.time_ms <= STRAGGLER_MS:
                # a finite value may be large enough for its square to overflow; the conditions cope
                with np.errstate(over="ignore", invalid="ignore"):
                    events += self._judge(batch, lane, continued, replace(occasion, late=lane.late))
            for ended in self._kept.lanes.finish():
                events += self._end(ended, replace(occasion, late=True))
        return events

    def on_timer(self, now_ms: int) -> list[AlertEvent]:
        """Judge silence. If it returns nothing, it changed nothing."""
        occasion = Occasion(now_ms)
        return [
            self._teller.gateway(self._rules[silent.rule], silent, occasion)
            for silent in self._kept.silence.judge(now_ms)
        ]

    def wake_at(self) -> int | None:
        """Wall clock, epoch ms, at which `on_timer` must run if nothing comes; None if never."""
        return self._kept.silence.wake_at()

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        return watch_state.dump(self._kept, self._rules, self._watched, len(self._catalogue))

    @classmethod
    def restore(cls, rules: Sequence[Rule], catalogue: Catalogue, data: bytes) -> Watch:
        """The watch that `snapshot` gave, with these rules and this or a later catalogue.

        A rule keeps its state if its name, version and (old) sensors are the same, else it starts
        fresh; alerts of what is gone are resolved with the next batch.
        Raises: BadState: other bytes, or state of a later version.
        """
        watch = cls(rules, catalogue)
        watch.changed = watch_state.load(data, watch._kept, watch._watched, watch._teller)
        return watch

    def _new_lane(self, late: bool, at: Position, time_ms: int) -> LaneState:
        views = {entry.condition.view for entry in self._watched} - {View.ANY}
        return LaneState(
            late=late,
            states=[entry.condition.start(len(entry.group.slots)) for entry in self._watched],
            last_ms={v: np.full(len(self._catalogue), NEVER, np.int64) for v in sorted(views)},
            begin=at,
            begin_ms=time_ms,
            position=at,
            time_ms=time_ms,
        )

    def _judge(
        self, batch: Batch, lane: LaneState, continued: bool, occasion: Occasion
    ) -> Iterator[AlertEvent]:
        seen = self._lens.look(batch, lane, self._watched)
        for entry, state, rounds in zip(self._watched, lane.states, seen, strict=True):
            for readings in rounds:
                for found in entry.condition.step(state, readings):
                    yield self._tell(entry, found, occasion)
            if isinstance(entry.condition, NoData):
                for found in self._missing(entry.condition, state, batch, lane, continued):
                    yield self._tell(entry, found, occasion)
        lane.time_ms = batch.time_ms

    def _missing(
        self, condition: NoData, state: State, batch: Batch, lane: LaneState, continued: bool
    ) -> list[Found]:
        """Who is missing while the gateway reports; its own pauses and holes do not count."""
        elapsed_ms = batch.time_ms - lane.time_ms
        if not continued or not 0 <= elapsed_ms < condition.for_ms.min():
            condition.resume(state, batch.time_ms)
        known = batch.catalogue >= self._catalogue.version
        return condition.tick(state, batch.time_ms, known)

    def _tell(self, entry: Watched, found: Found, occasion: Occasion) -> AlertEvent:
        slot = int(entry.group.slots[found.slot])
        return self._teller.sensor(entry.rule, entry.condition.unit, slot, found, occasion)

    def _end(self, lane: LaneState, occasion: Occasion) -> Iterator[AlertEvent]:
        """The backlog has reached the live range: from there on the live lane tells what fires."""
        for entry, state in zip(self._watched, lane.states, strict=True):
            for slot in map(int, latch.firing(state)):
                onset_ms = int(state["since"][slot])
                found = Found(slot, False, onset_ms, lane.until_ms, np.nan, np.nan)
                yield self._tell(entry, found, occasion)

    def _disown(self, time_ms: int, created_ms: int) -> list[AlertEvent]:
        """Resolve the alerts that a change of rules left behind."""
        left, self._kept.orphans = self._kept.orphans, []
        return [replace(event, event_ms=time_ms, created_ms=created_ms) for event in left]
