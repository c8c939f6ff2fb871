"""The matcher against a slow and obvious enumeration, and against itself, cut and interleaved."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.udfs.patterns.making import NAMES, parts, run, streams
from tests.udfs.patterns.oracle import Found, matches
from udfs.patterns.compiler import EmptyMatch, compile_pattern
from udfs.patterns.event import Event, Match
from udfs.patterns.matcher import Matcher
from udfs.patterns.parts import Part
from udfs.patterns.program import Program

skips = st.sampled_from(
    [("past_last", None), ("to_next", None)]
    + [(skip, name) for skip in ("to_first", "to_last") for name in NAMES]
)


@st.composite
def programs(draw: st.DrawFn) -> tuple[tuple[Part, ...], Program]:
    written = draw(parts())
    within_ms, strict = draw(st.integers(1000, 9000)), draw(st.booleans())
    try:
        return written, compile_pattern(written, within_ms, strict, *draw(skips))
    except EmptyMatch:
        assume(False)
        raise


def as_found(found: Sequence[Match], events: Sequence[Event]) -> list[Found]:
    places = {id(event): place for place, event in enumerate(events)}
    return [
        Found(tuple((label, places[id(event)]) for label, event in match.events), match.time_ms)
        for match in found
    ]


@settings(max_examples=1500, deadline=None)
@given(programs(), streams())
def test_finds_what_the_enumeration_finds(
    made: tuple[tuple[Part, ...], Program], events: list[Event]
) -> None:
    written, program = made
    expected = matches(
        written, program.within_ms, events, program.strict, program.skip, program.skip_to
    )
    assert as_found(run(Matcher(program), events), events) == expected
