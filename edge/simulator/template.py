"""A plant template: the asset types of a facility and how their sensors behave.

    template = read_template(Path("flink-conf/catalogue/plant.yaml"))

The template says nothing of how many facilities there are or how large: `fleet` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, model_validator

from edge.documents import Label, Model, Tags, read_document

Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Kind = Literal[
    "temperature", "vibration", "pressure", "flow", "position", "current", "speed", "level"
]

# the pooled noise never passes 5 standard deviations (see signals.py)
NOISE_REACH = 5


class SensorSpec(Model):
    """One sensor of an asset type. Sizes are in the sensor's own unit."""

    name: Word = Field(description="Name under its asset, as in bearing-temperature.")
    kind: Kind = Field(description="What is measured.")
    unit: str = Field(min_length=1, description="Unit of the values.")
    low: Finite = Field(description="Low end of the valid range.")
    high: Finite = Field(description="High end of the valid range.")
    base: Finite = Field(description="Mean value over the fleet.")
    spread: NotNegative = Field(
        default=0, description="How far one sensor's mean is from `base` at most."
    )
    noise: NotNegative = Field(default=0, description="Standard deviation of a reading.")
    daily: NotNegative = Field(
        default=0, description="Height of the daily cycle, peak at about 15:00."
    )
    drift: NotNegative = Field(
        default=0, description="How far the mean wanders within a week at most."
    )
    resolution: PositiveFloat = Field(default=0.01, description="Step between two possible values.")
    period_ms: PositiveInt = Field(default=1000, description="Sampling period.")
    clock_offset_ms: Annotated[int, Field(ge=0)] = Field(
        default=0, description="How late in its period a sensor samples at most; one draw a sensor."
    )

    @model_validator(mode="after")
    def _healthy_is_valid(self) -> SensorSpec:
        """A healthy sensor never leaves its valid range, so every excursion was scripted."""
        reach = self.spread + self.daily + self.drift + NOISE_REACH * self.noise
        if not self.low <= self.base - reach <= self.base + reach <= self.high:
            raise ValueError(
                f"base {self.base:g} +- {reach:g} (spread, daily, drift, {NOISE_REACH} x noise) "
                f"leaves the valid range {self.low:g} to {self.high:g}"
            )
        if self.clock_offset_ms >= self.period_ms:
            raise ValueError("clock_offset_ms must be less than period_ms")
        return self


class AssetSpec(Model):
    """One asset type, `count` times in each train of assets."""

    count: PositiveInt = Field(default=1, description="Assets of this type in one train.")
    asset_type: Label | None = Field(default=None, description="What it is; none: by its name.")
    tags: Tags = Field(default=(), description="Tags of its sensors.")
    sensors: tuple[SensorSpec, ...] = Field(description="Its sensors, in slot order; at least one.")

    @model_validator(mode="after")
    def _has_different_sensors(self) -> AssetSpec:
        if not self.sensors:  # min_length would complain again where every sensor has a mistake
            raise ValueError("an asset type needs at least one sensor")
        names = [sensor.name for sensor in self.sensors]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"sensor name is there twice: {', '.join(twice)}")
        return self


class Imperfections(Model):
    """What is not clean in a healthy plant, as fractions of all batches."""

    uncertain: Fraction = Field(
        default=0, description="Batches with a few readings of quality uncertain."
    )
    bad: Fraction = Field(
        default=0, description="Batches with a few readings that are bad and NaN."
    )
    missing: Fraction = Field(default=0, description="Batches in which a few readings are missing.")
    readings: PositiveInt = Field(default=3, description="How many readings `a few` are at most.")


class Template(Model):
    """A plant: asset types, repeated as trains until a facility has the sensors asked for."""

    description: str = Field(min_length=1, description="What plant this is, in one sentence.")
    assets: dict[Word, AssetSpec] = Field(min_length=1, description="Asset types by name.")
    imperfections: Imperfections = Imperfections()


def read_template(path: Path) -> Template:
    """Raises: EdgeError: one line for each mistake in the file."""
    return read_document(path, Template)
