"""From parts to a program, back to front: what follows a part is known when the part is compiled.

The semantics are those of Flink's MATCH_RECOGNIZE where that has them; docs/patterns.md says them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from udfs.patterns.parts import Absent, Either, Every, Names, Part, Step
from udfs.patterns.program import Program, Skip, Wait

MAX_WAITS = 512
_NONE: Names = frozenset()


class TooLarge(ValueError):
    """The pattern needs more waits than a program may have."""


class EmptyMatch(ValueError):
    """The pattern would match without any event."""


class _Place(NamedTuple):
    """A place in the pattern: waits there, first choice first; may the pattern end there?"""

    waits: tuple[int, ...]
    end: bool


_END = _Place((), True)


def compile_pattern(
    parts: Sequence[Part],
    within_ms: int,
    strict: bool = False,
    skip: Skip = "past_last",
    skip_to: str | None = None,
) -> Program:
    """The program of a sequence of parts.

    Raises: EmptyMatch: all of it may be left out. TooLarge: more than MAX_WAITS waits.
    """
    compiler = _Compiler()
    first = compiler.sequence(parts, _END, _NONE)
    if first.end or any(compiler.waits[wait].to_the_end for wait in first.waits):
        raise EmptyMatch("the pattern matches without any event")
    waits, begin = _numbered(compiler.waits, first.waits)
    return Program(waits, begin, within_ms, strict, skip, skip_to)


class _Compiler:
    def __init__(self) -> None:
        self.waits: list[Wait] = []
        self._guarded: dict[tuple[int, Names], int] = {}

    def sequence(self, parts: Sequence[Part], after: _Place, banned: Names) -> _Place:
        """The place before `parts`, with `after` behind them. banned: forbidden behind them."""
        place = after
        for part in reversed(parts):
            if isinstance(part, Absent):
                place = self._absent(part, place)
                banned |= part.names
            else:
                place = self._part(part, place, banned)
                banned = _NONE
        return place

    def _part(self, part: Step | Either | Every, after: _Place, banned: Names) -> _Place:
        if isinstance(part, Step):
            return self._step(part, after, banned)
        if isinstance(part, Every):
            return self._every(part.steps, after)
        places = [self.sequence(option, after, banned) for option in part.options]
        waits = dict.fromkeys(wait for place in places for wait in place.waits)
        return _Place(tuple(waits), any(place.end for place in places))

    def _absent(self, part: Absent, after: _Place) -> _Place:
        if after == _END:
            wait = Wait("", _NONE, part.names, (), done=False, to_the_end=True)
            return _Place((self._add(wait),), end=False)
        return self._guard(after, part.names)

    def _step(self, step: Step, after: _Place, banned: Names) -> _Place:
        """Waits for its first, second, ... event; `after` can be had once there were enough.

        What is forbidden behind the step is forbidden from its first event on, and what a greedy
        step would take is nobody else's: not even when it has had all that it may take.
        """
        several = step.most is None or step.most > max(step.least, 1)
        after = self._guard(after, step.names) if step.greedy and several else after
        top = max(step.least, 1) if step.most is None else step.most
        place = self._loop(step, after, banned) if step.most is None else after
        for count in range(top, 0, -1):
            forbidden = banned if count > 1 else _NONE
            wait = self._add(Wait(step.label, step.names, forbidden, place.waits, place.end))
            place = _Place((wait,), False)
            if count > step.least:
                place = _ordered(step, wait, after)
        return place

    def _loop(self, step: Step, after: _Place, banned: Names) -> _Place:
        """The place after the least number of events of a step without end."""
        again = self._add(Wait(step.label, step.names, banned, (), after.end))
        place = _ordered(step, again, after)
        self.waits[again] = replace(self.waits[again], then=place.waits)
        return place

    def _every(self, steps: tuple[Step, ...], after: _Place) -> _Place:
        """A place for each set of steps that are still to come."""
        places: dict[tuple[Step, ...], _Place] = {(): after}

        def before(remaining: tuple[Step, ...]) -> _Place:
            if remaining not in places:
                waits = []
                for step in dict.fromkeys(remaining):
                    rest = list(remaining)
                    rest.remove(step)
                    then = before(tuple(rest))
                    wait = Wait(step.label, step.names, _NONE, then.waits, then.end)
                    waits.append(self._add(wait))
                places[remaining] = _Place(tuple(waits), False)
            return places[remaining]

        return before(steps)

    def _guard(self, place: _Place, names: Names) -> _Place:
        """The same place, where these names end the wait."""
        return place._replace(waits=tuple(self._forbid(wait, names) for wait in place.waits))

    def _forbid(self, wait: int, names: Names) -> int:
        if (wait, names) not in self._guarded:
            plain = self.waits[wait]
            forbidden = plain.forbidden | names
            self._guarded[wait, names] = self._add(replace(plain, forbidden=forbidden))
        return self._guarded[wait, names]

    def _add(self, wait: Wait) -> int:
        if len(self.waits) == 4 * MAX_WAITS:
            raise TooLarge(f"more than {MAX_WAITS} places")
        self.waits.append(wait)
        return len(self.waits) - 1


def _ordered(step: Step, wait: int, after: _Place) -> _Place:
    both = (wait, *after.waits) if step.greedy else (*after.waits, wait)
    return _Place(both, after.end)


def _numbered(
    waits: list[Wait], first: tuple[int, ...]
) -> tuple[tuple[Wait, ...], tuple[int, ...]]:
    """Only what can be reached, numbered in the order of reaching it."""
    order = dict.fromkeys(first)
    found = list(order)
    for wait in found:
        found += [then for then in dict.fromkeys(waits[wait].then) if then not in order]
        order |= dict.fromkeys(waits[wait].then)
    if len(found) > MAX_WAITS:
        raise TooLarge(f"more than {MAX_WAITS} places")
    number = {wait: place for place, wait in enumerate(found)}
    kept = [replace(waits[w], then=tuple(number[then] for then in waits[w].then)) for w in found]
    return tuple(kept), tuple(number[wait] for wait in first)
