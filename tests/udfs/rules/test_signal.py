"""Arithmetic of signals: what it comes to, and what is refused with which words."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.rules.arithmetic import Input, Number, Operation, evaluate
from udfs.rules.formula import BadFormula, parse
from udfs.rules.rulebook import RuleErrors
from udfs.rules.rulebook import parse as parse_rules
from udfs.rules.signal import SignalModel

NAN = math.nan


def value(text: str, **inputs: float) -> float:
    made = parse(text, list(inputs))
    columns = np.array([[inputs[name]] for name in made.names])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return float(evaluate(made.tree, columns)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b - a", 1.0),
        ("-a + +b", 1.0),
        ("a + b * 2", 8.0),
        ("(a + b) * 2", 10.0),
        ("b / a / 2", 0.75),
        ("2 - a - b", -3.0),
        ("a ** 3 * b", 24.0),
        ("-a ** 2 + b", -1.0),
        ("b * a ** -1", 1.5),
        ("b * 4 ** 0.5 / a", 3.0),
        ("a ** (1 + 1) + b", 7.0),
        ("abs(a - b)", 1.0),
        ("min(a, b, 2.5)", 2.0),
        ("max(a, b, 2.5)", 3.0),
        ("mean(a, b, 1)", 2.0),
        ("sqrt(a * 2) + 0 * b", 2.0),
        ("log(exp(a)) + b", 5.0),
        ("1e3 * a + b", 2003.0),
        ("a +\n  b", 5.0),
    ],
)
def test_what_it_comes_to(text: str, expected: float) -> None:
    assert value(text, a=2.0, b=3.0) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "a"),
    [
        ("1 / a", 0.0),
        ("1 / (1 / a)", 0.0),
        ("exp(-1 / a ** 2)", 0.0),
        ("min(1, 1 / a)", 0.0),
        ("sqrt(a)", -1.0),
        ("log(a)", 0.0),
        ("a ** 0.5", -1.0),
        ("a ** -1", 0.0),
        ("exp(a)", 1000.0),
        ("a * a", 1e200),
        ("1 / (a * a)", 1e200),
        ("mean(a, a)", 1.7e308),
        ("max(a, 1)", NAN),
        ("a ** 2", NAN),
        ("0 * a", NAN),
    ],
)
def test_what_has_no_value_is_nan_without_a_word(text: str, a: float) -> None:
    assert math.isnan(value(text, a=a))


def test_constants_come_to_one_number() -> None:
    assert parse("a * (9 / 5) ** 2 + 30 + 2", None).tree == Operation(
        "+",
        (
            Operation("+", (Operation("*", (Input(0), Number(1.8**2))), Number(30.0))),
            Number(2.0),
        ),
    )


def test_inputs_are_numbered_as_the_text_names_them() -> None:
    assert parse("outlet - inlet", ["inlet", "outlet"]).names == ("outlet", "inlet")
    same = parse("y - x", ["x", "y"])
    assert same.tree == parse("outlet - inlet", ["inlet", "outlet"]).tree


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a - oulet", ['unknown name "oulet" in value', '"outlet" is in of, but not in value']),
        ("a + outlet.value", ['"outlet.value" is not allowed in value']),
        ("a + outlet[0]", ['"[" is not allowed in value', '"]" is not allowed in value']),
        ("a ^ outlet", ['"^" is not allowed in value']),
        ("a > outlet", ['">" is not allowed in value']),
        ("a // outlet", ['"a // outlet" is not allowed in value']),
        ("a if outlet else 1", ['"a if outlet else 1" is not allowed in value']),
        ("a and outlet", ['"a and outlet" is not allowed in value']),
        ("lambda a", ['value "lambda a" is no arithmetic: invalid syntax']),
        ("(a, outlet)", ['"(a, outlet)" is not allowed in value']),
        ("a + outlet + 1j", ['"1j" is not allowed in value']),
        (
            "a + outlet + 0x10 + 1_0",
            ['"0x10" is not allowed in value', '"1_0" is not allowed in value'],
        ),
        ("2a + outlet", ['"2a" is not allowed in value']),
        ("a + outlet + True", ['"True" is not allowed in value']),
        ("a + outlet + 1e999", ["a number in value is too large"]),
        ("a + outlet + " + "9" * 400, ["a number in value is too large"]),
        ("a + outlet + 1 / 0", ['"1 / 0" has no value']),
        ("a ** outlet", ['"a ** outlet": its exponent is not one that is allowed']),
        ("a ** 9 + outlet", ['"a ** 9": its exponent is not one that is allowed']),
        ("a ** 0 + outlet", ['"a ** 0": its exponent is not one that is allowed']),
        ("2 ** a + outlet", ['"2 ** a": its exponent is not one that is allowed']),
        ("abs(a, outlet)", ["abs has 2 values"]),
        ("min(a) + outlet", ["min has 1 values"]),
        ("abs(*a) + outlet", ['"*a" is not allowed in value']),
        ("mean + a + outlet", ["mean has no values"]),
        ("eval(a) + outlet", ['unknown function "eval" in value']),
        ("a(outlet)", ['unknown function "a" in value']),
        ("a.b(outlet)", ['"a.b(outlet)" is not allowed in value']),
        ("a +", ['value "a +" is no arithmetic: invalid syntax']),
        ("", ['value "" is no arithmetic: invalid syntax']),
        ("(a", ["value \"(a\" is no arithmetic: '(' was never closed"]),
        ("a + outlet" + " + 1" * 200, ["value has 810 letters"]),
        ("x + y", ['unknown name "x" in value', 'unknown name "y" in value']),
    ],
)
def test_what_is_refused(text: str, problems: list[str]) -> None:
    with pytest.raises(BadFormula) as refused:
        parse(text, ["a", "outlet"])
    told = [problem for problem, fix in refused.value.problems if fix]
    assert [problem for problem in told if problem in problems] == problems


@pytest.mark.parametrize(
    "text", ["-" * 490 + "a", "(" * 240 + "a" + ")" * 240, "a" + " + 1" * 60, "abs(" * 90 + "a"]
)
def test_what_is_too_deep_is_refused(text: str) -> None:
    with pytest.raises(BadFormula, match=r"levels deep|no arithmetic"):
        parse(text, ["a"])


@settings(max_examples=500, deadline=None)
@given(st.text("ab01.+-*/(), eminxslgq\n_%", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        made = parse(text, ["a", "b"])
    except BadFormula as bad:
        assert bad.problems
    else:
        assert evaluate(made.tree, np.array([[1.0, 0.0], [NAN, 0.0]])).shape == (2,)


RULE = """
rules:
  - name: delta
    severity: info
    text: t
    condition: {threshold: {above: 5}}
    signal:
      of:
        inlet: "*inlet"
        outlet: {name: "*outlet", kind: temprature}
      value: "outlet - inlt"
      units: K
