"""Each operator, against literals: the events that fit, and beside them those that do not.

A letter is an event, a second after the one before it; a dot is a second without one.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.udfs.patterns.making import NAMES, event, run, stream, told
from udfs.patterns.attempt import LISTED
from udfs.patterns.compiler import EmptyMatch, TooLarge, compile_pattern
from udfs.patterns.matcher import LIMIT, Matcher
from udfs.patterns.parts import Absent, Either, Every, Part, Step, once

A, B, C, D = (once(name) for name in NAMES)
NOT_C = Absent(frozenset("c"))
B_OR_C, C_OR_D = Step("x", frozenset("bc"), 1, None), Step("y", frozenset("cd"))


def some(name: str, least: int, most: int | None = None, greedy: bool = True) -> Step:
    return Step(name, frozenset((name,)), least, most, greedy)


def found(parts: list[Part], text: str, within_s: float = 100, **rules) -> list[str]:
    program = compile_pattern(parts, int(within_s * 1000), **rules)
    return told(run(Matcher(program), stream(text)))


@pytest.mark.parametrize(
    ("parts", "text", "expected"),
    [
        ([A, B], "ab", ["a0 b1"]),
        ([A, B], "ba", []),
        ([A, B], "adcb", ["a0 b3"]),
        ([A, B], "abab", ["a0 b1", "a2 b3"]),
        ([A, B], "abb", ["a0 b1"]),
        ([A, A], "aaaa", ["a0 a1", "a2 a3"]),
        # times
        ([A, some("b", 2, 2), C], "abbc", ["a0 b1 b2 c3"]),
        ([A, some("b", 2, 2), C], "abc", []),
        ([A, some("b", 2, 2), C], "abbbc", ["a0 b1 b2 c4"]),
        ([A, some("b", 1, 2), C], "abc", ["a0 b1 c2"]),
        ([A, some("b", 1, 2), C], "abdbc", ["a0 b1 b3 c4"]),
        ([A, some("b", 1, 2), C], "abbbc", []),  # at most two
        ([A, some("b", 2), C], "abbbc", ["a0 b1 b2 b3 c4"]),
        ([A, some("b", 2), C], "abc", []),
        ([A, some("b", 0, 1), C], "ac", ["a0 c1"]),
        ([A, some("b", 0, 1), C], "abc", ["a0 b1 c2"]),
        ([A, some("b", 1, None, False), C], "abbbc", ["a0 b1 c4"]),
        ([A, some("b", 3)], "abbbb", ["a0 b1 b2 b3"]),  # complete with the third
        ([some("a", 0, 1), B], "bab", ["b0", "a1 b2"]),
        # not
        ([A, NOT_C, B], "adb", ["a0 b2"]),
        ([A, NOT_C, B], "acb", []),
        ([A, NOT_C, B], "acab", ["a2 b3"]),
        ([A, NOT_C, B, C], "abc", ["a0 b1 c2"]),
        ([A, some("b", 2, 2), NOT_C, D], "abcbd", []),  # from the first b on
        ([A, NOT_C, some("b", 0, 1), D], "abcd", ["a0 b1 d3"]),
        ([A, NOT_C, some("b", 0, 1), D], "acd", []),
        # any
        ([A, Either(((B,), (C,)))], "acb", ["a0 c1"]),
        ([A, Either(((B, C), (D,))), A], "abda", ["a0 d2 a3"]),
        ([A, Either(((B, C), (D,))), A], "abca", ["a0 b1 c2 a3"]),
        ([A, Either(((B, C), (D,))), A], "abaa", []),
        ([A, Either(((B,), (some("b", 2, 2),))), C], "abbc", ["a0 b1 c3"]),  # the first choice
        # all
        ([Every((A, B)), C], "abc", ["a0 b1 c2"]),
        ([Every((A, B)), C], "bac", ["b0 a1 c2"]),
        ([Every((A, B)), C], "aac", []),
        ([Every((A, A, B))], "aba", ["a0 b1 a2"]),
        ([Every((A, A, B))], "abb", []),
    ],
)
def test_relaxed(parts: list[Part], text: str, expected: list[str]) -> None:
    assert found(parts, text) == expected


@pytest.mark.parametrize(
    ("parts", "text", "expected"),
    [
        ([A, B], "ab", ["a0 b1"]),
        ([A, B], "adb", []),
        ([A, some("b", 1), C], "abbc", ["a0 b1 b2 c3"]),
        ([A, some("b", 1), C], "abdbc", []),
        ([A, some("b", 0), C], "ac", ["a0 c1"]),
        ([some("a", 1), B], "aab", ["a0 a1 b2"]),
        ([A, Every((B, C))], "acb", ["a0 c1 b2"]),
        ([A, Every((B, C))], "acdb", []),
        # what a greedy step would take is not left to the next one
        ([A, B_OR_C, C], "abc", []),
        ([A, B_OR_C, C_OR_D], "abcd", ["a0 x1 x2 y3"]),
        ([A, replace(B_OR_C, greedy=False), C], "abc", ["a0 x1 c2"]),
        ([A, replace(B_OR_C, greedy=False), C_OR_D], "abcd", ["a0 x1 y2"]),
        ([A, replace(B_OR_C, least=0, most=1), C], "ac", ["a0 c1"]),  # but ? takes nothing away
    ],
)
def test_strict(parts: list[Part], text: str, expected: list[str]) -> None:
    assert found(parts, text, strict=True) == expected


def test_within_is_less_than_from_the_first_to_the_last_event() -> None:
    assert found([A, B, C], "a.b..c", within_s=5.001) == ["a0 b2 c5"]
    assert found([A, B, C], "a.b..c", within_s=5) == []


@pytest.mark.parametrize(
    ("skip", "skip_to", "expected"),
    [
        ("past_last", None, ["a0 a1 b2 b3", "a4 a5 b6 b7"]),
        ("to_next", None, ["a0 a1 b2 b3", "a1 a4 b6 b7", "a4 a5 b6 b7"]),
        ("to_first", "b", ["a0 a1 b2 b3", "a4 a5 b6 b7"]),
        ("to_last", "a", ["a0 a1 b2 b3", "a1 a4 b6 b7", "a4 a5 b6 b7"]),
    ],
)
def test_skip(skip, skip_to, expected) -> None:
    parts = [some("a", 2, 2), some("b", 2, 2)]
    assert found(parts, "aabbaabb", skip=skip, skip_to=skip_to) == expected


def test_skip_to_the_first_or_the_last_of_a_step() -> None:
    overlap = [Step("x", frozenset("ab")), Step("y", frozenset("b"), 2, 2), C]
    assert found(overlap, "abbbc", skip="to_first", skip_to="y") == ["x0 y1 y2 c4", "x1 y2 y3 c4"]
    assert found(overlap, "abbbc", skip="to_last", skip_to="y") == ["x0 y1 y2 c4"]


def test_an_absence_is_decided_when_the_time_is_up() -> None:
    matcher = Matcher(compile_pattern([A, NOT_C], 5000))
    assert matcher.event(7, event("a", 1000)) == []
    assert matcher.deadline_ms() == 6000
    assert matcher.advance(5999) == []
    assert told(matcher.advance(6000)) == ["a1 at 6"]
    assert matcher.deadline_ms() is None


def test_what_comes_in_time_ends_an_absence_and_what_comes_at_its_end_does_not() -> None:
    program = compile_pattern([A, NOT_C], 5000)
    early, late = Matcher(program), Matcher(program)
    for matcher in (early, late):
        matcher.event(7, event("a", 1000))
    assert early.event(7, event("c", 5999)) == [] and early.deadline_ms() is None
    assert early.advance(10_000) == []
    assert told(late.event(7, event("c", 6000))) == ["a1 at 6"]


def test_an_absence_after_steps_that_may_go_on() -> None:
    assert found([A, some("b", 2), NOT_C], "abbb", within_s=9) == ["a0 b1 b2 b3 at 9"]
    assert found([A, some("b", 2), NOT_C], "abbc", within_s=9) == []
    assert found([A, some("b", 2), NOT_C], "ab", within_s=9) == []


def test_a_match_waits_for_what_began_before_it() -> None:
    """a0 may still become a match that ends after b3's and skips over it."""
    program = compile_pattern([Either(((A, some("b", 2, 2), D), (B, C)))], 9000)
    matcher = Matcher(program)
    early = [match for one in stream("abc") for match in matcher.event(1, one)]
    assert early == [] and matcher.deadline_ms() == 9000
    other, restored = matcher.copy(), Matcher.from_plain(program, matcher.to_plain())
    assert told(matcher.advance(9000)) == told(restored.advance(9000)) == ["b1 c2"]
    later = [event("b", 3000), event("d", 4000)]
    assert told([match for one in later for match in other.event(1, one)]) == ["a0 b1 b3 d4"]


