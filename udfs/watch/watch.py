"""Watch one gateway: all rules over its batches, sensor by sensor, alerts out.

    watch = Watch(rules, catalogue)
    alerts = watch.on_batch(batch, arrival_ms)       # batches that are checked and no duplicates
    alerts = watch.on_timer(now_ms)                  # at watch.wake_at() or later
    watch = Watch.restore(rules, catalogue, watch.snapshot())

Deterministic: the same calls give the same alerts under the same ids; no clock, nothing random.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.condition_events import ConditionEvent
from udfs.rules.model import Rule
from udfs.watch.description import Description
from udfs.watch.lanes import Lanes
from udfs.watch.plan import Finding, Judged, Plan
from udfs.watch.restore import load
from udfs.watch.silence import Silence
from udfs.watch.state import Kept, dump
from udfs.watch.telling import About, Occasion, Teller

# Readings that came after their tick was closed travel in a batch of their own, behind younger
# ones. Judged in line they would end what is pending and clear what fires, so they are passed over.
# A time that goes further back is a clock that was set, and is followed.
STRAGGLER_MS = 10_000


class Watch:
    """All rules over one gateway.

    changed: whether this watch was restored with rules that its snapshot did not have, or lacks
    some that it had. Whoever runs input since the snapshot again must not throw away what it gives
    then: nobody has heard it yet. (The ids are deterministic, so telling it twice does no harm.)
    condition_events: of pattern rules that the last call brought.
    given_up: attempts of patterns that were given up for want of room. Whoever counts
    them sets it back to 0.
    """

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue) -> None:
        self.changed = False
        self.condition_events: list[ConditionEvent] = []
        self.given_up = 0
        self._plan = Plan(rules, catalogue)
        self._description: Description | None = None
        self._teller = Teller(catalogue, self._plan.assets)
        silence = Silence(self._plan.silence_ms)
        self._kept = Kept(Lanes(self._plan.start), silence)

    def on_batch(self, batch: Batch, arrival_ms: int) -> list[AlertEvent]:
        """Judge a batch that is decoded, checked and no duplicate.

        Args: arrival_ms: wall clock. Returns: alerts by rule, then sensor, then time.
        """
        self.condition_events = []
        occasion = Occasion(arrival_ms, traceparent=batch.traceparent)
        events = self._disown(batch.time_ms, arrival_ms)
        for back in self._kept.silence.hear(batch.time_ms, arrival_ms):
            events.append(self._teller.gateway(self._plan.by_key[back.rule], back, occasion))
        entered = self._kept.lanes.enter(batch)
        if entered is None:
            return events
        lane, continued = entered
        if not 0 < lane.time_ms - batch.time_ms <= STRAGGLER_MS:
            # a finite value may be large enough for its square to overflow; the conditions cope
            with np.errstate(over="ignore", invalid="ignore"):
                judged = self._plan.judge(batch, lane, continued, arrival_ms)
            self._note(judged, lane.late)
            events += self._tell(judged.findings, replace(occasion, late=lane.late))
        for ended in self._kept.lanes.finish():
            events += self._tell(self._plan.end(ended), replace(occasion, late=True))
        return events

    def on_timer(self, now_ms: int) -> list[AlertEvent]:
        """Judge silence. Before `wake_at` it changes nothing; after it, no time is due."""
        self.condition_events = []
        occasion = Occasion(now_ms)
        events = [
            self._teller.gateway(self._plan.by_key[silent.rule], silent, occasion)
            for silent in self._kept.silence.judge(now_ms)
        ]
        live, wake_ms = self._kept.lanes.live, self._deadline()
        if live is None or wake_ms is None or now_ms < wake_ms:
            return events
        horizon_ms = live.horizon.timer(now_ms)
        if horizon_ms is None:
            live.horizon.missed = True
            return events
        judged = self._plan.pass_time(live, horizon_ms)
        self._note(judged, late=False)
        return events + self._tell(judged.findings, occasion)

    def wake_at(self) -> int | None:
        """Wall clock, epoch ms, at which `on_timer` must run if nothing comes; None if never."""
        times = self._kept.silence.wake_at(), self._deadline()
        return min((time_ms for time_ms in times if time_ms is not None), default=None)

    def _deadline(self) -> int | None:
        """Wall clock at which the next absence will be known without a batch; None if never."""
        live = self._kept.lanes.live
        if live is None or not live.horizon.slow:
            return None
        due_ms = self._plan.deadline_ms(live)
        return None if due_ms is None else live.horizon.wake_for(due_ms)

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        if self._description is None:  # a watch that is thrown away needs none
            self._description = Description.of(self._plan)
        return dump(self._kept, self._plan, self._description)

    @classmethod
    def restore(cls, rules: Sequence[Rule], catalogue: Catalogue, data: bytes) -> Watch:
        """The watch that `snapshot` gave, with these rules and this or a later catalogue.

        A rule keeps its state if its name, version and (old) sensors are the same, else it starts
        fresh; alerts of what is gone are resolved with the next batch.
        Raises: BadState: other bytes, or state of a later version.
        """
        watch = cls(rules, catalogue)
        watch.changed = load(data, watch._kept, watch._plan, watch._teller)
        return watch

    def _tell(self, findings: Iterable[Finding], occasion: Occasion) -> list[AlertEvent]:
        return [self._alert(finding, occasion) for finding in findings]

    def _alert(self, finding: Finding, occasion: Occasion) -> AlertEvent:
        rule = self._plan.rules[finding.rule]
        of_asset, unit, own = self._plan.about[rule.key]
        about = self._about(of_asset, finding.subject, own)
        return self._teller.tell(rule, about, unit, finding.told, occasion)

    def _about(self, of_asset: bool, subject: int, own: str) -> About:
        return self._teller.asset(subject, own) if of_asset else self._teller.sensor(subject)

    def _note(self, judged: Judged, late: bool) -> None:
        """Keep the condition events until the next call."""
        self.given_up += judged.given_up
        self.condition_events = []
        for unit, subject, found in judged.changes:
            rule = self._plan.rules[unit.rule]
            signal = rule.events[unit.event].signal if rule.events else None
            about = self._about(signal is not None, subject, signal.unit if signal else "")
            self.condition_events.append(
                self._teller.condition(rule, unit.event, about, unit.condition.unit, found, late)
            )

    def _disown(self, time_ms: int, created_ms: int) -> list[AlertEvent]:
        """Resolve the alerts that a change of rules left behind."""
        left, self._kept.orphans = self._kept.orphans, []
        return [replace(event, event_ms=time_ms, created_ms=created_ms) for event in left]
