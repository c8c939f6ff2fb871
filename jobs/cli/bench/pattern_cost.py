"""What the pattern engine costs a condition event: real events, through it alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

from udfs.condition_events import BEGIN, ConditionEvent
from udfs.patterns.event import Event
from udfs.patterns.matcher import Matcher
from udfs.rules.rulebook import Rule


def pattern_us(rules: Sequence[Rule], noted: Sequence[ConditionEvent]) -> float | None:
    """Microseconds of CPU an event, matching and passing of time; None without any event.

    Args: noted: events of one or more gateways, in the order of time at each asset.
    """
    asked = {rule.name: rule for rule in rules if rule.pattern is not None}
    matchers = {
        name: Matcher(rule.pattern.build(list(rule.events or ())))
        for name, rule in asked.items()
        if rule.pattern is not None
    }
    assets: dict[str, int] = {}
    fed = [
        (matchers[one.rule], assets.setdefault(one.key, len(assets)), _event(one))
        for one in noted
        if one.rule in asked and _wanted(asked[one.rule], one)
    ]
    gc.freeze()  # thousands of rules are no part of the engine
    began_s = time.process_time()
    for matcher, asset, event in fed:
        matcher.event(asset, event)
        matcher.advance(event.time_ms)
    spent_s = time.process_time() - began_s
    gc.unfreeze()
    return spent_s / len(fed) * 1e6 if fed else None


def _wanted(rule: Rule, one: ConditionEvent) -> bool:
    """Whether that end of the condition is the event of the pattern."""
    event = (rule.events or {}).get(one.event)
    return event is not None and (event.on == "begin") == (one.phase == BEGIN)


def _event(one: ConditionEvent) -> Event:
    value, limit = one.value or 0.0, one.limit or 0.0
    return Event(one.event, one.time_ms, one.onset_ms, value, limit, slot=0)
