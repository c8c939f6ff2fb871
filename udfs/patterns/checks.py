"""What a program can do at all, before it sees an event."""

from __future__ import annotations

from collections.abc import Callable

from udfs.patterns.program import Program, Wait


def can_match(program: Program) -> bool:
    """Can any events make it match?"""
    return _finishes(program, lambda wait: True)


def may_miss(program: Program, label: str) -> bool:
    """Can it match without an event of this label?"""
    return _finishes(program, lambda wait: wait.label != label)


def may_begin_with(program: Program, label: str) -> bool:
    """Can a match begin with an event of this label?"""
    begins = [program.waits[number] for number in program.first]
    return any(wait.label == label and wait.takes for wait in begins)


def _finishes(program: Program, allowed: Callable[[Wait], bool]) -> bool:
    seen = set(program.first)
    waiting = list(program.first)
    while waiting:
        wait = program.waits[waiting.pop()]
        if wait.to_the_end:
            return True
        if not (wait.takes and allowed(wait)):
            continue
        if wait.done:
            return True
        waiting += [then for then in wait.then if then not in seen]
        seen.update(wait.then)
    return False
