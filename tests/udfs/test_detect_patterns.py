"""The step of detect_anomalies with a pattern: what else it tells, and what it counts."""

from __future__ import annotations

import json

from tests.udfs.plant import T0, batch
from tests.udfs.slow_gateway import Slow
from tests.udfs.steps import call
from udfs.detect_step import DetectStep
from udfs.records import Output
from udfs.rules.rulebook import parse

RULES = parse(
    """
rules:
  - name: r
    events:
      hot: {sensors: {name: p.heat}, condition: {threshold: {above: 80}}}
      flowing: {sensors: {name: p.flow}, condition: {threshold: {above: 0}}}
    pattern: {sequence: [hot, flowing], within_s: 1000}
    severity: warning
    text: "{asset}"
""",
    "r.yaml",
)


def play(step: DetectStep, values: list[tuple[float, float]]) -> list[Output]:
    """Readings of p.heat and p.flow, one batch a second."""
    batches = [batch([*each, 1.0], second) for second, each in enumerate(values)]
    return [out for each in batches for out in call(step, each.time_ms + 1050, each)]


def test_condition_events_follow_the_alerts_unless_nobody_wants_them() -> None:
    story = [(20.0, 0.0), (90.0, 0.0), (90.0, 1.0)]
    told = play(DetectStep("plant-1", "gw-1", RULES, Slow()), story)
    assert [output.topic for output in told] == ["condition-events", "alerts", "condition-events"]
    assert told[0].key == "plant-1/gw-1/p" and json.loads(told[0].value)["event"] == "hot"
    silent = DetectStep("plant-1", "gw-1", RULES, Slow(), conditions=False)
    assert [output.topic for output in play(silent, story)] == ["alerts"]
    again = DetectStep.restore(silent.snapshot(), RULES, Slow(), conditions=False)
    assert call(again, T0 + 9000, batch([20.0, 0.0, 1.0], 3)) == []  # both events end


def test_attempts_that_are_given_up_are_counted_once() -> None:
    step = DetectStep("plant-1", "gw-1", RULES, Slow())
    play(step, [(20.0, 0.0), (90.0, 0.0)] * 64)
    assert step.tally["patterns_overflow"] == 0
    step = DetectStep("plant-1", "gw-1", RULES, Slow())
    play(step, [(20.0, 0.0), (90.0, 0.0)] * 66)
    assert step.tally["patterns_overflow"] == 2
    restored = DetectStep.restore(step.snapshot(), RULES, Slow())
    play(restored, [(20.0, 0.0), (90.0, 0.0)] * 67)  # duplicates but for the last two
    assert restored.tally["patterns_overflow"] == 1
