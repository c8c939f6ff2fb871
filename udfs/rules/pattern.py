"""A pattern over condition events, as an author writes it; docs/patterns.md says what it means."""

from __future__ import annotations

from typing import Any, Literal

from udfs.rules.base import SomeSeconds, Strict, Word
from udfs.rules.conditions import ConditionModel
from udfs.rules.selector import Selector
from udfs.rules.signal import SignalModel


class EventModel(Strict):
    """A condition whose begin (or end) is an event of the pattern."""

    sensors: Selector = Selector()
    signal: SignalModel | None = None
    condition: ConditionModel
    on: Literal["begin", "end"] = "begin"


class PatternModel(Strict):
    """Which events in which order within which time."""

    sequence: list[Any]
    within_s: SomeSeconds


class ClearModel(Strict):
    """What ends the alert of a pattern: an event, or so long without another match."""

    event: Word | None = None
    after_s: SomeSeconds | None = None
