"""Which plain JSON topics there are, and where their messages have the readings: one YAML file."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from edge.documents import Model, Tags, read_document
from udfs.catalogue import LABEL

Dotted = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$")]
# {machine} is a named level of the topic, {.id} a value of the message
_PART = re.compile(r"\{(\.?[^{}]*)\}")
_LEVEL = re.compile(r"[^+#{}]+|\+|\{[A-Za-z_][A-Za-z0-9_]*\}")
VALUE = "value"


class ValueMapping(Model):
    """One value of a message."""

    path: Dotted = Field(description="Where it is in the message, as data.temperature.")
    name: str | None = Field(default=None, description="What {value} stands for; none: the path.")
    unit: str = Field(default="", description="Unit in which it is reported.")
    kind: str = Field(default="", description="Kind of the sensor.")
    low: float = Field(default=-math.inf, description="Lower end of the valid range.")
    high: float = Field(default=math.inf, description="Upper end of the valid range.")
    period_ms: PositiveInt = Field(default=1000, description="Time between two readings.")


class TopicMapping(Model):
    """The messages of one pattern of topics."""

    topic: str = Field(
        description="Topic; {name} is a level to be named, + any level, # at the end all below."
    )
    sensor: str = Field(
        default="{value}",
        description="Name of the sensor: {name} of a level, {.path} of the message, {value}.",
    )
    asset: str | None = Field(
        default=None, description="Its asset, written alike; none: the name up to its last dot."
    )
    asset_type: str = Field(default="", description="Type of the asset, as pump; written alike.")
    tags: Tags = Field(default=(), description="Tags of its sensors, as line-2.")
    each: Dotted | None = Field(
        default=None, description="Path of a list of readings; none: the message is one."
    )
    time: Dotted | None = Field(
        default=None,
        description="Path of the time; none: on arrival, and a message that the broker sends twice "
        "(after a crash) is two readings.",
    )
    time_format: Literal["ms", "s", "iso"] = Field(
        default="ms", description="UTC epoch milliseconds or seconds, or ISO 8601."
    )
    quality: Dotted | None = Field(
        default=None,
        description="Path of the quality: good, uncertain, bad, true, false or an OPC code.",
    )
    values: tuple[ValueMapping, ...] = Field(description="The values of a reading; one or more.")

    @field_validator("topic")
    @classmethod
    def _levels(cls, topic: str) -> str:
        levels = topic.split("/")
        for level in levels[:-1] if levels[-1] == "#" else levels:
            if level and not _LEVEL.fullmatch(level):
                raise ValueError(f'level "{level}" is neither a text, nor +, nor one {{name}}')
        names = [level for level in levels if level.startswith("{")]
        if len(set(names)) < len(names):
            raise ValueError("two levels have the same name")
        return topic

    @field_validator("asset_type")
    @classmethod
    def _label(cls, text: str) -> str:
        if text and not LABEL.fullmatch(_PART.sub("x", text)):
            raise ValueError(f'"{text}" is no asset type; write it as pump, or as {{level}}')
        return text

    @model_validator(mode="after")
    def _parts(self) -> TopicMapping:
        known = {level[1:-1] for level in self.topic.split("/") if level.startswith("{")} | {VALUE}
        for text in filter(None, (self.sensor, self.asset, self.asset_type)):
            for part in _PART.findall(text):
                if not part.startswith(".") and part not in known:
                    raise ValueError(
                        f'"{text}": {{{part}}} is no level of "{self.topic}"; '
                        f"known: {', '.join(sorted(known))}, or {{.path}} of the message"
                    )
        if not self.values:
            raise ValueError("values is empty")
        if len(self.values) > 1 and f"{{{VALUE}}}" not in self.sensor:
            raise ValueError(f'"{self.sensor}" names several values alike: use {{{VALUE}}}')
        return self

    @property
    def subscription(self) -> str:
        """The topic as MQTT writes it."""
        return "/".join("+" if level.startswith("{") else level for level in self.topic.split("/"))


class Mapping(Model):
    """All plain JSON topics."""

    topics: tuple[TopicMapping, ...] = Field(
        description="Patterns, one or more; the first one that fits a topic counts."
    )

    @model_validator(mode="after")
    def _some(self) -> Mapping:
        if not self.topics:
            raise ValueError("topics is empty")
        return self


def read_mapping(path: Path) -> Mapping:
    """The mapping of a YAML file. Raises: EdgeError: one line for each mistake in it."""
    return read_document(path, Mapping)


def parts_of(text: str) -> list[str]:
    """The parts in braces of a name, as {machine}.{.id}: machine, .id."""
    return _PART.findall(text)


def fill(text: str, parts: dict[str, str]) -> str:
    """The name with its parts in their places."""
    return _PART.sub(lambda found: parts[found.group(1)], text)
