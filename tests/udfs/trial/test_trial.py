"""Tests that rules carry, run: what passes, what fails, and in which words."""

from __future__ import annotations

import pytest

from udfs.rules.rulebook import Rule, parse
from udfs.trial.trial import Verdict, run_tests

HOT = "sensors: {kind: temperature}, condition: {threshold: {above: 80, clear_below: 76, for_s: 3}}"


def rule(tests: str, body: str = HOT) -> Rule:
    lines = "".join(f"\n      {line}" for line in tests.strip().splitlines())
    (made,) = parse(
        f'rules:\n  - {{name: hot, severity: warning, text: "{{sensor}} {{value}}", {body},\n'
        f"    tests: {lines} }}",
        "test.yaml",
    )
    return made


def one(readings: str, expect: str, body: str = HOT, more: str = "") -> Verdict:
    case = f"[{{name: it, {more} readings: {{{readings}}}, expect: {expect}}}]"
    (verdict,) = run_tests(rule(case, body))
    return verdict


ALERT = "{subject: p.t, asset: p, onset_s: 5, firing_s: 8, resolved_s: 12, severity: warning, "


def test_an_alert_as_expected() -> None:
    expect = f"[{ALERT} value: 85, limit: 80, text: 'p.t 85'}}]"
    verdict = one('p.t: "70*5, 85*5, 78*2, 75"', expect)
    assert verdict == Verdict("hot", "it", [], verdict.got)
    assert verdict.passed and verdict.got[0]["resolved_s"] == 12


def test_only_the_given_keys_are_compared() -> None:
    assert one('p.t: "85*5"', "[{}]").passed
    assert one('p.t: "85*5"', "[{resolved_s: null}]").passed
    assert one('p.t: "85*5, 70"', "[{resolved_s: null}]").problems == [
        "differs: p.t: resolved_s is 5, not null"
    ]


@pytest.mark.parametrize(
    ("expect", "problems"),
    [
        ("[]", ["extra: subject p.t, asset p, onset_s 0, firing_s 3, resolved_s 5, "
                "severity warning, value 85, limit 80, text p.t 85"]),
        ("[{subject: p.x}, {}]", ["missing: subject p.x"]),
        ("[{}, {}]", ["missing: an alert"]),
        ("[{firing_s: 4, value: 86}]", ["differs: p.t: firing_s is 3, not 4; value is 85, not 86"]),
        ("[{severity: critical}]", ["differs: p.t: severity is warning, not critical"]),
        ("[{updates: [{at_s: 4, severity: critical}]}]",
         ["differs: p.t: updates is none, not critical at 4"]),
    ],
)  # fmt: skip
def test_what_differs_is_told(expect: str, problems: list[str]) -> None:
    verdict = one('p.t: "85*5, 70*3"', expect)
    assert verdict.problems == problems and not verdict.passed


def test_who_expects_more_chooses_first() -> None:
    verdict = one('p.t: "85*5, 70", q.t: "85*5, 70"', "[{}, {subject: p.t}]")
    assert verdict.passed


def test_at_most_ten_differences_are_told() -> None:
    readings = ", ".join(f'p{n}.t: "85*5"' for n in range(13))
    problems = one(readings, "[]").problems
    assert len(problems) == 11 and problems[-1] == "and 3 more"


def test_readings_that_the_rule_does_not_watch_fail_the_test() -> None:
    verdict = one("p.t: {kind: flow, values: 85*5}", "[]")
    assert verdict.problems == [
        "no reading is of the rule's sensors: the rule watches kind temperature; "
        "plant-1/gw-1 has p.t (flow, asset p)"
    ]


def test_what_a_sensor_is_follows_from_the_rule() -> None:
    body = (
        'sensors: {kind: flow, name: "*out", asset: tank-1, facility: plant-9, gateway: "gw-*", '
        "asset_type: tank, tag: [wet, cold]}, condition: {threshold: {above: 1}}"
    )
    verdict = one('x.out: "2", other: "2"', "[{subject: x.out, asset: tank-1}]", body)
    assert verdict.passed
    assert one('x.out: "2"', "[]", body, "facility: plant-8,").problems[0].startswith("no reading")


def test_times_between_ticks_quality_and_pauses() -> None:
    fast = 'p.t: {every_s: 0.25, values: "70*2, 85*14, 70"}'
    assert one(fast, "[{onset_s: 0.5, firing_s: 3.5, resolved_s: 4}]").passed
    bad = 'p.t: {values: "85*8", quality: "good*2, bad*4, good*2"}'
    assert one(bad, "[]").passed
    assert one('p.t: "85*2, null*4, 85*2"', "[]").passed


def test_silence_passes_between_and_after_the_readings() -> None:
    body = "condition: {no_data: {for_s: 5, of: gateway}}"
    verdict = one(
        'p.t: "1*3, null*10, 1, null*9"',
        """[
        {subject: gateway, onset_s: 2, firing_s: 7, resolved_s: 13},
        {subject: gateway, onset_s: 13, firing_s: 18, resolved_s: null}]""".replace("\n", " "),
        body,
    )
    assert verdict.passed, verdict.problems


def test_the_same_test_gives_the_same_verdict() -> None:
    made = rule('[{name: it, readings: {p.t: "85*5, 70"}, expect: [{}]}]')
    assert run_tests(made) == run_tests(made)
