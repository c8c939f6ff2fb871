"""What a check found: by check, with the worst cases, and by gateway for alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

WORST = 5


@dataclass(frozen=True, order=True)
class Failure:
    """A row that fails. value: above the limit; at: the first sensor, or where in the hour."""

    value: float
    facility: str
    gateway: str
    hour: str
    kind: str = ""
    at: str = ""


@dataclass
class Result:
    """One check. checked, failed: rows (gateway hours or days, of one kind). says: what holds when
    it passes. fix: what to do. limits: by title of the suite, of which there may be several.
    """

    suite: str
    check: str
    says: str
    fix: str
    checked: int = 0
    failed: int = 0
    limits: dict[str, float] = field(default_factory=dict)
    worst: list[Failure] = field(default_factory=list)

    def add(self, title: str, limit: float, checked: int, failures: list[Failure]) -> None:
        """More rows, and those of them that fail."""
        self.limits[title] = limit
        self.checked += checked
        self.failed += len(failures)
        self.worst = sorted([*self.worst, *failures], reverse=True)[:WORST]


@dataclass
class Failing:
    """What fails at one gateway. since: the first hour or day. checks: how often, and where."""

    since: str
    checks: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass
class Report:
    """since_ms, until_ms: what was checked, UTC epoch ms. unread: facility days that could not be
    read, and why. failing: by facility, gateway and suite; seen: all of these that were judged.
    """

    since_ms: int
    until_ms: int
    facilities: int = 0
    hours: int = 0
    readings: int = 0
    told: int = 0
    proven: int = 0
    results: dict[tuple[str, str], Result] = field(default_factory=dict)
    failing: dict[tuple[str, str, str], Failing] = field(default_factory=dict)
    seen: set[tuple[str, str, str]] = field(default_factory=set)
    unread: dict[str, str] = field(default_factory=dict)
    site: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything passes, and could be read."""
        return not self.unread and not any(result.failed for result in self.results.values())

    def note(self, suite: str, check: str, failures: Iterable[Failure]) -> None:
        """Failures by gateway."""
        for each in sorted(failures, key=lambda f: (f.facility, f.gateway, f.hour)):
            key = each.facility, each.gateway, suite
            found = self.failing.setdefault(key, Failing(each.hour))
            found.since = min(found.since, each.hour)
            where = " ".join(word for word in (each.hour, each.kind, each.at) if word)
            count, first = found.checks.get(check, (0, where))
            found.checks[check] = (count + 1, first)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        names = ("since_ms", "until_ms", "facilities", "hours", "readings", "told", "proven",
                 "unread", "site", "ok")  # fmt: skip
        results = [asdict(result) for result in self.results.values()]
        return {name: getattr(self, name) for name in names} | {"results": results}
