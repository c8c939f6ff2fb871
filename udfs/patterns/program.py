"""A compiled pattern: what is waited for, and what is waited for after that.

It is an automaton without empty moves (Glushkov 1961): a place in the pattern is the list of what
may be taken there, first choice first. `compiler.py` makes it, `matcher.py` runs it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

from udfs.patterns.parts import Names

Skip: TypeAlias = Literal["past_last", "to_next", "to_first", "to_last"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Waiting for one event.

    names: what is taken. forbidden: what ends this wait for nothing, even if it is in `names`.
    then: waits after it was taken, first choice first. done: the match is complete with it.
    to_the_end: takes nothing; the match is complete if the wait lasts until the time is up.
    """

    label: str
    names: Names
    forbidden: Names
    then: tuple[int, ...]
    done: bool
    to_the_end: bool = False

    @property
    def takes(self) -> Names:
        """Names that it really takes."""
        return self.names - self.forbidden


@dataclass(frozen=True, slots=True)
class Program:
    """Waits by their number, those that begin a match, and the rules of matching.

    within_ms: a match's last event is less than this after its first. strict: what is not waited
    for ends a partial match. skip: where the search goes on after a match; skip_to: the label
    that it goes to.
    """

    waits: tuple[Wait, ...]
    first: tuple[int, ...]
    within_ms: int
    strict: bool = False
    skip: Skip = "past_last"
    skip_to: str | None = None

    @property
    def needs_all(self) -> bool:
        """Whether a match means that something did not happen."""
        return self.strict or any(wait.forbidden or wait.to_the_end for wait in self.waits)

    @property
    def fingerprint(self) -> str:
        """Equal for equal programs, in every process: state belongs to one program."""
        waits = [
            (w.label, sorted(w.names), sorted(w.forbidden), w.then, w.done, w.to_the_end)
            for w in self.waits
        ]
        whole = (waits, self.first, self.within_ms, self.strict, self.skip, self.skip_to)
        return hashlib.sha256(repr(whole).encode()).hexdigest()[:16]
