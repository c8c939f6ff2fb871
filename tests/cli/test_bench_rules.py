"""Rules for benchmarks are valid and find something; the loop without Flink counts what it does."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from edge.simulator.build import FleetBuilder
from edge.simulator.settings import SimulatorSettings
from jobs.cli.bench import rules, watch_loop
from jobs.cli.bench.main import KEYS
from jobs.cli.bench.pattern_cost import pattern_us
from jobs.cli.bench.rule_sets import rule_set
from jobs.cli.bench.watch_loop import Plant, Run, by_file, entries, profile
from jobs.cli.main import app
from jobs.common.contracts import ROOT
from udfs.rules.conditions import ConditionModel
from udfs.rules.rulebook import Rule, parse
from udfs.watch.watch import Watch

SENSORS = 400
TURNS_S = 700  # until all types of sensors had their turn in each way
RECIPES = {
    *("threshold", "duration", "hysteresis", "n-of-m", "band", "rate", "stuck", "no-data"),
    *("ewma", "baseline", "quality", "signal", "shift"),
    *("sequence", "repeated", "absence", "any-order", "either"),
}


def made(count: int, matching: int) -> list[Rule]:
    return parse(rule_set(count, matching), "bench.yaml")


def recipe(name: str) -> str:
    return name.rpartition("-")[0]


def test_conditions_of_every_kind() -> None:
    rules_ = made(100, 100)
    assert len(rules_) == 100 and {recipe(rule.name) for rule in rules_} == RECIPES
    conditions = [rule.condition for rule in rules_ if rule.condition]
    assert {next(iter(each.model_fields_set)) for each in conditions} == set(
        ConditionModel.model_fields
    )
    assert any(rule.signal for rule in rules_) and any(rule.when for rule in rules_)


def test_only_those_that_shall_match_a_sensor_do() -> None:
    catalogue = FleetBuilder(SimulatorSettings(sensors=SENSORS)).catalogues[0]
    rules_ = made(1000, 40)
    assert [bool(len(rule.sensors.slots(catalogue))) for rule in rules_] == [
        number < 40 for number in range(1000)
    ]
    assert len({rule.sensors for rule in rules_[40:]}) == 960
    assert entries(rules_, catalogue) == entries(made(40, 40), catalogue) > 40


@pytest.fixture(scope="module")
def failing() -> Run:
    """All rules over a small plant in which machines fail."""
    plant = Plant(SENSORS, ticks=TURNS_S)
    run = Run(Watch(made(100, 100), plant.catalogue), plant)
    run.until(TURNS_S)
    return run


def test_what_fails_is_found_by_rules_of_every_kind(failing: Run) -> None:
    assert {recipe(rule) for rule in failing.fired} == RECIPES
    assert failing.ticks == TURNS_S and failing.readings > TURNS_S * SENSORS * 0.98
    assert failing.condition_events == len(failing.noted) > 20
    assert {event.event for event in failing.noted} == {"hot", "cooled", "shaking"}


def test_without_faults_nothing_is_found_but_bad_readings() -> None:
    plant = Plant(SENSORS, ticks=120, faults=())
    run = Run(Watch(made(100, 100), plant.catalogue), plant)
    run.until(120)
    assert {recipe(rule) for rule in run.fired} <= {"quality"}


def test_the_pattern_engine_by_itself(failing: Run) -> None:
    cost = pattern_us(made(100, 100), failing.noted)
    assert cost is not None and 0 < cost < 1000
    assert pattern_us(made(13, 13), failing.noted) is None


def test_times_of_libraries_belong_to_the_file_that_called_them() -> None:
    latch, watch = (str(ROOT / "udfs" / name) for name in ("conditions/latch.py", "watch/watch.py"))
    step, judge, dot = (latch, 10, "step"), (watch, 20, "judge"), ("~", 0, "dot")
    inner = ("numpy/core.py", 1, "inner")
    stats = {
        judge: (1, 1, 1.0, 10.0, {}),
        step: (5, 5, 2.0, 8.0, {judge: (5, 5, 2.0, 8.0)}),
        inner: (5, 5, 1.0, 6.0, {step: (5, 5, 1.0, 6.0)}),
        dot: (6, 6, 6.0, 6.0, {inner: (5, 5, 5.0, 5.0), judge: (1, 1, 1.0, 1.0)}),
    }
    assert by_file(stats) == [
        ("conditions/latch.py", pytest.approx(0.8)),
        ("watch/watch.py", pytest.approx(0.2)),
    ]


def test_a_profile_adds_up(failing: Run) -> None:
    shares = profile(failing, ticks=20)
    assert sum(share for _, share in shares) == pytest.approx(1, abs=0.05)
    assert Counter(name.partition("/")[0] for name, _ in shares)["watch"] > 1


def test_figures_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_loop, "TICKS", 60)
    found = watch_loop.measure(20, seconds=0.1, sensors=SENSORS)
    assert found["readings_per_cpu_s"] > 0 and found["entries"] > 20
    assert found["state_bytes_per_sensor"] > 9 and found["kb_per_rule"] >= 0
    assert np.isfinite(found["us_per_batch"])


def test_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(watch_loop, "measure", lambda *args: asked.append(args) or {})
    monkeypatch.setattr(rules, "measure", lambda *args: asked.append(args) or {})
    for more in (["--in-process"], ["--facilities", "7"]):
        args = ["bench", "rules", "--rules", "500", "--seconds", "12", "--output", "json", *more]
        result = CliRunner().invoke(app, args)
        assert list(json.loads(result.stdout)) == list(KEYS)
    assert asked == [(500, 12), (500, 7, 12, 1)]
