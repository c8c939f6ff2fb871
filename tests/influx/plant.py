"""Rollups for tests of the publisher, and a slow obvious model of what InfluxDB must hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from jobs.influx.policy import Policy
from udfs.catalogue import Catalogue
from udfs.records import Record
from udfs.rollup import FINAL, MinuteRollup, encode

MINUTE_MS = 60_000
AT_MS = 1_790_000_040_000  # a whole minute
ALL_FIELDS = ("mean", "min", "max", "first", "last", "sum", "stddev", "count", "bad")

# (measurement, tags as sorted pairs, second) -> fields
Stored = dict[tuple[str, tuple[tuple[str, str], ...], int], dict[str, float | int | bool]]


def policy(
    sensors: str = "[{fields: [mean, min, max, first, last, sum, stddev, count, bad]}]",
    groups: str = "[{name: all, facilities: ['*'], bucket: rollups, token_env: TOKEN}]",
) -> Policy:
    import yaml

    text = f"url: http://127.0.0.1:1\norg: hardiot\ngroups: {groups}\nsensors: {sensors}\n"
    return Policy.model_validate(yaml.safe_load(text))


def catalogue(facility: str = "plant-1", sensors: int = 4, **more: object) -> Catalogue:
    """Two sensors an asset, of kinds temperature and flow."""
    number = range(sensors)
    made = Catalogue(
        facility,
        "gw-1",
        1,
        name=tuple(f"pump-{n // 2}.{('temperature', 'flow')[n % 2]}" for n in number),
        unit=tuple(("°C", "m3/h")[n % 2] for n in number),
        kind=tuple(("temperature", "flow")[n % 2] for n in number),
        asset=tuple(f"pump-{n // 2}" for n in number),
        low=np.zeros(sensors),
        high=np.full(sensors, 100.0),
        period_ms=np.full(sensors, 1000, np.int32),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def rollup(of: Catalogue, minute: int = 0, revision: int = FINAL, **more: object) -> MinuteRollup:
    """A minute whose values follow from catalogue, minute and revision."""
    n = len(of)
    base = 20 + np.arange(n) + minute / 8 + revision / 64
    count = np.full(n, 59 + revision, np.uint32)
    made = MinuteRollup(
        of.facility,
        of.gateway,
        AT_MS + minute * MINUTE_MS,
        revision,
        complete=revision > 0,
        missing=0,
        batches=60,
        epoch=1,
        catalogue=of.version,
        traceparent="",
        sensor=None,
        count=count,
        sum=base * count,
        sum_sq=(base * base + 0.25) * count,
        min=base - 1,
        max=base + 1,
        first=base - 0.5,
        last=base + 0.5,
        bad=np.full(n, minute % 3, np.uint32),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def record(of: MinuteRollup, topic: str = "rollups", offset: int = 0) -> Record:
    return Record(of.key, topic, 0, offset, encode(of))


def stored(
    of: Catalogue, rollups: Iterable[MinuteRollup], fields: tuple[str, ...] = ALL_FIELDS
) -> Stored:
    """What must be there after these rollups, in their order: the highest revision of each."""
    found: Stored = {}
    highest: dict[int, int] = {}
    for item in rollups:
        if item.revision < highest.get(item.minute_ms, 0):
            continue
        highest[item.minute_ms] = item.revision
        second = item.minute_ms // 1000
        site = [("facility", of.facility), ("gateway", of.gateway)]
        found["minute", tuple(site), second] = {
            "revision": item.revision,
            "complete": item.complete,
            "missing": item.missing,
            "batches": item.batches,
            "sensors": len(item.count),
            "readings": item.readings(),
        }
        slots = range(len(item.count)) if item.sensor is None else item.sensor.tolist()
        for row, slot in enumerate(slots):
            tags = [("asset", of.asset[slot]), *site, ("sensor", of.name[slot])]
            point = {name: value(item, row, name) for name in fields}
            point = {name: v for name, v in point.items() if math.isfinite(v)}
            if point:
                found["rollup", tuple(tags), second] = point
    return found


def value(of: MinuteRollup, row: int, name: str) -> float:
    count = int(of.count[row])
    if name in ("count", "bad"):
        return int(getattr(of, name)[row])
    if name not in ("mean", "stddev"):
        return float(getattr(of, name)[row])
    if not count:
        return math.nan
    mean = float(of.sum[row]) / count
    if name == "mean":
        return mean
    return math.sqrt(max(float(of.sum_sq[row]) / count - mean * mean, 0.0))
