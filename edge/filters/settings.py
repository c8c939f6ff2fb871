"""What an operator may set of the filters: one YAML file, by sensor kind or name.

    filters:
      - kinds: [temperature, pressure]
        deadband: {percent: 0.1, heartbeat_s: 10}

For each step the first entry counts that fits the sensor and names the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from edge.documents import Model, read_document
from edge.registry import Sensor
from udfs.rules.selector import KINDS
from udfs.wording import hint

ValidityPolicy = Literal["flag", "drop", "clamp", "off"]
DownsampleMode = Literal["last", "mean", "min_max", "off"]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Hertz = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class ClockSettings(Model):
    """Devices whose clocks are wrong."""

    repair: bool = Field(
        default=True, description="Repair times; false: only those from the future."
    )
    limit_ms: PositiveInt = Field(default=2000, description="A clock may be wrong by so much.")
    window_s: Annotated[float, Field(ge=10, le=3600)] = Field(
        default=60, description="A clock that is behind is believed to be so after this time."
    )


class StuckSettings(Model):
    """A signal with noise that shows the very same value again and again."""

    stuck_s: Seconds = Field(description="Flagged when it has not changed for so long.")


class FeatureSettings(Model):
    """Readings of a fast sensor, or waveforms, as the features of a window."""

    window_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=1, description="Length of a window of single readings; a multiple of the tick."
    )
    bands_hz: tuple[tuple[Hertz, Hertz], ...] = Field(
        default=(), description="Bands whose energy is told, as [from, to]."
    )
    keep: bool = Field(default=False, description="Whether the single readings are sent, too.")

    @field_validator("bands_hz")
    @classmethod
    def _ascending(cls, bands: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        for low, high in bands:
            if low >= high:
                raise ValueError(f"band [{low:g}, {high:g}] is empty; give the lower end first")
        return bands


class DeadbandSettings(Model):
    """Small changes are not sent."""

    absolute: NonNegativeFloat | None = Field(default=None, description="In the sensor's unit.")
    percent: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Of the sensor's valid range; without one nothing is held back."
    )
    heartbeat_s: Seconds = Field(
        default=10, description="Sent after this time at the latest; below `for_s` of no_data."
    )

    @model_validator(mode="after")
    def _one(self) -> DeadbandSettings:
        if (self.absolute is None) == (self.percent is None):
            raise ValueError("give either absolute or percent")
        return self


class Filter(Model):
    """Steps for the sensors that match; every step that is left out is left to later entries."""

    kinds: tuple[str, ...] = Field(default=(), description="Kinds of sensors; empty: any.")
    names: tuple[str, ...] = Field(
        default=(), description='Names of sensors, with * and ?, as "pump-*.flow"; empty: any.'
    )
    validity: ValidityPolicy | None = Field(
        default=None,
        description="What becomes of readings outside the valid range: flag, drop, clamp, off.",
    )
    stuck: StuckSettings | None = Field(
        default=None, description="Flag a signal that does not move."
    )
    features: FeatureSettings | None = Field(default=None, description="Vibration features.")
    downsample: DownsampleMode | None = Field(
        default=None, description="What is left of several readings in a tick."
    )
    deadband: DeadbandSettings | None = Field(default=None, description="Send changes only.")

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(f'unknown sensor kind "{kind}" ({hint(kind, KINDS)})')
        return kinds

    def fits(self, sensor: Sensor) -> bool:
        """Whether the sensor is of one of the kinds and has one of the names."""
        of_kind = not self.kinds or sensor.kind in self.kinds
        return of_kind and (not self.names or any(fnmatchcase(sensor.name, n) for n in self.names))


class FilterSettings(Model):
    """Everything between ticks and batches."""

    clock: ClockSettings = ClockSettings()
    repeat_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=120, description="Event time back to which, at least, a repeat is known as one."
    )
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The steps of one sensor."""

    validity: ValidityPolicy = "flag"
    stuck: StuckSettings | None = None
    features: FeatureSettings | None = None
    downsample: DownsampleMode = "off"
    deadband: DeadbandSettings | None = None


def choose(filters: tuple[Filter, ...], sensor: Sensor) -> Chosen:
    """The steps of a sensor: each from the first entry that fits and names it."""
    found: dict[str, object] = {}
    for entry in filters:
        if entry.fits(sensor):
            named = {step: getattr(entry, step) for step in Chosen.__dataclass_fields__}
            found = {step: how for step, how in named.items() if how is not None} | found
    return Chosen(**found)  # type: ignore[arg-type]


def read_filters(path: Path) -> FilterSettings:
    """Settings from a YAML file. Raises: EdgeError: one line for each mistake in it."""
    return read_document(path, FilterSettings)
