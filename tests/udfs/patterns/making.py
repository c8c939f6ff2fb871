"""Events from letters, and random patterns and streams."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from udfs.patterns.event import Event, Match
from udfs.patterns.matcher import Matcher
from udfs.patterns.parts import Absent, Either, Every, Part, Step

NAMES = "abcd"


def event(name: str, time_ms: int) -> Event:
    """Its onset is its time; its value says which event it is, in failures too."""
    return Event(name, time_ms, time_ms, float(time_ms), 0.5, 0)


def stream(text: str, step_ms: int = 1000) -> list[Event]:
    """An event a letter, `step_ms` apart, from 0; a dot is a time without one."""
    times = range(0, len(text) * step_ms, step_ms)
    return [event(name, at) for name, at in zip(text, times, strict=True) if name != "."]


def run(matcher: Matcher, events: Sequence[Event], asset: int = 1) -> list[Match]:
    """All matches of an asset's events when no more will come."""
    found = [match for one in events for match in matcher.event(asset, one)]
    return found + matcher.advance(10**15)


def told(found: Sequence[Match]) -> list[str]:
    """Each match as "a0 b2 b3": labels and times in s, and when it was decided unless then."""
    return [_told(match) for match in found]


def _told(match: Match) -> str:
    words = [f"{label}{event.time_ms // 1000}" for label, event in match.events]
    late = match.time_ms != match.events[-1][1].time_ms
    return " ".join(words) + f" at {match.time_ms // 1000}" * late


names = st.sets(st.sampled_from(NAMES), min_size=1, max_size=2).map(frozenset)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    some = draw(names)
    least, most = draw(st.sampled_from([(1, 1)] * 3 + [(0, 1), (2, 2), (1, 3), (0, 2), (2, 3)]))
    endless = draw(st.integers(0, 3)) == 0
    return Step("".join(sorted(some)), some, least, None if endless else most, draw(st.booleans()))


@st.composite
def parts(draw: st.DrawFn, depth: int = 1) -> tuple[Part, ...]:
    made: list[Part] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.integers(0, 9))
        if kind == 0:
            made.append(Absent(draw(names)))
        elif kind == 1 and depth:
            made.append(Either((draw(parts(depth - 1)), draw(parts(depth - 1)))))
        elif kind == 2:
            some = draw(st.lists(names, min_size=2, max_size=3))
            made.append(Every(tuple(Step("".join(sorted(n)), n) for n in some)))
        else:
            made.append(draw(steps()))
    return tuple(made)


gaps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([0, 1000, 1000, 2000, 5000])), max_size=10
)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    made, at = [], 0
    for name, gap in draw(gaps):
        at += gap
        made.append(event(name, at))
    return made
