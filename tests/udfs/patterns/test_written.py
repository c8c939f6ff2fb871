"""Patterns as authors write them: what they compile to, what is refused, and with which words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tests.udfs.patterns.making import run, stream, told
from udfs.patterns.matcher import Matcher
from udfs.patterns.parts import Absent, Either, Every, Step, once
from udfs.rules.pattern import ClearModel, EventModel, PatternModel
from udfs.rules.pattern_items import parts_of
from udfs.rules.rulebook import parse

PAGE = (Path(__file__).parents[3] / "docs" / "patterns.md").read_text()
A, B, C = once("a"), once("b"), once("c")


def pattern(sequence: str, **more: Any) -> PatternModel:
    return PatternModel.model_validate(
        {"sequence": yaml.safe_load(sequence), "within_s": 60, **more}
    )


def mistakes(model: type, given: Any) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(given)
    return [f"{e['ctx']['problem']} ({e['ctx']['fix']})" for e in refused.value.errors()]


@pytest.mark.parametrize(
    ("sequence", "parts"),
    [
        ("[a, b]", (A, B)),
        ("[{event: a}, {event: b, times: 2}]", (A, Step("b", frozenset("b"), 2, 2))),
        (
            "[a, {event: b, times: {at_least: 2}, greedy: false}, c]",
            (A, Step("b", frozenset("b"), 2, None, False), C),
        ),
        (
            "[a, {event: b, times: {at_least: 1, at_most: 3}}, c]",
            (A, Step("b", frozenset("b"), 1, 3), C),
        ),
        ("[a, {event: b, optional: true}, c]", (A, Step("b", frozenset("b"), 0, 1), C)),
        ("[a, {not: b}]", (A, Absent(frozenset("b")))),
        ("[a, {any: [b, [c, {not: a}]]}]", (A, Either(((B,), (C, Absent(frozenset("a"))))))),
        ("[{all: [a, {event: b, times: 2}]}, c]", (Every((A, B, B)), C)),
    ],
)
def test_what_is_written_and_what_it_means(sequence: str, parts: tuple[Any, ...]) -> None:
    assert parts_of(pattern(sequence).sequence) == parts


def test_rules_of_the_search_reach_the_program() -> None:
    written = pattern("[a, b, c]", within_s=1.5, contiguity="strict", skip={"to_last": "b"})
    program = written.build(["a", "b", "c", "d"])
    assert (program.within_ms, program.strict) == (1500, True)
    assert (program.skip, program.skip_to) == ("to_last", "b")
    assert told(run(Matcher(program), stream("abc", 500))) == ["a0 b0 c1"]
    plain = pattern("[a, b]").build(["a", "b"])
    assert (plain.strict, plain.skip, plain.skip_to) == (False, "past_last", None)


@pytest.mark.parametrize(
    ("sequence", "told"),
    [
        ("[]", "an empty sequence (name the events, in order)"),
        ("[3]", "3 is no item of a sequence (write an event's name, or {not: x})"),
        ("[{}]", "an item needs one of event, not, any, all (write a name, or {not: x})"),
        (
            "[{event: a, not: b}]",
            "an item needs one of event, not, any, all (write a name, or {not: x})",
        ),
        ("[{event: a, time: 2}]", 'unknown key "time" beside "event" (did you mean "times"?)'),
        ("[{not: a, times: 2}]", 'unknown key "times" beside "not" (known: not)'),
        (
            "[{event: a, times: {at_lest: 2}}]",
            'unknown key "at_lest" in times (did you mean "at_least"?)',
        ),
        (
            "[{event: a, times: {at_least: 3, at_most: 2}}, b]",
            "at_most 2 is less than at_least 3 (exchange them)",
        ),
        (
            "[{event: a, times: 2, optional: true}, b]",
            "optional beside at_least 2 (leave one of them out)",
        ),
        (
            "[{not: a}, b]",
            "a sequence that begins with not "
            "(begin with what happens; silence is a condition, no_data)",
        ),
        (
            "[a, {event: b, optional: true}]",
            "b is optional at the end (leave it out: the match is complete without it)",
        ),
        (
            "[a, {event: b, times: {at_least: 2, at_most: 5}}]",
            "at_most at the end: the match is complete with b number 2 (leave at_most out)",
        ),
        (
            "[a, {not: b}, {event: c, optional: true}, b]",
            "b must not happen, and is waited for next (remove one of the two)",
        ),
        (
            "[a, {not: b}, {any: [[b, c], a]}]",
            "b must not happen, and is waited for next (remove one of the two)",
        ),
        (
            "[{event: a, optional: true}, {not: b}]",
            "everything in it is optional (make one event compulsory)",
        ),
        (
            "[a, {event: b, times: {at_least: 2}}, b]",
            "the sequence can never happen "
            "(what repeats takes every such event: give it times: N, or greedy: false)",
        ),
        ("[{any: [a]}, b]", "any: needs two or more items (write [a, b], or [[a, b], c])"),
        (
            "[a, {any: [[{not: b}, c], c]}]",
            "an item of any: begins with not (write the not before any:)",
        ),
        (
            "[{all: [a, {not: b}]}]",
            "all: takes events only (write names, or {event: x, times: 2})",
        ),
        ("[{all: [a]}]", "all: of 1 events (two to 6 can be in any order)"),
        (
            "[" + ", ".join(["{event: a, times: 100}"] * 6) + "]",
            "the pattern is too large (ask for fewer times or options)",
        ),
    ],
)
def test_what_cannot_be_is_refused(sequence: str, told: str) -> None:
    assert mistakes(PatternModel, {"sequence": yaml.safe_load(sequence), "within_s": 60}) == [told]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            {"skip": "to_nxt"},
            'unknown skip "to_nxt" '
            "(past_last, to_next, {to_first: an event} or {to_last: an event})",
        ),
        (
            {"skip": "to_first"},
            "to_first without an event "
            "(past_last, to_next, {to_first: an event} or {to_last: an event})",
        ),
        (
            {"skip": {"to_first": "leek"}},
            'skip to an unknown event "leek" (did you mean "leak"?)',
        ),
        ({"skip": {"to_first": "hot"}}, "skip to hot, which begins the match (write to_next)"),
        (
            {"skip": {"to_last": "trip"}},
            "skip to trip, which a match may lack "
            "(skip to an event that every match has, or to_next)",
        ),
        (
            {"contiguity": "strict"},
            "not between events of a strict pattern (leave the not out: nothing may come between)",
        ),
    ],
)
def test_rules_of_the_search_that_lead_nowhere(more: dict[str, Any], told: str) -> None:
    sequence = ["hot", {"not": "cool"}, "leak", {"any": ["trip", "stop"]}]
    given = {"sequence": sequence, "within_s": 60, **more}
    assert mistakes(PatternModel, given) == [told]


def test_events_that_the_rule_does_not_have() -> None:
    written = pattern("[hot, {any: [[leek, cool], trip]}]")
    written.check_events(["hot", "leek", "cool", "trip"])
    with pytest.raises(Exception, match='unknown event "leek"'):
        written.check_events(["hot", "leak", "cool", "trip"])
    with pytest.raises(Exception, match='cleared by an unknown event "col"'):
        ClearModel(event="col").check_events(["hot", "cool"])


def test_an_alert_of_a_pattern_is_cleared_in_one_way() -> None:
    assert mistakes(ClearModel, {"event": "a", "after_s": 5}) == [
        "clear by an event and after_s (keep one of them)"
    ]
    assert mistakes(ClearModel, {}) == ["clear without event or after_s (add one of them)"]


def test_on_is_a_word_although_yaml_takes_it_for_true() -> None:
    written = yaml.safe_load("{on: end, condition: {threshold: {above: 5}}}")
    assert EventModel.model_validate(written).on == "end"


def test_the_examples_of_the_page() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (rule,) = parse(example, "patterns.md")
    assert rule.pattern is not None and rule.events is not None
    program = rule.pattern.build(list(rule.events))
    assert program.within_ms == 300_000
    tables = re.findall(r"^\| [^|]+ \| `(\[.*\])`.* \|$", PAGE.split("| key |")[0], re.MULTILINE)
    assert len(tables) == 11
    for sequence in tables:
        pattern(sequence).build("abcdx")
