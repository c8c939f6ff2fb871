"""Dumped state into a fresh watch: what stayed goes on, what is gone leaves orphans."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from udfs.alerts import RESOLVED, AlertEvent, from_json
from udfs.patterns.matcher import Matcher
from udfs.watch.course import Told
from udfs.watch.description import Array, places, signal_text, subjects_of, unit_sum
from udfs.watch.horizon import Horizon
from udfs.watch.lanes import LaneState
from udfs.watch.life import Life
from udfs.watch.past import Past
from udfs.watch.plan import Plan
from udfs.watch.silence import Silent
from udfs.watch.state import Kept, read
from udfs.watch.telling import Occasion, Teller
from udfs.watch.units import Unit


@dataclass(frozen=True, slots=True)
class PastRule:
    """What is left of a rule that is gone."""

    name: str
    version: int
    severity: str
    text: str = ""


def load(data: bytes, kept: Kept, plan: Plan, teller: Teller) -> bool:
    """Put dumped state into a fresh watch.

    Returns: whether the rules changed: one starts fresh, or alerts of one became orphans.
    Raises: BadState: other bytes, state of a later version, or of a larger catalogue.
    """
    past = Past(*read(data, plan))
    going_on = [unit for unit in plan.units if _fits(plan, unit, past)]
    lanes = [_lane(number, past, plan, going_on) for number in range(len(past.head["lanes"]))]
    kept.lanes.live = lanes.pop(0) if past.head["live"] else None
    kept.lanes.backlogs = lanes
    silence, (heard_ms, newest_ms, onsets) = kept.silence, past.head["silence"]
    silence.heard_ms, silence.newest_ms = heard_ms, newest_ms
    silence.onset_ms = {key: time for key, time in onsets.items() if key in silence.for_ms}
    gone = past.units.keys() - {unit.key for unit in going_on}
    kept.orphans = [from_json(text.encode()) for text in past.head["orphans"]]
    tell = _Orphans(past, teller)
    kept.orphans += tell.of_conditions(gone)
    living = _living(plan, going_on, past)
    kept.orphans += [event for lane in kept.lanes.all() for event in tell.of_life(lane, living)]
    kept.orphans += tell.of_gateway(set(onsets) - set(silence.onset_ms))
    return len(going_on) < len(plan.units) or bool(kept.orphans)


def _fits(plan: Plan, unit: Unit, past: Past) -> bool:
    """Whether it was there, with the same kind of condition and the same (old) subjects."""
    old = past.units.get(unit.key)
    if old is None or old.kind != type(unit.condition).__name__:
        return False
    limit = past.head["sensors"] if unit.signal is None else past.head["assets"]
    entries = int(np.searchsorted(subjects_of(plan, unit), limit))
    return old.entries == entries and old.sum == unit_sum(plan, unit, entries)


def _living(plan: Plan, going_on: Collection[Unit], past: Past) -> set[str]:
    """Rules whose alerts go on: the unit of the condition stayed, or it is a pattern as before."""
    stayed = {unit.key for unit in going_on}  # the unit of a condition has the key of its rule
    return {
        key
        for key, rule in plan.by_key.items()
        if key in stayed or (rule.pattern is not None and key not in past.units)
    }


def _lane(number: int, past: Past, plan: Plan, going_on: Collection[Unit]) -> LaneState:
    was = past.head["lanes"][number]
    lane = plan.start(was["late"], tuple(was["begin"]), was["begin_ms"])
    lane.position, lane.time_ms = tuple(was["position"]), was["time_ms"]
    lane.until = tuple(was["until"]) if was["until"] else None
    lane.until_ms = was["until_ms"]
    for view, last_ms in lane.last_ms.items():
        _fill(last_ms, past.view(number, view))
    bank_of, first = places(plan)
    for unit in going_on:
        old, state = past.units[unit.key], lane.states[bank_of[unit.number]]
        at = slice(first[unit.number], first[unit.number] + len(unit.slots))
        for name, array in state.items():
            _fill(array[..., at], past.array(number, old, name))
    _load_signals(number, past, plan, lane)
    _load_sparse(was, plan, lane)
    return lane


def _fill(array: Array, old: Array | None) -> None:
    """Put what was before in front; sensors that came since keep what they start with."""
    if old is not None and old.shape[:-1] == array.shape[:-1] and old.shape[-1] <= array.shape[-1]:
        array[..., : old.shape[-1]] = old


def _load_signals(number: int, past: Past, plan: Plan, lane: LaneState) -> None:
    for signal, state in zip(plan.lens.signals, lane.signals, strict=True):
        found = past.signal(number, signal_text(signal))
        if found and found["/last_ms"].shape == state.last_ms.shape:
            _fill(state.last_ms, found["/last_ms"])
            for name, array in state.inputs.items():
                _fill(array, found.get(name))


def _load_sparse(was: Mapping[str, Any], plan: Plan, lane: LaneState) -> None:
    """Matchers, life of alerts and horizon; version 1 had none of them."""
    if "life" not in was:
        return
    lane.horizon = Horizon.from_fields(lane.horizon.fastest_ms, was["horizon"])
    lane.life = Life.from_plain(plan.by_key, was["life"])
    for key, matcher in lane.matchers.items():
        if key in was["matchers"]:
            lane.matchers[key] = Matcher.from_plain(matcher.program, was["matchers"][key])


@dataclass(frozen=True)
class _Orphans:
    """Resolves what fired by rules that are gone. Times of now are filled in when it is told."""

    past: Past
    teller: Teller

    def of_conditions(self, gone: Collection[str]) -> Iterator[AlertEvent]:
        """Of these units."""
        for unit in (self.past.units[key] for key in sorted(gone)):
            for number, lane in enumerate(self.past.head["lanes"]):
                for subject, onset_ms in () if unit.event else self.past.firing(number, unit):
                    if (unit.rule, subject) not in self.past.lively:
                        yield self._ended(unit.rule, subject, onset_ms, lane["late"])

    def of_life(self, lane: LaneState, living: Collection[str]) -> Iterator[AlertEvent]:
        """Of all rules whose alerts had a life, but for those where they go on."""
        for rule in lane.life.rules():
            ended = [] if rule in living else lane.life.drop(rule, 0)
            # of a rule that had nothing to watch, but an alert still, states once said no more
            for subject, told in ended if rule in self.past.named else ():
                yield self._ended(rule, subject, told.onset_ms, lane.late, told.severity)

    def of_gateway(self, gone: Collection[str]) -> Iterator[AlertEvent]:
        """The gateway's silence, by these rules."""
        for key in sorted(gone):
            silent = Silent(key, False, self.past.head["silence"][2][key], 0, 0.0, 0.0)
            yield self.teller.gateway(PastRule(*self.past.named[key]), silent, Occasion(0))

    def _ended(
        self, rule: str, subject: int, onset_ms: int, late: bool, severity: str | None = None
    ) -> AlertEvent:
        was = PastRule(*self.past.named[rule])
        of_asset, unit, own = self.past.about(rule)
        about = self.teller.asset(subject, own) if of_asset else self.teller.sensor(subject)
        told = Told(RESOLVED, severity or was.severity, "", onset_ms, 0)
        return self.teller.tell(was, about, unit, told, Occasion(0, late))
