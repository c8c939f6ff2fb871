"""Patterns of one gateway: condition events go to the matchers, matches to the life of alerts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from udfs.patterns.event import Event, Match
from udfs.patterns.matcher import Matcher
from udfs.patterns.program import Program
from udfs.rules.model import Rule
from udfs.watch.course import Told
from udfs.watch.lanes import LaneState


class Happened(NamedTuple):
    """A condition of a pattern rule began or ended at an asset. rule: its place in the rule set."""

    rule: int
    asset: int
    event: Event


class OfAsset(NamedTuple):
    """What is to be told of an asset."""

    rule: int
    asset: int
    told: Told


class PatternRules:
    """The rules with a pattern that watch something at this gateway."""

    def __init__(self, rules: Sequence[Rule], present: Iterable[int]) -> None:
        """Args: present: places of rules that have a unit here."""
        self._rules = rules
        self._programs: dict[int, Program] = {}
        for number in sorted(set(present)):
            rule = rules[number]
            if rule.pattern is not None:
                self._programs[number] = rule.pattern.build(list(rule.events or ()))

    def start(self) -> dict[str, Matcher]:
        """A matcher a rule, by the rule's key."""
        return {self._rules[n].key: Matcher(program) for n, program in self._programs.items()}

    def run(
        self, lane: LaneState, happened: Sequence[Happened], horizon_ms: int
    ) -> Iterator[OfAsset]:
        """Feed the events of a batch, in the order of time, and then let time pass."""
        by_rule: Mapping[int, list[Happened]] = _grouped(happened)
        for number in self._programs:
            key = self._rules[number].key
            matcher = lane.matchers[key]
            for one in by_rule.get(number, ()):
                yield from self._event(lane, number, matcher, one)
            for match in matcher.advance(horizon_ms):
                yield from self._matched(lane, number, match)

    def _event(
        self, lane: LaneState, number: int, matcher: Matcher, one: Happened
    ) -> Iterator[OfAsset]:
        rule = self._rules[number]
        for match in matcher.event(one.asset, one.event):
            yield from self._matched(lane, number, match)
        if rule.clear is not None and rule.clear.event == one.event.name:
            for told in lane.life.cleared(rule.key, one.asset, one.event.time_ms):
                yield OfAsset(number, one.asset, told)

    def _matched(self, lane: LaneState, number: int, match: Match) -> Iterator[OfAsset]:
        first = match.events[0][1]
        told = lane.life.matched(
            self._rules[number].key,
            match.asset,
            first.onset_ms,
            match.time_ms,
            len(match.events) + match.left_out,
        )
        for one in told:
            yield OfAsset(number, match.asset, one)


def _grouped(happened: Sequence[Happened]) -> Mapping[int, list[Happened]]:
    """By rule, each in the order of time; events of one time in the order in which they came."""
    groups: dict[int, list[Happened]] = defaultdict(list)
    for one in happened:
        groups[one.rule].append(one)
    for events in groups.values():
        events.sort(key=lambda one: one.event.time_ms)
    return groups
