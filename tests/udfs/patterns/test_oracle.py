"""The matcher against a slow and obvious enumeration, and against itself, cut and interleaved."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.udfs.patterns.making import NAMES, event, parts, run, streams
from tests.udfs.patterns.oracle import Found, matches
from udfs.patterns.compiler import EmptyMatch, compile_pattern
from udfs.patterns.event import Event, Match
from udfs.patterns.matcher import Matcher
from udfs.patterns.parts import Part, once
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


@settings(max_examples=500, deadline=None)
@given(programs(), streams())
def test_finds_what_the_enumeration_finds(
    made: tuple[tuple[Part, ...], Program], events: list[Event]
) -> None:
    written, program = made
    expected = matches(
        written, program.within_ms, events, program.strict, program.skip, program.skip_to
    )
    assert as_found(run(Matcher(program), events), events) == expected


@settings(max_examples=100, deadline=None)
@given(programs(), streams(), st.data())
def test_cut_in_the_middle_it_goes_on_as_if_nothing_had_been(
    made: tuple[tuple[Part, ...], Program], events: list[Event], data: st.DataObject
) -> None:
    _, program = made
    cut = data.draw(st.integers(0, len(events)))
    whole, before = Matcher(program), Matcher(program)
    expected = run(whole, events)
    early = [match for event in events[:cut] for match in before.event(1, event)]
    twin = before.copy()
    written = json.dumps(before.to_plain())
    restored = Matcher.from_plain(program, json.loads(written))
    assert json.dumps(restored.to_plain()) == written == json.dumps(twin.to_plain())
    assert restored.deadline_ms() == before.deadline_ms() == twin.deadline_ms()
    for matcher in (twin, restored):
        assert early + run(matcher, events[cut:]) == expected
        assert matcher.to_plain() == whole.to_plain()
    assert json.dumps(before.to_plain()) == written  # its copy left it alone


@settings(max_examples=100, deadline=None)
@given(programs(), st.lists(streams(), min_size=2, max_size=3), st.randoms(use_true_random=False))
def test_how_assets_are_interleaved_does_not_matter(
    made: tuple[tuple[Part, ...], Program], assets: list[list[Event]], order
) -> None:
    _, program = made
    alone = [match for asset, events in enumerate(assets)
             for match in run(Matcher(program), events, asset)]  # fmt: skip
    turns = [asset for asset, events in enumerate(assets) for _ in events]
    order.shuffle(turns)
    waiting = [iter(events) for events in assets]
    matcher = Matcher(program)
    found = [match for asset in turns for match in matcher.event(asset, next(waiting[asset]))]
    found += matcher.advance(10**15)
    assert sorted(found, key=lambda match: match.asset) == alone


@settings(max_examples=100, deadline=None)
@given(programs(), streams())
def test_the_deadline_is_when_advancing_finds_something(
    made: tuple[tuple[Part, ...], Program], events: list[Event]
) -> None:
    """And advancing between events finds what the next event would have found."""
    _, program = made
    hasty = Matcher(program)
    found = []
    for one in events:
        while (deadline := hasty.deadline_ms()) is not None and deadline <= one.time_ms:
            assert hasty.advance(deadline - 1) == []
            some = hasty.advance(deadline)
            assert some
            found += some
        assert hasty.advance(one.time_ms) == []
        found += hasty.event(1, one)
    assert found + hasty.advance(10**15) == run(Matcher(program), events)


def test_state_of_another_program_is_not_taken_over_and_of_another_version_refused() -> None:
    one, other = (compile_pattern([once("a"), once("b")], within) for within in (1000, 2000))
    matcher = Matcher(one)
    matcher.event(1, event("a", 0))
    plain = matcher.to_plain()
    assert Matcher.from_plain(one, plain).event(1, event("b", 1)) != []
    assert Matcher.from_plain(other, plain).event(1, event("b", 1)) == []
    with pytest.raises(ValueError, match="version 9, not 1"):
        Matcher.from_plain(one, plain | {"version": 9})
