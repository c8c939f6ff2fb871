"""A small plant for the tests of detection: catalogue, batches, rules and what came of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from udfs.alerts import AlertEvent
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.rules.rulebook import Rule, parse
from udfs.watch.watch import Watch

T0 = 1_700_000_000_000

HOT = "threshold: {above: 80, for_s: 3}"


def catalogue(
    kinds: Sequence[str] = ("temperature",),
    period_ms: int | Sequence[int] = 1000,
    version: int = 1,
    gateway: str = "gw-1",
) -> Catalogue:
    """One sensor a kind, named s0, s1, ... on asset a0, a1, ..."""
    n = len(kinds)
    return Catalogue(
        "plant-1",
        gateway,
        version,
        name=tuple(f"s{i}" for i in range(n)),
        unit=("°C",) * n,
        kind=tuple(kinds),
        asset=tuple(f"a{i}" for i in range(n)),
        low=np.full(n, -1e9),
        high=np.full(n, 1e9),
        period_ms=np.broadcast_to(np.array(period_ms, np.int32), n).copy(),
    )


def rule(condition: str, sensors: str = "{}", name: str = "r", version: int = 1) -> Rule:
    """A rule of one condition, written as in YAML."""
    (made,) = parse(
        f"rules: [{{name: {name}, version: {version}, sensors: {sensors}, "
        f'condition: {{{condition}}}, severity: warning, text: "{{sensor}} {{value}} {{limit}}"}}]',
        "test.yaml",
    )
    return made


def batch(
    values: Sequence[float],
    second: float,
    sequence: int | None = None,
    sensor: Sequence[int] | None = None,
    offset_ms: Sequence[int] | None = None,
    quality: Sequence[int] | None = None,
    lane: str = Lane.LIVE,
    version: int = 1,
    epoch: int = 1,
) -> Batch:
    """A batch at T0 + second; its sequence is the second unless given."""
    return Batch(
        "plant-1",
        "gw-1",
        epoch=epoch,
        sequence=int(second) if sequence is None else sequence,
        time_ms=T0 + round(second * 1000),
        value=np.array(values, np.float64),
        sensor=None if sensor is None else np.array(sensor, np.uint32),
        offset_ms=None if offset_ms is None else np.array(offset_ms, np.int32),
        quality=None if quality is None else np.array(quality, np.uint8),
        lane=lane,
        catalogue=version,
    )


def feed(watch: Watch, batches: Iterable[Batch]) -> list[AlertEvent]:
    """All alerts of these batches, each arriving 100 ms after its time."""
    return [event for each in batches for event in watch.on_batch(each, each.time_ms + 100)]


def live(values: Sequence[float], first: int) -> list[Batch]:
    """Batches of one sensor, one a second from that second on."""
    return [batch([v], first + i) for i, v in enumerate(values)]


def replayed(values: Sequence[float], first: int) -> list[Batch]:
    """The same in the backlog lane."""
    return [batch([v], first + i, lane=Lane.BACKLOG) for i, v in enumerate(values)]


def run(condition: str, values: Sequence[float], first_s: int = 0) -> list[AlertEvent]:
    """The alerts of one sensor with one reading a second."""
    watch = Watch([rule(condition)], catalogue())
    return feed(watch, live(values, first_s))


def seen(events: Iterable[AlertEvent]) -> list[tuple[str, str, float, float]]:
    """Subject, status, onset and event time of each, times in seconds since T0."""
    return [
        (e.subject, e.status, (e.onset_ms - T0) / 1000, (e.event_ms - T0) / 1000) for e in events
    ]
