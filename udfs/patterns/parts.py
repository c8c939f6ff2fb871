"""A pattern as it is written down: what follows what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Names: TypeAlias = frozenset[str]


@dataclass(frozen=True, slots=True)
class Step:
    """Events with one of `names`, from `least` to `most` times (None: without end).

    greedy: another one is taken rather than what follows. label: what a match calls its events.
    """

    label: str
    names: Names
    least: int = 1
    most: int | None = 1
    greedy: bool = True


@dataclass(frozen=True, slots=True)
class Absent:
    """None of `names` until the part after it; at the end of a pattern, until its time is up."""

    names: Names


@dataclass(frozen=True, slots=True)
class Either:
    """One of several sequences; of two that end with the same event, the one listed first."""

    options: tuple[tuple[Part, ...], ...]


@dataclass(frozen=True, slots=True)
class Every:
    """All of these steps, each once, in any order."""

    steps: tuple[Step, ...]


Part: TypeAlias = Step | Absent | Either | Every


def once(name: str) -> Step:
    """One event of this name, under its own name."""
    return Step(name, frozenset((name,)))
