"""Tests that a rule carries: how they are read. Mistakes stand in tests/cases/rules/tests."""

from __future__ import annotations

import pytest

from udfs.rules.case import CaseModel
from udfs.rules.rows import read_qualities, read_values


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("70", (70.0,)),
        (70, (70.0,)),
        ("70*3, -1.5e2, .5", (70.0, 70.0, 70.0, -150.0, 0.5)),
        ([70, "80 * 2", None], (70.0, 80.0, 80.0, None)),
        ("null*2, 1", (None, None, 1.0)),
        ("20..80*4", (20.0, 40.0, 60.0, 80.0)),
        ("-1 .. -3 * 3", (-1.0, -2.0, -3.0)),
    ],
)
def test_values(given: object, values: tuple[float | None, ...]) -> None:
    assert read_values(given) == values


def test_qualities() -> None:
    assert read_qualities("good*2, stuck, clock_repaired") == (0, 0, 3, 4)


def test_the_short_form_is_the_long_one() -> None:
    short = {"name": "x", "readings": {"a.b": "1*3"}, "expect": []}
    long = {"name": "x", "readings": {"a.b": {"values": [1, 1, 1]}}, "expect": []}
    assert CaseModel.model_validate(short) == CaseModel.model_validate(long)
