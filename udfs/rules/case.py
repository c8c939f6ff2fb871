"""A test that a rule carries: readings in, alerts out, as an author writes it.

    tests:
      - name: fires after three seconds, and not for a blip
        readings:
          pump-1.bearing-temperature: "70*5, 85, 70*5, 85*4, 70"
        expect:
          - {subject: pump-1.bearing-temperature, onset_s: 11, firing_s: 14, resolved_s: 15}

`udfs/trial/trial.py` runs it. Times are seconds since the test's start.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from udfs.rules.base import Finite, Strict, mistake
from udfs.rules.calendar import read_moment
from udfs.rules.rows import Values, read_qualities, read_values
from udfs.rules.selector import KINDS
from udfs.wording import hint

_MOST_S = 14 * 86_400

Period = Annotated[float, Field(ge=0.01, le=86_400, allow_inf_nan=False)]
When = Annotated[float, Field(ge=-_MOST_S, le=_MOST_S, allow_inf_nan=False)]
Severity = Literal["info", "warning", "critical"]


class ReadingsModel(Strict):
    """One sensor's readings; what it is follows from the rule where that is not said."""

    values: Annotated[Values, BeforeValidator(read_values)]
    every_s: Period | None = None
    quality: Annotated[tuple[int, ...] | None, BeforeValidator(read_qualities)] = None
    kind: str | None = None
    unit: str = ""
    asset: str | None = None
    asset_type: str | None = None
    tags: list[str] = Field(default_factory=list)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in KINDS:
            raise mistake(f'unknown sensor kind "{kind}"', hint(kind, KINDS))
        return kind

    @field_validator("quality")
    @classmethod
    def _one_each(cls, quality: tuple[int, ...] | None, info: ValidationInfo) -> Any:
        values = info.data.get("values")
        if quality is not None and values is not None and len(quality) != len(values):
            raise mistake(f"{len(quality)} qualities for {len(values)} values", "give one each")
        return quality


class UpdateModel(Strict):
    """The alert gets another severity."""

    at_s: When
    severity: Severity


class ExpectModel(Strict):
    """An alert. Only the keys that are given are compared; `resolved_s: null`: it fires on."""

    subject: str | None = None
    asset: str | None = None
    onset_s: When | None = None
    firing_s: When | None = None
    resolved_s: When | None = None
    severity: Severity | None = None
    value: Finite | None = None
    limit: Finite | None = None
    text: str | None = None
    updates: list[UpdateModel] | None = None


def _whole(given: Any) -> Any:
    """`sensor: "70*3"` is short for `sensor: {values: "70*3"}`."""
    if not isinstance(given, dict):
        return given
    return {
        name: each if isinstance(each, dict | ReadingsModel) else {"values": each}
        for name, each in given.items()
    }


class CaseModel(Strict):
    """Readings of some sensors, and the alerts that they must raise: these, and no others.

    start: of the first readings, in the zone of the rule's schedule unless it says otherwise.
    every_s: time between two readings of a sensor.
    """

    name: Annotated[str, Field(min_length=1)]
    start: Annotated[datetime, BeforeValidator(read_moment)] = datetime(2026, 1, 5)
    every_s: Period = 1.0
    facility: str | None = None
    gateway: str | None = None
    readings: Annotated[
        dict[str, ReadingsModel], BeforeValidator(_whole), Field(min_length=1, max_length=1000)
    ]
    expect: list[ExpectModel]

    @field_validator("readings")
    @classmethod
    def _not_too_long(
        cls, readings: dict[str, ReadingsModel], info: ValidationInfo
    ) -> dict[str, ReadingsModel]:
        every_s = info.data.get("every_s", 1.0)
        longest_s = max(len(r.values) * (r.every_s or every_s) for r in readings.values())
        if longest_s > _MOST_S:
            raise mistake(f"a test of {longest_s / 86400:.0f} days", "at most 14 are allowed")
        return readings
