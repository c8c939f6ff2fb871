"""Run the tests that a rule carries, as the job would judge these readings.

for verdict in run_tests(rule):
    print(verdict.passed, verdict.problems)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np

from udfs.batch import Quality
from udfs.catalogue import Catalogue, join_tags
from udfs.rules.calendar import instant
from udfs.rules.case import CaseModel, ReadingsModel
from udfs.rules.model import Rule
from udfs.trial.compare import Row, differences, row_of
from udfs.trial.lives import Lives
from udfs.trial.replay import Replay
from udfs.trial.sensors import asset_of, exact, likely, place, unmatched
from udfs.trial.ticks import Columns, cut

_TICK_MS = 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test went. problems: what is not as expected. got: the alerts that there were."""

    rule: str
    case: str
    problems: list[str] = field(default_factory=list)
    got: list[Row] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether all alerts are as expected."""
        return not self.problems


def run_tests(rule: Rule) -> list[Verdict]:
    """Run all tests of a rule, in their order."""
    return [run_case(rule, case) for case in rule.tests]


def run_case(rule: Rule, case: CaseModel) -> Verdict:
    """Run one test."""
    catalogue = _catalogue(rule, case)
    if problem := unmatched(rule, catalogue):
        return Verdict(rule.name, case.name, [f"no reading is of the rule's sensors: {problem}"])
    start_ms = instant(case.start, ZoneInfo(rule.when.zone if rule.when else "UTC"))
    lives = Lives()
    replay = Replay([rule], catalogue)
    for batch in cut(_columns(case, start_ms), catalogue, _TICK_MS):
        for event in replay.take(catalogue, batch):
            lives.take(event)
    for event in replay.wait(start_ms + _length_ms(case)):
        lives.take(event)
    got = [row_of(life, start_ms) for life in lives.all]
    return Verdict(rule.name, case.name, differences(case.expect, got), got)


def _catalogue(rule: Rule, case: CaseModel) -> Catalogue:
    facility, gateway = place(rule)
    names = tuple(case.readings)
    sensors = [_Sensor.of(rule, case, name) for name in names]
    n = len(names)
    return Catalogue(
        case.facility or facility,
        case.gateway or gateway,
        version=1,
        name=names,
        unit=tuple(s.readings.unit for s in sensors),
        kind=tuple(s.kind for s in sensors),
        asset=tuple(s.asset for s in sensors),
        low=np.full(n, -np.inf),
        high=np.full(n, np.inf),
        period_ms=np.array([_period_ms(case, s.readings) for s in sensors], np.int32),
        asset_type=tuple(s.asset_type for s in sensors),
        tags=tuple(s.tags for s in sensors),
    )


@dataclass(frozen=True, slots=True)
class _Sensor:
    """What a sensor is: what the test says of it, else what the rule wants."""

    readings: ReadingsModel
    kind: str
    asset: str
    asset_type: str
    tags: str

    @classmethod
    def of(cls, rule: Rule, case: CaseModel, name: str) -> _Sensor:
        given, wanted = case.readings[name], likely(rule, name)
        return cls(
            given,
            kind=given.kind or (wanted.kind[0] if wanted.kind else "state"),
            asset=given.asset or next(exact([wanted.asset]), asset_of(name)),
            asset_type=given.asset_type or next(exact(wanted.asset_type or ()), ""),
            tags=join_tags(given.tags or exact(wanted.tag or ())),
        )


def _period_ms(case: CaseModel, readings: ReadingsModel) -> int:
    return round((readings.every_s or case.every_s) * 1000)


def _length_ms(case: CaseModel) -> int:
    return max(len(r.values) * _period_ms(case, r) for r in case.readings.values())


def _columns(case: CaseModel, start_ms: int) -> Columns:
    """The readings of all sensors; a null is none."""
    sensors = enumerate(case.readings.values())
    parts = [_sensor_columns(case, slot, readings, start_ms) for slot, readings in sensors]
    return Columns(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.slot for part in parts]),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.quality for part in parts if part.quality is not None]),
    )


def _sensor_columns(case: CaseModel, slot: int, readings: ReadingsModel, start_ms: int) -> Columns:
    n = len(readings.values)
    time = start_ms + np.arange(n, dtype=np.int64) * _period_ms(case, readings)
    value = np.array(readings.values, np.float64)
    quality = np.array(readings.quality or (Quality.GOOD,) * n, np.uint8)
    columns = Columns(time, np.full(n, slot, np.uint32), value, quality)
    return columns.pick(np.array([v is not None for v in readings.values], np.bool_))
