"""The model of a rule: which sensors, one condition, a severity and a text. docs/rules.md explains.

`udfs/rules/rulebook.py` reads rules from YAML and says where their mistakes are.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from udfs.rules.base import Strict, Word, mistake
from udfs.rules.case import CaseModel
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

Events = dict[Word, EventModel]


class Rule(Strict):
    """One rule, with the tests that it carries."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    version: Annotated[int, Field(ge=1)] = 1
    sensors: Selector = Selector()
    signal: SignalModel | None = None
    when: ScheduleModel | None = None
    condition: ConditionModel | None = None
    events: Events | None = None
    pattern: PatternModel | None = Field(None, validate_default=True)
    clear: ClearModel | None = None
    severity: Literal["info", "warning", "critical"]
    text: Annotated[str, Field(min_length=1)]
    escalate: list[EscalateModel] = Field(default_factory=list)
    de_escalate: DeEscalateModel | None = None
    tests: list[CaseModel] = Field(default_factory=list)

    @field_validator("events")
    @classmethod
    def _instead(cls, events: Events | None, info: ValidationInfo) -> Events | None:
        for other in ("condition", "signal"):
            if events is not None and info.data.get(other) is not None:
                raise mistake(f"events beside a {other}", f"move the {other} into an event")
        return events

    # by default too: a rule without it needs a condition
    @field_validator("pattern")
    @classmethod
    def _condition_or_pattern(
        cls, pattern: PatternModel | None, info: ValidationInfo
    ) -> PatternModel | None:
        if pattern is None:
            if "condition" in info.data and info.data["condition"] is None:
                raise mistake('"condition" is missing', "add condition:, or events: and pattern:")
        elif "events" in info.data and info.data["events"] is None:
            raise mistake("a pattern without events", "add events:, each with a condition")
        return pattern

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
