"""Plain JSON topics, read by a mapping: one message, one block.

    topics = JsonTopics(read_mapping(path), registry)
    result = topics.on_message("plant/press-1/state", payload, received_ms, receipt)

A reading that is no number, or has no time where it should have one, is refused with the whole
message; what else the message holds is taken.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from edge.block import Block, Receipt
from edge.inputs.json_values import (
    MISSING,
    Unusable,
    at,
    number,
    parse,
    quality_of,
    readings,
    text_of,
    time_ms_of,
)
from edge.inputs.mapping import VALUE, Mapping, TopicMapping, ValueMapping, fill, parts_of
from edge.inputs.result import Refused, Result
from edge.registry import Registry, Sensor
from udfs.batch import Quality
from udfs.catalogue import join_tags, label_of

_MAX_TOPICS = 100_000


class _Origin(NamedTuple):
    """What all readings of a message have in common. levels: the named ones of its topic."""

    mapping: TopicMapping
    levels: dict[str, str]
    received_ms: int


class _Rows:
    """Readings on the way to columns."""

    def __init__(self) -> None:
        self.slot: list[int] = []
        self.time_ms: list[int] = []
        self.value: list[float] = []
        self.quality: list[int] = []


class JsonTopics:
    """The plain JSON topics of a gateway. One thread owns it."""

    def __init__(self, mapping: Mapping, registry: Registry) -> None:
        self._mapping, self._registry = mapping, registry
        self._patterns = [(topic, topic.topic.split("/")) for topic in mapping.topics]
        self._found: dict[str, tuple[TopicMapping, dict[str, str]] | None] = {}
        self._slots: dict[str, int] = {}

    @property
    def subscriptions(self) -> list[str]:
        """What to subscribe to."""
        return [topic.subscription for topic in self._mapping.topics]

    def on_message(
        self,
        topic: str,
        payload: bytes,
        received_ms: int,
        receipt: Receipt | None = None,
        retained: bool = False,
    ) -> Result:
        """What came of a message. Holds the receipt once.

        Args: received_ms: wall clock, UTC epoch ms. retained: the broker had kept it for new
            subscribers: without a time of its own nobody knows how old it is.
        """
        if receipt is not None:
            receipt.hold()
        result = Result(receipt=receipt)
        try:
            rows, problems = self._read(topic, payload, received_ms, retained)
        except Unusable as unusable:
            result.refused.append(Refused(unusable.reason, str(unusable), topic, payload))
            return result
        if rows.slot:
            block = Block(
                np.array(rows.slot, np.uint32),
                np.array(rows.time_ms, np.int64),
                np.array(rows.value, np.float64),
                np.array(rows.quality, np.uint8),
                topic,
                received_ms,
                receipt=receipt,
            )
            result.blocks.append(block)
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            detail = f"{problems[0]}{more}"
            result.refused.append(Refused(problems[0].reason, detail, topic, payload))
        return result

    def _read(
        self, topic: str, payload: bytes, received_ms: int, retained: bool
    ) -> tuple[_Rows, list[Unusable]]:
        mapping, levels = self._find(topic)
        origin = _Origin(mapping, levels, received_ms)
        if retained and mapping.time is None:
            raise Unusable("retained", "kept by the broker, and without a time of its own")
        rows, problems = _Rows(), []
        for reading in readings(parse(payload), mapping):
            # devices send some of their values, as they change: one at least is there
            found = [(value, at(reading, value.path)) for value in mapping.values]
            present = [(value, raw) for value, raw in found if raw is not MISSING]
            for value, raw in present or found[:1]:
                try:
                    self._take(rows, origin, reading, value, raw)
                except Unusable as unusable:
                    problems.append(unusable)
        return rows, problems

    def _take(
        self, rows: _Rows, origin: _Origin, reading: Any, value: ValueMapping, raw: Any
    ) -> None:
        mapping, measured = origin.mapping, number(raw, value.path)
        time_ms = origin.received_ms
        if mapping.time is not None:
            time_ms = time_ms_of(at(reading, mapping.time), mapping)
        quality = Quality.BAD if math.isnan(measured) else Quality.GOOD
        if mapping.quality is not None and quality == Quality.GOOD:
            quality = quality_of(at(reading, mapping.quality))
        slot = self._slot(origin, reading, value)
        rows.slot.append(slot)
        rows.time_ms.append(time_ms)
        rows.value.append(measured)
        rows.quality.append(quality)

    def _slot(self, origin: _Origin, reading: Any, value: ValueMapping) -> int:
        mapping = origin.mapping
        parts = origin.levels | {VALUE: value.name or value.path}
        for part in parts_of(mapping.sensor + (mapping.asset or "") + mapping.asset_type):
            if part.startswith("."):
                parts[part] = text_of(at(reading, part[1:]), part[1:])
        name = fill(mapping.sensor, parts)
        slot = self._slots.get(name)
        if slot is None:
            asset = name.rpartition(".")[0] if mapping.asset is None else fill(mapping.asset, parts)
            limits = (value.low, value.high, value.period_ms)
            labels = (label_of(fill(mapping.asset_type, parts)), join_tags(mapping.tags))
            sensor = Sensor(name, value.unit, value.kind, asset, *limits, *labels)
            found = self._registry.slot(sensor)
            if found is None:
                raise Unusable("too_many_sensors", f"{name} has no slot: the registry is full")
            slot = self._slots[name] = found
        return slot

    def _find(self, topic: str) -> tuple[TopicMapping, dict[str, str]]:
        """The mapping of a topic, and its named levels."""
        if topic not in self._found:
            if len(self._found) >= _MAX_TOPICS:
                self._found.clear()
            levels = topic.split("/")
            fitting = ((t, _fit(pattern, levels)) for t, pattern in self._patterns)
            self._found[topic] = next(
                ((t, names) for t, names in fitting if names is not None), None
            )
        found = self._found[topic]
        if found is None:
            raise Unusable("unknown_topic", f"{topic} fits none of the mapping's topics")
        return found


def _fit(pattern: list[str], levels: list[str]) -> dict[str, str] | None:
    """The named levels of a topic, None when it does not fit."""
    if pattern[-1] == "#":
        pattern, levels = pattern[:-1], levels[: len(pattern) - 1]
    if len(pattern) != len(levels):
        return None
    names: dict[str, str] = {}
    for part, level in zip(pattern, levels, strict=True):
        if part.startswith("{"):
            names[part[1:-1]] = level
        elif part not in ("+", level):
            return None
    return names
