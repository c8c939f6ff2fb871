"""What a rulebook changes against the one before it.

found = compare(old, new)            # found.added, found.removed, found.changed, found.warnings()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from udfs.rules.rulebook import Rule

# of a rule: what may change without the alerts meaning something else
_WORDS = {"version", "severity", "text", "escalate", "de_escalate", "tests"}


@dataclass(frozen=True, slots=True)
class Change:
    """A rule that is in both. judges: whether it finds other things than before."""

    name: str
    before: int
    after: int
    judges: bool


@dataclass(frozen=True, slots=True)
class Diff:
    """Names of rules that came and went, and changes, each by name."""

    added: list[str]
    changed: list[Change]
    removed: list[str]

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        return f"+{len(self.added)} ~{len(self.changed)} -{len(self.removed)}"

    def warnings(self) -> list[str]:
        """Changes that a new version is missing for."""
        return [
            f"{change.name} finds other things than before, and its version is {change.after} "
            f"still: what fires and was learned goes on (version: {change.after + 1} begins anew)"
            for change in self.changed
            if change.judges and change.before == change.after
        ]


def compare(old: Sequence[Rule], new: Sequence[Rule]) -> Diff:
    """What `new` has, lacks and has otherwise."""
    before, after = {rule.name: rule for rule in old}, {rule.name: rule for rule in new}
    changed = [
        Change(name, before[name].version, after[name].version, _judges(before[name], after[name]))
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    return Diff(sorted(after.keys() - before.keys()), changed, sorted(before.keys() - after.keys()))


def _judges(before: Rule, after: Rule) -> bool:
    return before.model_dump(exclude=_WORDS) != after.model_dump(exclude=_WORDS)
