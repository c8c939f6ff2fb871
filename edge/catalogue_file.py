"""What births and messages do not say of sensors: a YAML file of an operator.

    sensors:
      - {name: "pump-*.bearing-temperature", kind: temperature, unit: degC, low: -20, high: 120}

An entry puts what it says in the place of what the device says. Every entry whose name fits counts,
later ones last, so general entries stand first. It is asked once for each sensor, before the sensor
has a slot: what is changed in the file later is for new sensors only, but for asset types and tags.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fnmatch import translate
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from edge.documents import Label, Model, Tags, read_document
from edge.registry import Sensor
from udfs.catalogue import join_tags
from udfs.rules.selector import KINDS
from udfs.wording import hint

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Entry(Model):
    """What is known of the sensors of one name, or of one pattern of names."""

    name: Annotated[str, Field(min_length=1)] = Field(
        description="Name of the sensor; * and ? stand for any text and any letter."
    )
    unit: str | None = Field(
        default=None,
        description="Unit that is sent. Where the device reports in another one, it is converted.",
    )
    kind: str | None = Field(default=None, description="Kind, as temperature or flow.")
    asset: str | None = Field(
        default=None, description="Machine; {name} is the sensor's name up to its last dot."
    )
    low: Finite | None = Field(default=None, description="Least valid value, in the unit sent.")
    high: Finite | None = Field(default=None, description="Greatest valid value.")
    period_ms: PositiveInt | None = Field(default=None, description="Sampling period.")
    asset_type: Label | None = Field(default=None, description="Type of the machine, as pump.")
    tags: Tags | None = Field(default=None, description="Tags, as line-2, in the place of others.")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in KINDS:
            raise ValueError(f'unknown sensor kind "{kind}" ({hint(kind, KINDS)})')
        return kind

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: float | None, info: ValidationInfo) -> float | None:
        low = info.data.get("low")
        if high is not None and low is not None and high <= low:
            raise ValueError(f"{high:g} is not above low, {low:g}")
        return high


class Document(Model):
    """The whole file."""

    sensors: tuple[Entry, ...] = ()


class CatalogueFile:
    """The entries, ready to be asked for each new sensor."""

    def __init__(self, document: Document) -> None:
        self._entries = [(re.compile(translate(entry.name)), entry) for entry in document.sensors]

    def complete(self, sensor: Sensor) -> Sensor:
        """The sensor with everything that the file says of it."""
        for pattern, entry in self._entries:
            if pattern.match(sensor.name):
                said = entry.model_dump(exclude={"name"}, exclude_none=True)
                if entry.tags is not None:
                    said["tags"] = join_tags(entry.tags)
                if entry.asset is not None:
                    said["asset"] = entry.asset.replace("{name}", sensor.name.rpartition(".")[0])
                sensor = replace(sensor, **said)
        return sensor


def read_catalogue(path: Path) -> CatalogueFile:
    """The file. Raises: EdgeError: one line for each mistake in it."""
    return CatalogueFile(read_document(path, Document))
