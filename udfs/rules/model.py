"""The model of a rule: which sensors, one condition, a severity and a text. docs/rules.md explains.

`udfs/rules/rulebook.py` reads rules from YAML and says where their mistakes are.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from udfs.rules.base import Strict, Word, mistake
from udfs.rules.case import CaseModel
from udfs.rules.conditions import ConditionModel, NoDataModel
from udfs.rules.escalation import DeEscalateModel, Steps
from udfs.rules.pattern import ClearModel, EventModel, PatternModel
from udfs.rules.schedule import ScheduleModel
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel
from udfs.rules.text import check_text

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
    escalate: Steps = Field(default_factory=list)
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
        elif "events" in info.data:
            pattern.check_events(list(info.data["events"]))
        return pattern

    @field_validator("clear")
    @classmethod
    def _of_a_pattern(cls, clear: ClearModel | None, info: ValidationInfo) -> ClearModel | None:
        if clear is not None and info.data.get("condition") is not None:
            raise mistake(
                "clear beside a condition", "a condition has clear limits of its own; leave it out"
            )
        if clear is not None and info.data.get("events") is not None:
            clear.check_events(list(info.data["events"]))
        return clear

    @field_validator("text")
    @classmethod
    def _fillable(cls, text: str, info: ValidationInfo) -> str:
        return check_text(text, info.data.get("pattern") is not None)

    # they are judged by the wall clock, apart from all that goes by event time
    @field_validator("escalate", "de_escalate", "condition")
    @classmethod
    def _not_of_silence(cls, given: Any, info: ValidationInfo) -> Any:
        own = info.field_name == "condition"
        model = given if own else info.data.get("condition")
        one = model.one if model is not None else None
        if not isinstance(one, NoDataModel) or one.of == "sensor":
            return given
        if own and info.data.get("when") is not None:
            raise mistake(
                "the silence of a gateway has no schedule",
                "give of: sensor, or silence the alert where it is delivered",
            )
        if own and info.data.get("signal") is not None:
            raise mistake("the silence of a gateway has no signal", "give of: sensor")
        if not own and given:
            raise mistake(
                "the silence of a gateway does not escalate",
                "write a rule for each severity, with its own for_s; or give of: sensor",
            )
        return given

    @property
    def key(self) -> str:
        """Name and version: the state of a rule belongs to it."""
        return f"{self.name}@{self.version}"
