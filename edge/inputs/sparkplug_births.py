"""What a birth says: the metrics of a device, which sensors they are, and what these are called.

A metric's name is the sensor's, with "." for "/"; one without a machine in it gets its device's (or
its node's, for metrics of the node itself): `Flow` of device pump-001 is pump-001.Flow, while
`pump-001/flow` of device line-01 is pump-001.flow. Names are unique in a gateway: if another device
has the name already, the device is put before it, then the node, then the group. Whose it is stays
so over restarts, by the file of births.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from edge.registry import Registry, Sensor
from edge.sparkplug.content import property_of
from edge.sparkplug.decode import Decoder
from edge.sparkplug.encode import BD_SEQ
from edge.sparkplug.table import ARRAYS, NO_SLOT, NUMERIC, Entry, Table
from udfs.catalogue import join_tags, label_of, split_tags

Naming = Literal["metric", "device.metric"]

# metrics that are no measurements, by the specification
_CONTROL = ("Node Control/", "Device Control/", "Node Info/", "Properties/")
_DEFAULT_PERIOD_MS = 1000


class Source(NamedTuple):
    """An edge node (device "") or one of its devices: whose clock it is, and whose metrics."""

    group: str
    node: str
    device: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))


class BadBirth(Exception):
    """It does not say what is what."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A birth as it is kept: what reads data by it, and the sensor of each metric (None: none)."""

    decoder: Decoder
    sensors: tuple[Sensor | None, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The metrics; where they are the same, data mean the same."""
        return self.decoder.table.entries


class Names:
    """Which sensor name is whose."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._owners: dict[str, tuple[Source, str]] = {}

    def claim(self, source: Source, metric: str) -> str:
        """The name of a metric's sensor."""
        for name in self._candidates(source, metric):
            if self._owners.setdefault(name, (source, metric)) == (source, metric):
                return name
        raise AssertionError("the last candidate holds all that tells metrics apart")

    def give_back(self, name: str) -> None:
        """The name came to nothing."""
        self._owners.pop(name, None)

    def adopt(self, source: Source, birth: Birth) -> None:
        """Names that were given before."""
        for entry, sensor in zip(birth.entries, birth.sensors, strict=True):
            if sensor is not None:
                self._owners[sensor.name] = (source, entry.name)

    def _candidates(self, source: Source, metric: str) -> Iterator[str]:
        plain = metric.replace("/", ".")
        device = source.device or source.node
        if self._naming == "metric" and "." in plain:
            yield plain
        yield f"{device}.{plain}"
        yield f"{source.node}.{device}.{plain}"
        yield f"{source.group}.{source.node}.{device}.{plain}"
        yield f"{source.group}/{source.node}/{source.device}/{metric}"


def read_birth(payload: Any, source: Source, names: Names, registry: Registry) -> Birth:
    """The metrics of a parsed birth; their sensors have slots now, unless the registry is full.

    Raises: BadBirth: two metrics have the same alias or name, or a name is not UTF-8.
    """
    # protobuf hands out what is not UTF-8 as bytes
    if any(isinstance(metric.name, bytes) for metric in payload.metrics):
        raise BadBirth(f"{source}: the name of a metric is not UTF-8")
    entries: list[Entry] = []
    sensors: list[Sensor | None] = []
    for metric in payload.metrics:
        sensor = _sensor(metric, source, names)
        slot = None if sensor is None else registry.slot(sensor)
        if sensor is not None and slot is None:
            names.give_back(sensor.name)
        period_ms = property_of(metric, "samplePeriodMs", float, 0.0)
        entries.append(
            Entry(
                name=metric.name,
                alias=metric.alias if metric.HasField("alias") else None,
                datatype=metric.datatype,
                slot=NO_SLOT if slot is None else slot,
                period_ms=period_ms if math.isfinite(period_ms) else 0.0,
            )
        )
        sensors.append(sensor)
    table = Table(entries)
    aliased = sum(entry.alias is not None for entry in entries)
    if len(table.by_name) < len(entries) or len(table.by_alias) < aliased:
        raise BadBirth(f"{source}: two of its {len(entries)} metrics have the same name or alias")
    return Birth(Decoder(table), tuple(sensors))


def bd_seq(payload: Any) -> int | None:
    """The number of the session that a parsed NBIRTH or NDEATH belongs to."""
    for metric in payload.metrics:
        if metric.name == BD_SEQ:
            which = metric.WhichOneof("value")
            return int(getattr(metric, which)) if which in ("int_value", "long_value") else None
    return None


def _sensor(metric: Any, source: Source, names: Names) -> Sensor | None:
    """The sensor that a metric is; None for a text, a date, a command."""
    name = metric.name
    if not name or name == BD_SEQ or name.startswith(_CONTROL):
        return None
    if metric.datatype not in NUMERIC and metric.datatype not in ARRAYS:
        return None
    claimed = names.claim(source, name)
    period_ms = property_of(metric, "samplePeriodMs", float, _DEFAULT_PERIOD_MS)
    whole = round(period_ms) if 1 <= period_ms < 2**31 else _DEFAULT_PERIOD_MS
    return Sensor(
        name=claimed,
        unit=property_of(metric, "engUnit", str, ""),
        kind=property_of(metric, "kind", str, ""),
        asset=claimed.rpartition(".")[0],
        low=_limit(metric, "engLow", -math.inf),
        high=_limit(metric, "engHigh", math.inf),
        period_ms=whole,
        asset_type=label_of(property_of(metric, "assetType", str, "")),
        tags=join_tags(split_tags(property_of(metric, "tags", str, "").lower())),
    )


def _limit(metric: Any, key: str, default: float) -> float:
    found: float = property_of(metric, key, float, default)
    return default if math.isnan(found) else found
