"""The life of one alert as an obvious model: a clock that ticks second by second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from udfs.rules.model import Rule

S = 1000


@dataclass
class Open:
    onset: int
    level: int = 0
    highest: int = 0
    held: int = 0  # seconds in which the condition held
    quiet: int | None = None  # seconds of quiet at this level
    unmatched: int = 0  # seconds since the newest match


def run(rule: Rule, inputs: Sequence[tuple[int, str]], until_s: int) -> list[tuple[object, ...]]:
    """(status, severity, onset, time) of all events up to `until_s`, times in seconds.

    inputs: (second, begin | end | match | clear), in order.
    """
    steps = rule.escalate
    severities = [rule.severity, *(step.severity for step in steps)]
    after = [0, *(step.after_s for step in steps)]
    down = rule.de_escalate.after_s if rule.de_escalate else None
    gone = None  # seconds without a match after which the pattern's alert ends
    if rule.pattern is not None:
        gone = rule.pattern.within_s if rule.clear is None else rule.clear.after_s
    told: list[tuple[object, ...]] = []
    here: Open | None = None

    def tell(status: str, now: int) -> None:
        assert here is not None
        level = here.highest if status == "resolved" else here.level
        told.append((status, severities[level], here.onset, now))

    def ends(now: int) -> Open | None:
        assert here is not None
        if down is None:
            tell("resolved", now)
            return None
        here.quiet = 0
        return here

    for now in range(until_s + 1):
        if here is not None:
            here.unmatched += 1
            if here.quiet is None:
                here.held += 1
            else:
                here.quiet += 1
        if here is not None and here.quiet is None:
            if gone is not None and here.unmatched >= gone:
                here = ends(now)
            elif here.level + 1 < len(after) and here.held >= after[here.level + 1]:
                here.level += 1
                here.highest = max(here.highest, here.level)
                tell("updated", now)
        elif here is not None and here.quiet == down:
            if here.level == 0:
                tell("resolved", now)
                here = None
            else:
                here.level, here.quiet = here.level - 1, 0
                here.held = int(after[here.level])
                tell("updated", now)
        for _, what in [each for each in inputs if each[0] == now]:
            if what in ("begin", "match"):
                if here is None:
                    here = Open(now)
                    tell("firing", now)
                here.quiet = None
                if what == "match":
                    here.unmatched = 0
            elif here is not None and here.quiet is None:
                here = ends(now)
    return told
