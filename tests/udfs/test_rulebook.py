"""Rules from YAML. What is refused, and with which words, stands in tests/cases/rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.udfs.plant import catalogue, rule
from udfs.rules.conditions import ConditionModel
from udfs.rules.pattern import EventModel
from udfs.rules.rulebook import Mistake, Rule, RuleErrors, parse, parse_all
from udfs.rules.selector import KINDS, Selector
from udfs.rules.text import PLACEHOLDERS
from udfs.wording import hint, render

CASES = sorted((Path(__file__).parents[1] / "cases" / "rules").iterdir())
DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
SHIPPED = Path(__file__).parents[2] / "flink-conf" / "rules"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_mistakes_are_told_all_at_once_with_line_and_fix(case: Path) -> None:
    texts = {path.name: path.read_text() for path in case.glob("*.yaml")}
    with pytest.raises(RuleErrors) as refused:
        parse_all(texts)
    assert str(refused.value) == (case / "expected.txt").read_text().rstrip("\n")


def test_a_rule_as_it_is_read() -> None:
    (made,) = parse(
        """
rules:
  - name: bearing-hot
    version: 3
    sensors: {kind: temperature, asset: "pump-*"}
    condition:
      threshold: {above: 80, clear_below: 75, for_s: 2.5}
    severity: critical
    text: "{sensor} is at {value:.1f} {unit}"
    tests: [{name: x, readings: {pump-1.t: "81, 82*2"}, expect: []}]
""",
        "pump.yaml",
    )
    assert (made.key, made.severity, made.sensors.kind) == (
        "bearing-hot@3",
        "critical",
        ["temperature"],
    )
    assert made.condition.threshold is not None
    assert (made.condition.threshold.above, made.condition.threshold.for_s) == (80.0, 2.5)
    assert made.tests[0].readings["pump-1.t"].values == (81.0, 82.0, 82.0)


def test_rules_of_several_files_come_in_the_order_of_their_names() -> None:
    one = "rules: [{{name: {}, condition: {{stuck: {{for_s: 5}}}}, severity: info, text: t}}]"
    rules = parse_all({"b.yaml": one.format("x"), "a.yaml": one.format("y")})
    assert [r.name for r in rules] == ["y", "x"]


def test_a_mistake_knows_its_place() -> None:
    with pytest.raises(RuleErrors) as refused:
        parse("rules:\n  - 7\n", "x.yaml")
    assert [(m.file, m.line) for m in refused.value.mistakes] == [("x.yaml", 2)]
    assert str(Mistake("x.yaml", 2, "no", "")) == "x.yaml: line 2: no"


@pytest.mark.parametrize(
    ("sensors", "slots"),
    [
        ("{}", [0, 1, 2]),
        ("{kind: flow}", [1]),
        ("{kind: [flow, level]}", [1, 2]),
        ("{name: 's[02]'}", [0, 2]),
        ("{asset: 'a?', kind: level}", [2]),
        ("{facility: 'plant-*', gateway: gw-1}", [0, 1, 2]),
        ("{facility: other}", []),
        ("{gateway: gw-2}", []),
        ("{name: S0}", []),
    ],
)
def test_a_selector_picks_slots(sensors: str, slots: list[int]) -> None:
    made = rule("stuck: {for_s: 5}", sensors)
    found = made.sensors.slots(catalogue(["temperature", "flow", "level"]))
    np.testing.assert_array_equal(found, slots)


def shipped() -> list[Rule]:
    return parse_all({path.name: path.read_text() for path in SHIPPED.glob("*.yaml")})


def conditions(rules: Sequence[Rule]) -> set[str]:
    """Names of the conditions that they use, also in the events of patterns."""
    models = [r.condition for r in rules] + [e.condition for r in rules for e in _events(r)]
    return {name for model in models if model is not None for name in model.model_fields_set}


def _events(made: Rule) -> list[EventModel]:
    return list((made.events or {}).values())


def test_the_shipped_rules_are_right() -> None:
    assert conditions(shipped()) == {
        "threshold",
        "rate_of_change",
        "stuck",
        "no_data",
        "ewma",
        "quality",
    }
    assert {made.severity for made in shipped()} == {"info", "warning", "critical"}
    assert [made.name for made in shipped() if not made.tests] == []


def test_every_example_in_the_docs_is_a_rule_and_all_conditions_are_there() -> None:
    text = DOCS.read_text()
    examples = re.findall(r"```yaml\n(rules:\n.*?)```", text, re.DOTALL)
    rules = [made for example in examples for made in parse(example, "docs/rules.md")]
    assert conditions(rules) == set(ConditionModel.model_fields)
    for word in (*KINDS, *(f"{{{name}}}" for name in PLACEHOLDERS)):
        assert word in text
    for field in (*Rule.model_fields, *Selector.model_fields):
        assert f"`{field}`" in text


def test_hints_and_texts() -> None:
    assert hint("temprature", ["temperature", "flow"]) == 'did you mean "temperature"?'
    assert hint("xyz", ["b", "a"]) == "known: a, b"
    assert render("{value} {limit} {limit:.1f} {{}}", {"value": None, "limit": 1 / 3}) == (
        "- 0.333333 0.3 {}"
    )
