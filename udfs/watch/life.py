"""The life of alerts that do more than fire and end: they escalate, come down, and patterns clear.

    life = Life(rules)                                   # by key; of one lane
    told = life.found("gland-leak@1", slot, found)       # a condition began or ended
    told = life.matched("flood@1", asset, ...)           # a pattern matched
    for rule, subject, told in life.advance(horizon_ms)  # what became due

A subject is a number: of a sensor or an asset. All times are event time. An alert's own timers come
before a finding of the same time or a later one, so what is told depends on the times of findings
alone, not on how they were batched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

from udfs.alerts import FIRING, RESOLVED, finite
from udfs.batch import MAX_FUTURE_MS
from udfs.conditions.latch import Found
from udfs.deadlines import Deadlines
from udfs.rules.model import Rule
from udfs.state import BadState
from udfs.watch.course import Course, Levels, Seen, Told, lives

_VERSION = 1

Key = tuple[str, int]


class Life:
    """The alerts of one lane that fire. Sparse: an entry an alert, and a heap of what is due.

    rules: by key; those that `lives` says have a life, others are passed over.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._levels = {key: Levels.of(rule) for key, rule in rules.items() if lives(rule)}
        self._alerts: dict[Key, Course] = {}
        self._due = Deadlines[Key]()
        self._horizon_ms: int | None = None

    def takes(self, rule: str) -> bool:
        """Whether the findings of this rule must come here."""
        return rule in self._levels

    def found(self, rule: str, subject: int, found: Found) -> list[Told]:
        """The condition of a rule began or ended to hold for a subject."""
        key, seen = (rule, subject), Seen(finite(found.value), finite(found.limit))
        told = self._pass_to(key, found.event_ms)
        alert = self._alerts.get(key)
        if found.firing:
            if alert is not None and not alert.quiet:
                if alert.mine:
                    return told  # the same finding twice
                alert = None  # its end was not told here: another lane has its latch
            return told + self._begin(key, alert, found.onset_ms, found.event_ms, seen)
        if alert is None:
            return [*told, self._unknown(rule, found, seen)]
        if not alert.quiet:
            alert.value, alert.limit, _ = seen
            told += self._end(key, alert, found.event_ms)
        return told

    def _unknown(self, rule: str, found: Found, seen: Seen) -> Told:
        """The end of an alert that began when its rule had no steps."""
        severity = self._levels[rule].severity[0]
        return Told(RESOLVED, severity, "", found.onset_ms, found.event_ms, *seen)

    def matched(
        self, rule: str, asset: int, onset_ms: int, event_ms: int, count: int
    ) -> list[Told]:
        """The pattern of a rule matched: an alert fires, or the one that fires goes on.

        Args: onset_ms, event_ms: of the match's first and last event. count: its events.
        """
        key = (rule, asset)
        told = self._pass_to(key, event_ms)
        alert, seen = self._alerts.get(key), Seen(matched=count)
        return told + self._begin(key, alert, onset_ms, event_ms, seen)

    def cleared(self, rule: str, asset: int, event_ms: int) -> list[Told]:
        """The event came that ends the alert of a pattern."""
        key = (rule, asset)
        told = self._pass_to(key, event_ms)
        alert = self._alerts.get(key)
        return told if alert is None or alert.quiet else told + self._end(key, alert, event_ms)

    def advance(self, horizon_ms: int) -> list[tuple[str, int, Told]]:
        """What became due by `horizon_ms`, before which nothing is still to come.

        Returns: (rule, subject, what to tell), by time, then rule and subject.
        """
        self._follow(horizon_ms)
        told = []
        while (first := self._due.first()) is not None and first[0] <= horizon_ms:
            due_ms, key = first
            told += [(*key, each) for each in self._run(key, self._alerts[key], due_ms)]
        return told

    def due_ms(self) -> int | None:
        """Event time of the next timer, None if there is none."""
        first = self._due.first()
        return None if first is None else first[0]

    # -- lanes and rules

    def inherit(self) -> None:
        """Go on silently with what fires: another lane tells of it."""
        for alert in self._alerts.values():
            alert.mine = False

    def release(self) -> None:
        """Forget what fires: it belongs to another lane."""
        self._alerts.clear()
        self._due = Deadlines[Key]()

    def finish(self, end_ms: int) -> list[tuple[str, int, Told]]:
        """The lane ends there: what became due, then the end of all that this lane told of."""
        told = self.advance(end_ms)
        ended = [(*key, a.over(end_ms)) for key, a in sorted(self._alerts.items()) if a.mine]
        self.release()
        return told + ended

    def rules(self) -> list[str]:
        """Keys of the rules that have alerts here, ascending."""
        return sorted({rule for rule, _ in self._alerts})

    def drop(self, rule: str, event_ms: int) -> list[tuple[int, Told]]:
        """Forget the alerts of a rule. Returns: (subject, the end of its alert)."""
        keys = sorted(key for key in self._alerts if key[0] == rule)
        alerts = [(key[1], self._forget(key)) for key in keys]
        return [(subject, alert.over(event_ms)) for subject, alert in alerts if alert.mine]

    # -- state

    def copy(self) -> Life:
        """The same alerts, for another lane."""
        made = Life({})
        made._levels = self._levels
        made._alerts = {key: replace(alert) for key, alert in self._alerts.items()}
        made._due = self._due.copy()
        made._horizon_ms = self._horizon_ms
        return made

    def to_plain(self) -> dict[str, Any]:
        """The state as what JSON knows."""
        alerts = [[*key, *astuple(alert)] for key, alert in sorted(self._alerts.items())]
        return {"version": _VERSION, "horizon_ms": self._horizon_ms, "alerts": alerts}

    @classmethod
    def from_plain(cls, rules: Mapping[str, Rule], plain: Mapping[str, Any]) -> Life:
        """The state that `to_plain` gave, under the rules of now; see `rules`, `drop` and `takes`.

        An alert whose rule lost steps goes on at the highest that is left. rules: all there are;
        the alerts of others wait to be dropped.
        Raises: BadState: of a later version.
        """
        if plain["version"] > _VERSION:
            raise BadState(f"state version {plain['version']}; this code knows up to {_VERSION}")
        made = cls(rules)
        made._horizon_ms = plain["horizon_ms"]
        for rule, subject, *fields in plain["alerts"]:
            alert = made._alerts[rule, subject] = Course(*fields)
            if rule in rules:  # it may have no life by now: what began here ends here
                levels = made._levels.setdefault(rule, Levels.of(rules[rule]))
                alert.level = min(alert.level, len(levels.severity) - 1)
                made._schedule((rule, subject), alert)
        return made

    # -- one alert

    def _pass_to(self, key: Key, event_ms: int) -> list[Told]:
        """Let the alert's own timers run up to a time."""
        told: list[Told] = []
        while (due_ms := self._due.of(key)) is not None and due_ms <= event_ms:
            told += self._run(key, self._alerts[key], due_ms)
        return told

    def _begin(
        self, key: Key, alert: Course | None, onset_ms: int, event_ms: int, seen: Seen
    ) -> list[Told]:
        if alert is not None:
            alert.go_on(event_ms, seen)
            self._schedule(key, alert)
            return []
        levels = self._levels[key[0]]
        alert = self._alerts[key] = Course.begin(levels, onset_ms, event_ms, seen)
        self._schedule(key, alert)
        return [alert.tell(levels, FIRING, event_ms)]

    def _end(self, key: Key, alert: Course, event_ms: int) -> list[Told]:
        return self._after(key, alert, alert.end(self._levels[key[0]], event_ms))

    def _run(self, key: Key, alert: Course, due_ms: int) -> list[Told]:
        return self._after(key, alert, alert.run(self._levels[key[0]], due_ms))

    def _after(self, key: Key, alert: Course, told: Told | None) -> list[Told]:
        """Note what a step of an alert came to. Returns: what is to be told."""
        if told is not None and told.status == RESOLVED:
            self._forget(key)
        else:
            self._schedule(key, alert)
        return [told] if told is not None and alert.mine else []

    # -- timers

    def _schedule(self, key: Key, alert: Course) -> None:
        self._due.set(key, alert.timer(self._levels[key[0]]))

    def _forget(self, key: Key) -> Course:
        self._due.set(key, None)
        return self._alerts.pop(key)

    def _follow(self, horizon_ms: int) -> None:
        """Notice a clock that was set back: what lies in its future would wait for it. Less than
        what any clock may be ahead is left alone."""
        before_ms, self._horizon_ms = self._horizon_ms, horizon_ms
        if before_ms is None or horizon_ms >= before_ms - MAX_FUTURE_MS:
            return
        for key, alert in self._alerts.items():
            alert.not_after(horizon_ms + MAX_FUTURE_MS)
            self._schedule(key, alert)