def test_assets_have_nothing_to_do_with_each_other() -> None:
    matcher = Matcher(compile_pattern([A, B], 5000))
    assert matcher.event(1, event("a", 0)) == []
    assert matcher.event(2, event("b", 1000)) == []
    assert [match.asset for match in matcher.event(1, event("b", 2000))] == [1]


def test_the_oldest_attempt_is_given_up_for_want_of_room() -> None:
    matcher = Matcher(compile_pattern([A, B], 10**6, skip="to_next"))
    for second in range(LIMIT + 3):
        matcher.event(1, event("a", second * 1000))
    assert matcher.overflow == 3
    found = told(matcher.event(1, event("b", 90_000)))
    assert (len(found), found[0]) == (LIMIT, "a3 b90")


def test_a_long_loop_lists_its_first_events_and_its_last() -> None:
    matcher = Matcher(compile_pattern([A, some("b", 1), C], 10**9))
    matcher.event(1, event("a", 0))
    for second in range(1, 1001):
        matcher.event(1, event("b", second * 1000))
    (match,) = matcher.event(1, event("c", 1001_000))
    times = [one.time_ms // 1000 for label, one in match.events if label == "b"]
    assert (times[0], times[-2], times[-1]) == (1, LISTED - 2, 1000)
    assert len(times) + match.left_out == 1000


def test_advance_forgets_assets_whose_time_is_up() -> None:
    matcher = Matcher(compile_pattern([A, B], 5000))
    for asset in range(100):
        matcher.event(asset, event("a", asset))
    assert len(matcher.to_plain()["assets"]) == 100
    assert matcher.advance(5049) == [] and matcher.deadline_ms() is None
    assert len(matcher.to_plain()["assets"]) == 50


@pytest.mark.parametrize(
    "parts",
    [[], [some("a", 0, 1)], [some("a", 0), some("b", 0, 2)], [NOT_C], [some("a", 0), NOT_C]],
)
def test_no_pattern_matches_without_any_event(parts: list[Part]) -> None:
    with pytest.raises(EmptyMatch):
        compile_pattern(parts, 1000)


def test_a_program_has_its_bounds() -> None:
    with pytest.raises(TooLarge, match="more than 512 places"):
        compile_pattern([some("a", 100, 100)] * 6, 1000)
