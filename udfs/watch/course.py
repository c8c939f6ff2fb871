"""The course of one alert: what its rule says of it, where it stands, and what comes next.

All times are event time, UTC epoch milliseconds. `udfs/watch/life.py` keeps the alerts of a lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from udfs.alerts import RESOLVED, SEVERITIES, UPDATED
from udfs.rules.base import ms
from udfs.rules.model import Rule


class Told(NamedTuple):
    """What is to be told of an alert.

    text: the template to fill; "" where the teller has words of its own (came down, resolved).
    value, limit: of the newest finding. matched: events of the newest match, 0 without a pattern.
    """

    status: str
    severity: str
    text: str
    onset_ms: int
    event_ms: int
    value: float | None = None
    limit: float | None = None
    matched: int = 0


class Seen(NamedTuple):
    """What a finding or a match showed; as in `Told`."""

    value: float | None = None
    limit: float | None = None
    matched: int = 0


class Levels(NamedTuple):
    """What a rule says of its alerts; the first three have one entry a level.

    after_ms: how long the condition must have held for this level, 0 for the first. down_ms: quiet
    before each step down; None: resolved at once. clear_ms: after which a pattern that does not
    match again is over; None: only an event clears it, or there is no pattern.
    """

    severity: tuple[str, ...]
    text: tuple[str, ...]
    after_ms: tuple[int, ...]
    down_ms: int | None
    clear_ms: int | None

    @classmethod
    def of(cls, rule: Rule) -> Levels:
        """The levels of a rule; without steps it has one, and its alerts are resolved at once."""
        steps = rule.escalate
        return cls(
            (rule.severity, *(step.severity for step in steps)),
            (rule.text, *(step.text or rule.text for step in steps)),
            (0, *(ms(step.after_s) for step in steps)),
            ms(rule.de_escalate.after_s) if rule.de_escalate else None,
            _clear_ms(rule),
        )


def _clear_ms(rule: Rule) -> int | None:
    if rule.pattern is None:
        return None
    if rule.clear is None:
        return ms(rule.pattern.within_s)
    return ms(rule.clear.after_s) if rule.clear.after_s is not None else None


def lives(rule: Rule) -> bool:
    """Whether alerts of this rule have more of a life than firing and resolved."""
    return bool(rule.escalate) or rule.de_escalate is not None or rule.pattern is not None


@dataclass(slots=True)
class Course:
    """Where an alert that fires stands.

    worst: the highest severity so far. since_ms: since when the condition holds (again); when
    `quiet`, since when it is quiet at this level. held_ms: how long the condition had held before
    `since_ms`; who came down to a level has what that level takes. matched_ms: the newest match.
    mine: whether this lane tells of it.
    """

    onset_ms: int
    worst: str
    since_ms: int
    matched_ms: int
    value: float | None
    limit: float | None
    matched: int
    level: int = 0
    held_ms: int = 0
    quiet: bool = False
    mine: bool = True

    @classmethod
    def begin(cls, levels: Levels, onset_ms: int, event_ms: int, seen: Seen) -> Course:
        """An alert that begins to fire."""
        return cls(onset_ms, levels.severity[0], event_ms, event_ms, *seen)

    def go_on(self, event_ms: int, seen: Seen) -> None:
        """The condition holds again, or the pattern matched again."""
        if self.quiet:
            self.quiet, self.since_ms = False, event_ms
        self.matched_ms = max(self.matched_ms, event_ms)
        self.value, self.limit, self.matched = seen

    def end(self, levels: Levels, event_ms: int) -> Told | None:
        """The condition ended. Returns: the end of the alert, if it is over."""
        if levels.down_ms is None:
            return self.over(event_ms)
        self.held_ms += max(0, event_ms - self.since_ms)
        self.quiet, self.since_ms = True, event_ms
        return None

    def run(self, levels: Levels, due_ms: int) -> Told | None:
        """A timer is due: it comes down, is over or escalates. Returns: what is to be told."""
        if self.quiet:
            return self._come_down(levels, due_ms)
        if levels.clear_ms is not None and due_ms >= self.matched_ms + levels.clear_ms:
            return self.end(levels, due_ms)
        self.level += 1
        self.worst = max(self.worst, levels.severity[self.level], key=SEVERITIES.index)
        return self.tell(levels, UPDATED, due_ms)

    def _come_down(self, levels: Levels, due_ms: int) -> Told:
        if not self.level or levels.down_ms is None:
            return self.over(due_ms)
        self.level -= 1
        self.held_ms, self.since_ms = levels.after_ms[self.level], due_ms
        return self.tell(levels, UPDATED, due_ms)

    def timer(self, levels: Levels) -> int | None:
        """Event time at which `run` has something to do."""
        return min(self._timers(levels), default=None)

    def _timers(self, levels: Levels) -> Iterator[int]:
        if self.quiet:
            yield self.since_ms + (levels.down_ms or 0)
            return
        if levels.clear_ms is not None:
            yield self.matched_ms + levels.clear_ms
        if self.level + 1 < len(levels.after_ms):
            yield self.since_ms + levels.after_ms[self.level + 1] - self.held_ms

    def tell(self, levels: Levels, status: str, event_ms: int) -> Told:
        """The event at this level."""
        text = "" if self.quiet else levels.text[self.level]
        return self._told(status, levels.severity[self.level], text, event_ms)

    def over(self, event_ms: int) -> Told:
        """The end of the alert."""
        return self._told(RESOLVED, self.worst, "", event_ms)

    def _told(self, status: str, severity: str, text: str, event_ms: int) -> Told:
        seen = self.value, self.limit, self.matched
        return Told(status, severity, text, self.onset_ms, event_ms, *seen)

    def not_after(self, latest_ms: int) -> None:
        """The clock was set back: nothing may wait until it has caught up."""
        self.since_ms = min(self.since_ms, latest_ms)
        self.matched_ms = min(self.matched_ms, latest_ms)
