"""Escalation and de-escalation of an alert, as an author writes it.

`udfs/watch/life.py` does what is said here; docs/rules.md explains it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails, PydanticCustomError

from udfs.alerts import SEVERITIES
from udfs.rules.base import SomeSeconds, Strict, mistake, ms
from udfs.rules.text import check_text


class EscalateModel(Strict):
    """From then on the alert has this severity (and this text, where one is given).

    after_s: since the alert fired, counting only the time in which its condition held.
    """

    after_s: SomeSeconds
    severity: Literal["info", "warning", "critical"]
    text: Annotated[str, Field(min_length=1)] | None = None


class DeEscalateModel(Strict):
    """One level down after each `after_s` of quiet; from the lowest level it is resolved."""

    after_s: SomeSeconds


def _rising(steps: list[EscalateModel], info: ValidationInfo) -> list[EscalateModel]:
    """Hold the steps against each other and the rule, every mistake at its own line."""
    found = [
        InitErrorDetails(type=problem, loc=(number, key), input=getattr(steps[number], key))
        for number, key, problem in _mistakes(steps, info.data)
    ]
    if found:
        raise ValidationError.from_exception_data("escalate", found)
    return steps


def _mistakes(
    steps: list[EscalateModel], rule: dict[str, Any]
) -> Iterator[tuple[int, str, PydanticCustomError]]:
    """(which step, which key, what is wrong)."""
    of_pattern = rule.get("pattern") is not None
    severity, after_s = rule.get("severity"), 0.0
    for number, step in enumerate(steps):
        if ms(step.after_s) <= ms(after_s):
            yield number, "after_s", _not_later(step.after_s, after_s)
        if severity is not None and not _above(step.severity, severity):
            yield number, "severity", _not_higher(step.severity, severity)
        try:
            check_text(step.text or "", of_pattern)
        except PydanticCustomError as problem:
            yield number, "text", problem
        severity, after_s = step.severity, step.after_s


def _not_later(after_s: float, before_s: float) -> PydanticCustomError:
    return mistake(
        f"after_s {after_s:g} is not later than the step before, {before_s:g}",
        "all steps count from when the alert fired; put them in the order of time",
    )


def _not_higher(severity: str, before: str) -> PydanticCustomError:
    above = [word for word in SEVERITIES if _above(word, before)]
    fix = f"give {' or '.join(above)}" if above else "there is none: leave the step out"
    return mistake(f"severity {severity} is not above {before}", fix)


def _above(severity: str, other: str) -> bool:
    return SEVERITIES.index(severity) > SEVERITIES.index(other)


# The steps of a rule. It must stand behind `severity` and `pattern` in the model that has it.
Steps = Annotated[list[EscalateModel], AfterValidator(_rising)]
