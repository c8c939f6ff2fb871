"""The rules that come with the project: each has tests of both kinds, and all pass."""

from __future__ import annotations

import pytest

from jobs.cli.rules import read_texts, untested
from jobs.common.rules import parse
from udfs.rules.rulebook import Rule
from udfs.trial.trial import run_tests

TEXTS = read_texts(None)
RULES = parse(TEXTS)


def test_every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert len(RULES) >= 13
    assert untested(RULES, TEXTS) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_its_tests_pass(rule: Rule) -> None:
    assert {verdict.case: verdict.problems for verdict in run_tests(rule) if verdict.problems} == {}
