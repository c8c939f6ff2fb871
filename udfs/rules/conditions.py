"""Conditions as a rule's author writes them; each builds its vectorised form.

Every check hangs on a field rather than on the whole, so that one mistake does not hide the next.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from udfs.batch import Quality
from udfs.conditions.band import Band
from udfs.conditions.base import Condition, View
from udfs.conditions.gaps import GAP_PERIODS
from udfs.conditions.latch import Ints
from udfs.conditions.no_data import NoData
from udfs.conditions.quality import QualityIs, codes
from udfs.conditions.rate_of_change import RateOfChange
from udfs.conditions.stuck import Stuck
from udfs.conditions.threshold import Threshold
from udfs.rules.base import Finite, Periods, Positive, SomeSeconds, Strict, mistake, ms
from udfs.rules.detectors import BaselineModel, EwmaModel
from udfs.rules.lasting import Lasting
from udfs.wording import hint

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ThresholdModel(Lasting):
    """Above or below a limit, until back past the clear limit."""

    above: Finite | None = None
    below: Finite | None = None
    clear_below: Finite | None = None
    clear_above: Finite | None = None

    @field_validator("below")
    @classmethod
    def _one_side(cls, below: float | None, info: ValidationInfo) -> float | None:
        if below is not None and info.data.get("above") is not None:
            raise mistake("above and below in one threshold", "make two rules of it")
        return below

    @field_validator("clear_below")
    @classmethod
    def _clears_under(cls, clear: float | None, info: ValidationInfo) -> float | None:
        if clear is None:
            return None
        if info.data.get("below") is not None:
            raise mistake("clear_below with below", "a threshold below clears with clear_above")
        above = info.data.get("above")
        if above is not None and clear > above:
            raise mistake(
                f"clear_below {clear:g} is not below the limit {above:g}",
                f"give {above:g} or less",
            )
        return clear

    @field_validator("clear_above")
    @classmethod
    def _clears_over(cls, clear: float | None, info: ValidationInfo) -> float | None:
        if clear is None:
            return None
        if info.data.get("above") is not None:
            raise mistake("clear_above with above", "a threshold above clears with clear_below")
        below = info.data.get("below")
        if below is not None and clear < below:
            raise mistake(
                f"clear_above {clear:g} is not above the limit {below:g}",
                f"give {below:g} or more",
            )
        return clear

    @model_validator(mode="after")
    def _some_side(self) -> ThresholdModel:
        if self.above is None and self.below is None:
            raise mistake("threshold without a limit", "give above or below")
        return self

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        above = self.above is not None
        limit, clear = (self.above, self.clear_below) if above else (self.below, self.clear_above)
        assert limit is not None
        return Threshold(limit, above, clear, **self.patience)


class RateOfChangeModel(Lasting):
    """A change by more than `per_s` units per second, measured over `window_s`."""

    per_s: Positive
    window_s: SomeSeconds
    direction: Literal["up", "down", "either"] = "either"
    clear_per_s: Positive | None = None

    @field_validator("clear_per_s")
    @classmethod
    def _clears_under(cls, clear: float | None, info: ValidationInfo) -> float | None:
        per_s = info.data.get("per_s")
        if clear is not None and per_s is not None and clear > per_s:
            raise mistake(
                f"clear_per_s {clear:g} is not below the limit {per_s:g}", f"give {per_s:g} or less"
            )
        return clear

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return RateOfChange(
            self.per_s,
            ms(self.window_s),
            self.direction,
            self.clear_per_s,
            **self.patience,
        )


class StuckModel(Strict):
    """A value that does not move by more than `tolerance` for `for_s` and `for_periods`."""

    for_s: SomeSeconds
    for_periods: Annotated[int, Field(ge=1, le=100_000)] = GAP_PERIODS
    tolerance: NotNegative = 0

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return Stuck(_at_least(self.for_s, self.for_periods, period_ms), self.tolerance)


class NoDataModel(Strict):
    """Nothing from a sensor while its gateway reports, or nothing from the whole gateway."""

    for_s: SomeSeconds
    of: Literal["sensor", "gateway", "both"] = "both"
    quality: Literal["any", "good"] = "any"

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        view = View.GOOD if self.quality == "good" else View.ANY
        return NoData(_at_least(self.for_s, GAP_PERIODS, period_ms), view)


class BandModel(Lasting):
    """Outside of `low` to `high`, until back inside by `clear_margin`."""

    low: Finite
    high: Finite
    clear_margin: NotNegative = 0

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and high <= low:
            raise mistake(f"high {high:g} is not above low {low:g}", f"give more than {low:g}")
        return high

    @field_validator("clear_margin")
    @classmethod
    def _leaves_room(cls, margin: float, info: ValidationInfo) -> float:
        low, high = info.data.get("low"), info.data.get("high")
        if low is None or high is None:
            return margin
        most = high / 2 - low / 2
        if margin > most:
            raise mistake(
                f"clear_margin {margin:g} leaves nothing of the band", f"give {most:g} or less"
            )
        return margin

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return Band(self.low, self.high, float(self.clear_margin), **self.patience)


QUALITIES = {
    "bad": Quality.BAD,
    "uncertain": Quality.UNCERTAIN,
    "stuck": Quality.STUCK,
    "clock": Quality.CLOCK_REPAIRED,
}


class QualityModel(Lasting):
    """Readings of one of these qualities, whatever their values."""

    is_: list[str] = Field(alias="is")

    @field_validator("is_", mode="before")
    @classmethod
    def _one_or_many(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("is_")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        if not names:
            raise mistake('"is" is empty', f"name at least one of {', '.join(QUALITIES)}")
        for name in names:
            if name not in QUALITIES:
                raise mistake(f'unknown quality "{name}"', hint(name, QUALITIES))
        return names

    def build(self, period_ms: Periods) -> Condition:
        """The condition for sensors of these sampling periods, shape (m,)."""
        return QualityIs(codes=codes(QUALITIES[name] for name in self.is_), **self.patience)


def _at_least(seconds: float, periods: int, period_ms: Periods) -> Ints:
    """A time in ms for each sensor, never less than so many of its sampling periods."""
    return np.maximum(ms(seconds), period_ms.astype(np.int64) * periods)


AnyCondition = (
    ThresholdModel
    | BandModel
    | RateOfChangeModel
    | StuckModel
    | NoDataModel
    | QualityModel
    | EwmaModel
    | BaselineModel
)


class ConditionModel(Strict):
    """Exactly one of these."""

    threshold: ThresholdModel | None = None
    band: BandModel | None = None
    rate_of_change: RateOfChangeModel | None = None
    stuck: StuckModel | None = None
    no_data: NoDataModel | None = None
    quality: QualityModel | None = None
    ewma: EwmaModel | None = None
    baseline: BaselineModel | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> ConditionModel:
        names = list(type(self).model_fields)
        given = sum(getattr(self, name) is not None for name in names)
        if given != 1 or len(self.model_fields_set) != 1:
            raise mistake(
                f"{given} conditions in one rule", f"give exactly one of {', '.join(names)}"
            )
        return self

    @property
    def one(self) -> AnyCondition:
        """The condition that is given."""
        given: AnyCondition = getattr(self, next(iter(self.model_fields_set)))
        return given
