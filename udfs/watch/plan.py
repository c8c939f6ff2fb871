"""What one gateway's rules come down to, and how a batch is judged by them.

plan = Plan(rules, catalogue)
lane = plan.start(late, position, time_ms)
judged = plan.judge(batch, lane, continued, arrival_ms)
judged = plan.pass_time(lane, horizon_ms)       # what is about absence, without a batch
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from udfs.alerts import FIRING, RESOLVED
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions import latch
from udfs.conditions.latch import Found, State
from udfs.conditions.no_data import NoData
from udfs.patterns.event import Event
from udfs.rules.model import Rule
from udfs.watch.assets import Assets
from udfs.watch.banks import Bank, fuse_units
from udfs.watch.course import Told, lives
from udfs.watch.horizon import Horizon
from udfs.watch.lanes import LaneState, Position
from udfs.watch.lens import Lens
from udfs.watch.life import Life
from udfs.watch.pattern_rules import Happened, PatternRules
from udfs.watch.units import Binder, Unit, silence_limits


class Finding(NamedTuple):
    """What is to be told. rule: its place. subject: a sensor's slot, or the number of an asset."""

    rule: int
    subject: int
    told: Told


class Change(NamedTuple):
    """A condition of a pattern rule began or ended: a condition event. subject: as in a finding."""

    unit: Unit
    subject: int
    found: Found

    @property
    def is_event(self) -> bool:
        """Whether the pattern asks for this end of it."""
        return self.found.firing == self.unit.begins


class Judged(NamedTuple):
    """What a batch brought: findings by rule, then sensor, then time; condition events; and how
    many attempts of patterns were given up for want of room."""

    findings: list[Finding]
    changes: list[Change]
    given_up: int


