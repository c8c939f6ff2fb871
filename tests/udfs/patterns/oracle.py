"""What a pattern means, slowly: every way to lay it over a list of events, in order of choice.

It shares nothing with the compiler: it walks the parts themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from udfs.patterns.event import Event
from udfs.patterns.parts import Absent, Either, Every, Part, Step

NOTHING: frozenset[str] = frozenset()

Taken = tuple[tuple[str, int], ...]  # label and place in the list, of each event


class Way(NamedTuple):
    """One way to lay a pattern; it ended with its last event, or lasted until the time was up."""

    taken: Taken
    lasted: bool = False


class Found(NamedTuple):
    taken: Taken
    time_ms: int


def matches(
    parts: Sequence[Part],
    within_ms: int,
    events: Sequence[Event],
    strict: bool = False,
    skip: str = "past_last",
    skip_to: str | None = None,
) -> list[Found]:
    """All matches among an asset's events, when no more of them will come."""
    found = []
    first = 0
    for begin, event in enumerate(events):
        ways = _ways_from(parts, within_ms, events, strict, begin) if begin >= first else []
        if ways:
            # the earliest end; of equal ones min() takes the first, which is the first choice
            best = min(ways, key=lambda way: _end(way, len(events)))
            last = events[best.taken[-1][1]].time_ms
            found.append(Found(best.taken, event.time_ms + within_ms if best.lasted else last))
            first = _resume(best.taken, skip, skip_to)
    return found


def ambiguous(
    parts: Sequence[Part], within_ms: int, events: Sequence[Event], strict: bool = False
) -> bool:
    """Can a match from some first event be laid in two ways that end with the same event?"""
    for begin in range(len(events)):
        ways = _ways_from(parts, within_ms, events, strict, begin)
        ends = sorted(_end(way, len(events)) for way in ways)
        if len(ends) > 1 and ends[0] == ends[1]:
            return True
    return False


def _ways_from(
    parts: Sequence[Part], within_ms: int, events: Sequence[Event], strict: bool, begin: int
) -> list[Way]:
    end = events[begin].time_ms + within_ms
    inside = [event for event in events if event.time_ms < end]
    return list(dict.fromkeys(_Walk(inside, begin, strict).ways(tuple(parts), begin)))


def _end(way: Way, never: int) -> int:
    return never if way.lasted else way.taken[-1][1]


def _resume(taken: Taken, skip: str, skip_to: str | None) -> int:
    places = [place for label, place in taken if label == skip_to]
    if skip == "past_last":
        return taken[-1][1] + 1
    if skip == "to_next" or not places:
        return taken[0][1] + 1
    return min(places) if skip == "to_first" else max(places)


class _Walk:
    """Ways from one first event. banned: what must not come before the next event is taken."""

    def __init__(self, events: Sequence[Event], begin: int, strict: bool) -> None:
        self.events, self.begin, self.strict = events, begin, strict

    def ways(
        self,
        parts: tuple[Part, ...],
        place: int,
        banned: frozenset[str] = NOTHING,
        taken: Taken = (),
        count: int = 0,
    ) -> Iterator[Way]:
        """Ways to lay `parts` from `place` on. count: events that the first of them had."""
        if not parts:
            if taken:
                yield Way(taken)
            return
        part, rest = parts[0], parts[1:]
        if isinstance(part, Absent):
            yield from self._absent(banned | part.names, rest, place, taken)
        elif isinstance(part, Either):
            for option in part.options:
                yield from self.ways(option + rest, place, banned, taken)
        elif isinstance(part, Every):
            for step in dict.fromkeys(part.steps):
                others = list(part.steps)
                others.remove(step)
                left = (Every(tuple(others)),) if others else ()
                yield from self.ways((step, *left, *rest), place, banned, taken)
        else:
            yield from self._step(part, rest, place, banned, taken, count)

    def _absent(self, banned, rest, place, taken) -> Iterator[Way]:
        if rest:
            yield from self.ways(rest, place, banned, taken)
        elif taken and not any(event.name in banned for event in self.events[place:]):
            yield Way(taken, lasted=True)

    def _step(self, step: Step, rest, place, banned, taken, count) -> Iterator[Way]:
        several = step.most is None or step.most > max(step.least, 1)
        choices = []
        if step.most is None or count < step.most:
            behind = _behind(rest) if count else NOTHING
            choices.append(self._another(step, rest, place, banned | behind, taken, count))
        if count >= step.least:
            own = step.names if step.greedy and several else NOTHING
            choices.append(self.ways(rest, place, banned | own, taken))
        for choice in choices if step.greedy else reversed(choices):
            yield from choice

    def _another(self, step: Step, rest, place, banned, taken, count) -> Iterator[Way]:
        for at in range(place, len(self.events) if taken else self.begin + 1):
            name = self.events[at].name
            if name in banned:
                return
            if name in step.names:
                more = (*taken, (step.label, at))
                yield from self.ways((step, *rest), at + 1, NOTHING, more, count + 1)
                return
            if self.strict:
                return


def _behind(rest: tuple[Part, ...]) -> frozenset[str]:
    """What is forbidden right behind a step."""
    names = NOTHING
    for part in rest:
        if not isinstance(part, Absent):
            break
        names |= part.names
    return names
