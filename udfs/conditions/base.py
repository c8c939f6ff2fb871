"""What every condition is: a vectorised test of each sensor by itself."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from udfs.conditions.latch import Found, Readings, State


class View(StrEnum):
    """Which readings a condition sees: good ones, these and flagged-as-stuck ones, or all.

    QUALITY is all, with their quality codes as values (`udfs.conditions.quality`).
    """

    GOOD = "good"
    SIGNAL = "signal"
    ANY = "any"
    QUALITY = "quality"


class Condition(Protocol):
    """A test of each entry by itself; an entry is one sensor of one rule.

    unit: of value and limit, "{}" is the sensor's own. form: hashable; conditions of equal form
    can be fused (`udfs.conditions.fuse`).
    """

    @property
    def view(self) -> View: ...
    @property
    def unit(self) -> str: ...
    @property
    def form(self) -> tuple[Any, ...]: ...
    def start(self, entries: int) -> State: ...
    def step(self, state: State, readings: Readings) -> list[Found]: ...


class Columns:
    """A condition, a dataclass, whose `columns` are parameters that may differ between entries.

    Each of them is one number for all entries, or an array with one an entry. All the others are
    what cannot be a column, and make the form.
    """

    columns: ClassVar[tuple[str, ...]]

    @property
    def form(self) -> tuple[Any, ...]:
        """Name of the class and all that is not a column."""
        # not a dataclass by itself, so the type checker cannot know that its heirs are
        own = [each for each in fields(self) if each.init]  # type: ignore[arg-type]
        rest = [getattr(self, each.name) for each in own if each.name not in self.columns]
        return (type(self).__name__, *rest)