class Plan:
    """All rules bound to one gateway's catalogue.

    rules: all. by_key: those that have anything to watch here. about: what the alerts of those that
    have a unit here are about, by key.
    """

    def __init__(self, rules: Sequence[Rule], catalogue: Catalogue) -> None:
        binder = Binder(catalogue)
        self.rules = tuple(rules)
        self.catalogue = catalogue
        self.assets = Assets(catalogue)
        self.units = binder.units(rules)
        self.banks = fuse_units(self.units, self.assets)
        self._patterns = PatternRules(self.rules, (unit.rule for unit in self.units))
        self.silence_ms = silence_limits(rules, binder, catalogue)
        self.lens = Lens(catalogue, self.banks)
        self._lively = [bank.entries_of(self._is_lively) for bank in self.banks]
        self._place = {rule.key: place for place, rule in enumerate(rules)}
        self.about = {rules[unit.rule].key: _about(rules[unit.rule], unit) for unit in self.units}
        here = self.about.keys() | self.silence_ms.keys()
        self.by_key = {rule.key: rule for rule in rules if rule.key in here}
        self._fastest_ms = int(catalogue.period_ms.min(initial=2**31 - 1))

    def _is_lively(self, unit: Unit) -> bool:
        return lives(self.rules[unit.rule])

    def start(self, late: bool, at: Position, time_ms: int) -> LaneState:
        """A lane that knows nothing."""
        return LaneState(
            late=late,
            states=[bank.start() for bank in self.banks],
            last_ms=self.lens.start_views(),
            signals=self.lens.start_signals(),
            matchers=self._patterns.start(),
            life=Life(self.by_key),
            lively=self._lively,
            horizon=Horizon(self._fastest_ms),
            begin=at,
            begin_ms=time_ms,
            position=at,
            time_ms=time_ms,
        )

    def judge(self, batch: Batch, lane: LaneState, continued: bool, arrival_ms: int) -> Judged:
        """Judge a batch.

        Args: continued: whether it follows the lane's newest batch without a missing one.
        """
        elapsed_ms = batch.time_ms - lane.time_ms
        # a number is missing but no time: a late tick is on its way in the other lane
        seamless = continued or 0 < elapsed_ms <= lane.horizon.tick_ms
        if not seamless:
            lane.skip()
        horizon_ms = lane.horizon.batch(batch.time_ms, continued, arrival_ms)
        paused_ms = elapsed_ms if seamless and elapsed_ms >= 0 else None
        known = batch.catalogue >= self.catalogue.version
        found: list[tuple[Bank, Found]] = []
        seen = self.lens.look(batch, lane)
        for bank, state, rounds in zip(self.banks, lane.states, seen, strict=True):
            found += [(bank, one) for one in bank.test(state, rounds, batch.time_ms)]
            condition = bank.condition
            if isinstance(condition, NoData) and bank.judges(batch.time_ms):
                if paused_ms is None or paused_ms >= condition.least_ms:
                    condition.resume(state, batch.time_ms, paused_ms)
                found += [(bank, one) for one in condition.tick(state, horizon_ms, known)]
        lane.time_ms = batch.time_ms
        return self._conclude(lane, found, horizon_ms)

    def pass_time(self, lane: LaneState, horizon_ms: int) -> Judged:
        """Judge what is due by the horizon although no batch came."""
        found: list[tuple[Bank, Found]] = []
        for bank, state, silence in self._silences(lane):
            # one deadline after the other: each is judged by the schedule of its own time
            while (due_ms := _due(bank, state, silence)) is not None and due_ms <= horizon_ms:
                found += [(bank, one) for one in silence.tick(state, due_ms, False)]
        return self._conclude(lane, found, horizon_ms)

    def deadline_ms(self, lane: LaneState) -> int | None:
        """Event time at which `pass_time` would find something next; None if never."""
        due = [matcher.deadline_ms() for matcher in lane.matchers.values()]
        due.append(lane.life.due_ms())
        due += [_due(*each) for each in self._silences(lane)]
        return min((time_ms for time_ms in due if time_ms is not None), default=None)

    def end(self, lane: LaneState) -> list[Finding]:
        """The backlog has reached the live range: from there on the live lane tells what fires."""
        findings = []
        for bank, state in zip(self.banks, lane.states, strict=True):
            for entry in map(int, latch.firing(state)):
                unit = bank.units_of(entry)[0]  # only events have more than one
                if unit.event or lane.life.takes(self.rules[unit.rule].key):
                    continue
                onset_ms = int(state["since"][entry])
                found = Found(entry, False, onset_ms, lane.until_ms, np.nan, np.nan)
                findings.append(self._plain(unit, bank, found))
        for key, subject, told in lane.life.finish(lane.until_ms):
            findings.append(Finding(self._place[key], subject, told))
        return sorted(findings, key=lambda finding: finding.rule)

    def _silences(self, lane: LaneState) -> Iterator[tuple[Bank, State, NoData]]:
        for bank, state in zip(self.banks, lane.states, strict=True):
            if isinstance(bank.condition, NoData):
                yield bank, state, bank.condition

    def _conclude(
        self, lane: LaneState, found: Sequence[tuple[Bank, Found]], horizon_ms: int
    ) -> Judged:
        """From what conditions found to what is told."""
        findings: list[Finding] = []
        changes: list[Change] = []
        located = [(unit, bank, one) for bank, one in found for unit in bank.units_of(one.slot)]
        # stable: what one unit found stays in the order in which it was found
        for unit, bank, one in sorted(located, key=lambda each: each[0].number):
            rule, subject = self.rules[unit.rule], int(bank.subjects[one.slot])
            if unit.event:
                changes.append(Change(unit, subject, one))
            elif lane.life.takes(rule.key):
                told = lane.life.found(rule.key, subject, one)
                findings += [Finding(unit.rule, subject, each) for each in told]
            else:
                findings.append(self._plain(unit, bank, one))
        happened = [self._happened(change) for change in changes if change.is_event]
        before = lane.overflow if happened else 0
        for rule_place, asset, each in self._patterns.run(lane, happened, horizon_ms):
            findings.append(Finding(rule_place, asset, each))
        for key, subject, each in lane.life.advance(horizon_ms):
            findings.append(Finding(self._place[key], subject, each))
        findings.sort(key=lambda finding: finding.rule)
        return Judged(findings, changes, lane.overflow - before if happened else 0)

    def _happened(self, change: Change) -> Happened:
        unit, subject, found = change
        asset = subject if unit.signal is not None else int(self.assets.of_slot[subject])
        event = Event(unit.event, found.event_ms, found.onset_ms, found.value, found.limit, subject)
        return Happened(unit.rule, asset, event)

    def _plain(self, unit: Unit, bank: Bank, found: Found) -> Finding:
        """A finding of a rule whose alerts fire and are resolved, and nothing more."""
        rule = self.rules[unit.rule]
        told = Told(
            FIRING if found.firing else RESOLVED,
            rule.severity,
            rule.text if found.firing else "",
            found.onset_ms,
            found.event_ms,
            found.value,
            found.limit,
        )
        return Finding(unit.rule, int(bank.subjects[found.slot]), told)


def _due(bank: Bank, state: State, silence: NoData) -> int | None:
    """When the next entry will be silent for too long; None if none can be, or nobody asks then."""
    due_ms = silence.deadline_ms(state)
    return due_ms if due_ms is not None and bank.judges(due_ms) else None


class RuleAbout(NamedTuple):
    """What the alerts of a rule are about. unit: of values, "{}" is the subject's own, which for an
    asset is `own`."""

    of_asset: bool
    unit: str
    own: str


def _about(rule: Rule, unit: Unit) -> RuleAbout:
    if rule.pattern is not None:
        return RuleAbout(True, "", "")
    if rule.signal is not None:
        return RuleAbout(True, unit.condition.unit, rule.signal.unit)
    return RuleAbout(False, unit.condition.unit, "")
