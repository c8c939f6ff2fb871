"""What every condition is: a vectorised test of each sensor by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from udfs.conditions.latch import Found, Readings, State


class View(StrEnum):
    """Which readings a condition sees: good ones, these and flagged-as-stuck ones, or all."""

    GOOD = "good"
    SIGNAL = "signal"
    ANY = "any"


class Condition(Protocol):
    """A test of each sensor by itself. `unit`: of value and limit, "{}" is the sensor's own."""

    @property
    def view(self) -> View: ...
    @property
    def unit(self) -> str: ...
    def start(self, sensors: int) -> State: ...
    def step(self, state: State, readings: Readings) -> list[Found]: ...
