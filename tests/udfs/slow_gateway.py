"""A gateway whose sensors are all slow: absence is found by timers between its batches."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np

from tests.udfs.plant import T0, batch, catalogue
from tests.udfs.steps import Call
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.rules.rulebook import parse

PERIOD_MS = 10_000
HEAT, FLOW, LEVEL = range(3)

RULES = parse(
    """
rules:
  - name: unanswered
    events:
      hot: {sensors: {name: p.heat}, condition: {threshold: {above: 80}}}
      flowing: {sensors: {name: p.flow}, condition: {threshold: {above: 0}}}
    pattern: {sequence: [hot, {not: flowing}], within_s: 5}
    clear: {event: flowing}
    severity: warning
    escalate: [{after_s: 7, severity: critical}]
    text: "{asset} is hot and has no flow"
  - name: mute
    when: {from: "06:00", to: "22:20"}
    condition: {no_data: {for_s: 31, of: sensor}}
    severity: warning
    text: "{sensor} is mute"
  - name: mute-then-hot
    events:
      mute: {sensors: {name: p.level}, condition: {no_data: {for_s: 33, of: sensor}}}
      hot: {sensors: {name: p.heat}, condition: {threshold: {above: 80}}}
    pattern: {sequence: [mute, {not: hot}], within_s: 4}
    severity: info
    text: "{asset}: {count}"
  - name: silent
    condition: {no_data: {for_s: 45, of: gateway}}
    severity: critical
    text: "{gateway} is silent"
""",
    "slow.yaml",
)


class Slow:
    """Its catalogue, as all that is known of catalogues."""

    def __init__(self, *_: Any) -> None:
        kinds = ["temperature", "flow", "level"]
        names = ("p.heat", "p.flow", "p.level")
        self.one = replace(catalogue(kinds, PERIOD_MS), name=names, asset=("p",) * 3)

    def find(self, *_: Any) -> Catalogue:
        return self.one

    def knows(self, *_: Any) -> bool:
        return True

    def close(self) -> None:
        pass


def sample(second: int, sequence: int, readings: dict[int, float], lane: str = Lane.LIVE) -> Batch:
    """A batch of some of its sensors, of a tick of one second."""
    sensors = sorted(readings)
    return batch([readings[each] for each in sensors], second, sequence, sensors, lane=lane)


def readings(rnd: random.Random) -> dict[int, float]:
    """Hot or not, with flow or not; sensors may be missing."""
    made = {
        HEAT: rnd.choice([20.0, 90.0]),
        FLOW: rnd.choice([0.0, 0.0, 1.0]),
        LEVEL: rnd.random(),
    }
    return {sensor: value for sensor, value in made.items() if rnd.random() < 0.8}


def story(rnd: random.Random, count: int) -> list[Call]:
    """Batches some seconds apart, holes that are filled later, and timers at any time."""
    calls: list[Call] = []
    second, sequence, holes = 0, 0, list[tuple[int, int]]()
    for _ in range(count):
        kind, now_ms = rnd.random(), T0 + second * 1000 + 1000 + rnd.choice([50, 80, 400])
        if kind < 0.1 and sequence:
            holes.append((second, sequence))
            sequence += 1
        elif kind < 0.2 and holes:
            then, old = holes.pop(0)
            calls.append((now_ms, sample(then, old, readings(rnd), Lane.BACKLOG)))
        else:
            calls.append((now_ms, sample(second, sequence, readings(rnd))))
            sequence += 1
        step_s = rnd.choice([1, 1, 4, 9, 10, 10, 12, 31, 50])
        later = sorted(rnd.randrange(step_s * 1000) for _ in range(rnd.choice([0, 1, 3, 8])))
        calls += [(now_ms + wait_ms, None) for wait_ms in later]
        second += step_s
    # on a clock that goes forward
    times = np.maximum.accumulate([now_ms for now_ms, _ in calls])
    return [(int(now_ms), what) for now_ms, (_, what) in zip(times, calls, strict=True)]
