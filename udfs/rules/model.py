"""The model of a rule: which sensors, one condition, a severity and a text. docs/rules.md explains.

`udfs/rules/rulebook.py` reads rules from YAML and says where their mistakes are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from udfs.rules.base import Strict, Word, mistake
from udfs.rules.conditions import ConditionModel
from udfs.rules.escalation import DeEscalateModel, EscalateModel
from udfs.rules.pattern import ClearModel, EventModel, PatternModel
from udfs.rules.schedule import ScheduleModel
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel
from udfs.wording import hint, placeholders, render

# What a text may name, with a value of each.
EXAMPLE: dict[str, str | float] = {
    "sensor": "pump-001.bearing-temperature",
    "asset": "pump-001",
    "facility": "plant-0001",
    "gateway": "gw-1",
    "kind": "temperature",
    "unit": "°C",
    "value": 96.5,
    "limit": 90.0,
    "duration_s": 5.0,
    "rule": "temperature-high",
    "severity": "warning",
}
PLACEHOLDERS = tuple(EXAMPLE)


class Rule(Strict):
    """One rule. `tests` belongs to the rule language to come and is carried along unread."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    version: Annotated[int, Field(ge=1)] = 1
    sensors: Selector = Selector()
    signal: SignalModel | None = None
    when: ScheduleModel | None = None
    condition: ConditionModel | None = None
    events: dict[Word, EventModel] | None = None
    pattern: PatternModel | None = None
    clear: ClearModel | None = None
    severity: Literal["info", "warning", "critical"]
    text: Annotated[str, Field(min_length=1)]
    escalate: list[EscalateModel] = Field(default_factory=list)
    de_escalate: DeEscalateModel | None = None
    tests: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _condition_or_pattern(self) -> Rule:
        if (self.condition is None) == (self.pattern is None):
            given = "neither condition nor pattern" if self.pattern is None else "both"
            raise mistake(f"{given} in one rule", "give condition, or events and pattern")
        return self

    @field_validator("text")
    @classmethod
    def _fillable(cls, text: str) -> str:
        try:
            names = placeholders(text)
        except ValueError as error:
            raise mistake(f"text: {error}", "write {{ and }} for braces") from None
        for name in names:
            if name not in PLACEHOLDERS:
                raise mistake(f'unknown placeholder "{{{name}}}"', hint(name, PLACEHOLDERS))
        try:
            render(text, EXAMPLE)
        except (ValueError, LookupError, AttributeError) as error:
            raise mistake(f"text: {error}", "formats are as in {value:.1f}") from None
        return text

    @property
    def key(self) -> str:
        """Name and version: the state of a rule belongs to it."""
        return f"{self.name}@{self.version}"