"""


def test_mistakes_have_their_lines_and_hide_no_other() -> None:
    with pytest.raises(RuleErrors) as refused:
        parse_rules(RULE, "x.yaml")
    assert str(refused.value).splitlines() == [
        'x.yaml: line 10: unknown sensor kind "temprature" (did you mean "temperature"?)',
        'x.yaml: line 12: unknown key "units" (did you mean "unit"?)',
    ]
    right = RULE.replace("temprature", "temperature").replace("units", "unit")
    with pytest.raises(RuleErrors) as refused:
        parse_rules(right, "x.yaml")
    assert str(refused.value) == (
        'x.yaml: line 11: unknown name "inlt" in value; "inlet" is in of, but not in value '
        '(did you mean "inlet"?; use it or take it out)'
    )
    (made,) = parse_rules(right.replace("inlt", "inlet"), "x.yaml")
    assert made.signal is not None
    assert made.signal.of["inlet"].name == "*inlet"
    assert (made.signal.unit, made.signal.formula.names) == ("K", ("outlet", "inlet"))


@pytest.mark.parametrize(
    ("of", "problem"),
    [
        ("{}", "0 names in of (give 1 to 16)"),
        ("{" + ", ".join(f"a{i}: x" for i in range(17)) + "}", "17 names in of (give 1 to 16)"),
        ("{min: a}", '"min" cannot be a name in of'),
        ("{if: a, B: b, 3: c, a-b: d}", '"if, B, 3, a-b" cannot be a name in of'),
        ("{on: a}", '"True" cannot be a name in of'),
        ("{a: ''}", "name '' is empty"),
        ("[a]", "of is not a mapping"),
    ],
)
def test_names_that_cannot_be(of: str, problem: str) -> None:
    rule = "{name: r, severity: info, text: t, condition: {threshold: {above: 5}}, signal: "
    with pytest.raises(RuleErrors) as refused:
        parse_rules(f"rules: [{rule}{{of: {of}, value: a}}}}]", "x.yaml")
    assert problem in str(refused.value)


def test_forbidden_things_are_never_run() -> None:
    for text in ("__import__('os')", "().__class__", "exit()", "a.__class__"):
        with pytest.raises(ValueError, match="value"):
            SignalModel.model_validate({"of": {"a": "x"}, "value": text})
