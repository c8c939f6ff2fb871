"""Steps of escalation as an author writes them, and what is said of mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, ValidationError

from udfs.rules.base import Strict
from udfs.rules.escalation import DeEscalateModel, Steps
from udfs.rules.text import EXAMPLE, PATTERN_EXAMPLE, check_text


class Holder(Strict):
    """What a rule has of it, in its order."""

    pattern: str | None = None
    severity: str = "info"
    escalate: Steps = Field(default_factory=list)


def mistakes(**given: Any) -> list[tuple[tuple[int | str, ...], str, str]]:
    with pytest.raises(ValidationError) as refused:
        Holder(**given)
    return [(e["loc"], e["ctx"]["problem"], e["ctx"]["fix"]) for e in refused.value.errors()]


def step(after_s: float, severity: str, **more: str) -> dict[str, Any]:
    return {"after_s": after_s, "severity": severity, **more}


def test_rising_steps_are_taken() -> None:
    made = Holder(escalate=[step(60, "warning"), step(300, "critical", text="{sensor}!")])
    assert [(each.after_s, each.severity) for each in made.escalate] == [
        (60, "warning"), (300, "critical"),
    ]  # fmt: skip
    assert Holder().escalate == []
    assert len(Holder(pattern="p", escalate=[step(1, "critical", text="{count}")]).escalate) == 1


def test_every_mistake_is_told_at_its_own_place() -> None:
    steps = [step(60, "warning", text="{sensr}"), step(60, "warning"), step(30, "info")]
    assert mistakes(severity="warning", escalate=steps) == [
        (("escalate", 0, "severity"), "severity warning is not above warning", "give critical"),
        (
            ("escalate", 0, "text"),
            'unknown placeholder "{sensr}"',
            'did you mean "sensor"?',
        ),
        (
            ("escalate", 1, "after_s"),
            "after_s 60 is not later than the step before, 60",
            "all steps count from when the alert fired; put them in the order of time",
        ),
        (("escalate", 1, "severity"), "severity warning is not above warning", "give critical"),
        (
            ("escalate", 2, "after_s"),
            "after_s 30 is not later than the step before, 60",
            "all steps count from when the alert fired; put them in the order of time",
        ),
        (
            ("escalate", 2, "severity"),
            "severity info is not above warning",
            "give critical",
        ),
    ]


def test_nothing_is_above_critical() -> None:
    assert mistakes(severity="critical", escalate=[step(60, "critical")]) == [
        (
            ("escalate", 0, "severity"),
            "severity critical is not above critical",
            "there is none: leave the step out",
        )
    ]


def test_two_steps_in_one_millisecond_are_one_too_many() -> None:
    (found,) = mistakes(escalate=[step(60, "warning"), step(60.0001, "critical")])
    assert found[0] == ("escalate", 1, "after_s")


@pytest.mark.parametrize("after_s", [0, 0.5, 86_401, "60"])
def test_times_are_seconds_of_a_day(after_s: Any) -> None:
    with pytest.raises(ValidationError):
        Holder(escalate=[{"after_s": after_s, "severity": "critical"}])
    with pytest.raises(ValidationError):
        DeEscalateModel(after_s=after_s)


@pytest.mark.parametrize(
    ("text", "of_pattern", "problem"),
    [
        ("{sensor} {value:.1f} {limit} {duration_s:.0f}", False, None),
        ("{asset} {count} {duration_s:.0f} {rule} {severity}", True, None),
        ("{count}", False, 'unknown placeholder "{count}"'),
        ("{value}", True, '"{value}" in the text of a pattern'),
        ("{valu}", True, 'unknown placeholder "{valu}"'),
        ("{", True, "text: Single '{' encountered in format string"),
        ("{asset:.1f}", True, "text: Unknown format code 'f' for object of type 'str'"),
        ("{}", False, 'unknown placeholder "{}"'),
        ("{sensor.name}", False, 'unknown placeholder "{sensor.name}"'),
    ],
)
def test_texts(text: str, of_pattern: bool, problem: str | None) -> None:
    if problem is None:
        assert check_text(text, of_pattern) == text
        return
    with pytest.raises(Exception, match=r".") as refused:
        check_text(text, of_pattern)
    assert refused.value.context["problem"] == problem


def test_what_a_pattern_can_name() -> None:
    assert list(PATTERN_EXAMPLE) == [
        "asset", "facility", "gateway", "duration_s", "rule", "severity", "count",
    ]  # fmt: skip
    assert "count" not in EXAMPLE
