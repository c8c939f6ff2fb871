"""Detectors as a rule's author writes them: conditions that learn what is usual for each sensor."""

from __future__ import annotations

from typing import Annotated, TypedDict

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from udfs.batch import Floats
from udfs.conditions.base import Condition
from udfs.detectors.baseline import Baseline
from udfs.detectors.ewma import Ewma
from udfs.rules.base import Periods, Positive, SomeSeconds, mistake, ms
from udfs.rules.lasting import Lasting

WarmUp = Annotated[int, Field(ge=10, le=100_000)]


class Memory(TypedDict):
    """What `Learned` takes of a model and the sensors' periods."""

    half_life_ms: int
    period_ms: Floats
    warm_up: int


def _memory(half_life_s: float, warm_up: int, period_ms: Periods) -> Memory:
    period = period_ms.astype(np.float64)
    return Memory(half_life_ms=ms(half_life_s), period_ms=period, warm_up=warm_up)


class EwmaModel(Lasting):
    """A reading far from its sensor's own recent mean, in standard deviations."""

    z: Positive
    half_life_s: SomeSeconds
    warm_up: WarmUp = 60
    min_sigma: Positive
    clear_z: Positive | None = None

    @field_validator("clear_z")
    @classmethod
    def _clears_under(cls, clear: float | None, info: ValidationInfo) -> float | None:
        return _under("clear_z", clear, "z", info)

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return Ewma(
            z=self.z,
            min_sigma=self.min_sigma,
            clear_z=self.clear_z,
            **_memory(self.half_life_s, self.warm_up, period_ms),
            **self.patience,
        )


class BaselineModel(Lasting):
    """A reading that deviates from its sensor's own mean by an amount or by per cent of it."""

    by: Positive | None = None
    by_percent: Positive | None = None
    clear_by: Positive | None = None
    clear_by_percent: Positive | None = None
    half_life_s: SomeSeconds
    warm_up: WarmUp = 60

    @field_validator("clear_by")
    @classmethod
    def _clears_under(cls, clear: float | None, info: ValidationInfo) -> float | None:
        return _under("clear_by", clear, "by", info)

    @field_validator("clear_by_percent")
    @classmethod
    def _clears_under_percent(cls, clear: float | None, info: ValidationInfo) -> float | None:
        return _under("clear_by_percent", clear, "by_percent", info)

    @model_validator(mode="after")
    def _some_amount(self) -> BaselineModel:
        if self.by is None and self.by_percent is None:
            raise mistake("baseline without an amount", "give by or by_percent")
        return self

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return Baseline(
            by=self.by or 0.0,
            share=(self.by_percent or 0.0) / 100,
            clear_by=self.clear_by,
            clear_share=None if self.clear_by_percent is None else self.clear_by_percent / 100,
            **_memory(self.half_life_s, self.warm_up, period_ms),
            **self.patience,
        )


def _under(name: str, clear: float | None, limit_name: str, info: ValidationInfo) -> float | None:
    """A clear limit has a limit, and is no larger."""
    if clear is None or limit_name not in info.data:
        return clear
    limit = info.data[limit_name]
    if limit is None:
        raise mistake(f"{name} without {limit_name}", f"give {limit_name} too, or drop {name}")
    if clear > limit:
        raise mistake(
            f"{name} {clear:g} is not below the limit {limit:g}", f"give {limit:g} or less"
        )
    return clear
