"""Rules fused in banks find what each of them finds alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import batch, catalogue, rule
from udfs.alerts import AlertEvent
from udfs.batch import Batch, Lane
from udfs.rules.model import Rule
from udfs.watch.plan import Plan
from udfs.watch.watch import Watch

KINDS = ("temperature", "flow", "flow", "level", "temperature")
CONDITIONS = (
    "threshold: {above: 6}",
    "threshold: {above: 7, clear_below: 3, for_s: 2}",
    "threshold: {above: 5, times: {at_least: 2, of: 3}}",
    "threshold: {below: 2}",
    "band: {low: 2, high: 8, for_s: 1}",
    "rate_of_change: {per_s: 2, window_s: 2}",
    "rate_of_change: {per_s: 1, window_s: 1, direction: up, clear_per_s: 0.5}",
    "stuck: {for_s: 3}",
    "stuck: {for_s: 4, tolerance: 1}",
    "no_data: {for_s: 3, of: sensor}",
    "no_data: {for_s: 5, of: sensor, quality: good}",
    "ewma: {z: 1.5, half_life_s: 20, warm_up: 10, min_sigma: 0.5}",
    "quality: {is: [bad]}",
)
SENSORS = ("{}", "{kind: flow}", "{kind: temperature}", "{name: 's[013]'}", "{name: s4}")


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    chosen = st.tuples(st.sampled_from(CONDITIONS), st.sampled_from(SENSORS))
    made = draw(st.lists(chosen, min_size=2, max_size=8))
    return [rule(condition, sensors, name=f"r{n}") for n, (condition, sensors) in enumerate(made)]


@st.composite
def streams(draw: st.DrawFn) -> list[Batch]:
    """Whole and partial batches, several readings of a sensor, pauses, holes and their backlog."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    second, found = 0, []
    for sequence in range(40):
        second += int(random.choice([1, 1, 1, 1, 1, 1, 2, 9]))
        found.append(one(random, sequence, second))
    hole = draw(st.integers(0, 30))
    missing, found = found[hole : hole + 4], found[:hole] + found[hole + 4 :]
    late = [as_backlog(each) for each in missing]
    at = draw(st.integers(hole, len(found)))
    return found[:at] + late + found[at:]


def one(random: np.random.Generator, sequence: int, second: int) -> Batch:
    if random.random() < 0.5:
        slots = np.arange(len(KINDS))
    else:
        slots = np.sort(random.integers(0, len(KINDS), random.integers(0, 9)))
    offset_ms = np.zeros(len(slots), int)
    for slot in set(slots):
        mine = slots == slot
        offset_ms[mine] = np.arange(mine.sum()) * 100
    values = random.integers(0, 10, len(slots)).astype(float)
    quality = random.choice([0, 0, 0, 0, 2, 3], len(slots))
    return batch(
        list(values),
        second,
        sequence,
        sensor=list(slots),
        offset_ms=list(offset_ms),
        quality=list(quality),
    )


def as_backlog(each: Batch) -> Batch:
    return replace(each, lane=Lane.BACKLOG)


def watched(rules: Sequence[Rule], stream: Sequence[Batch], stop: int) -> list[AlertEvent]:
    """What the rules find; the watch is saved and restored after `stop` batches."""
    watch = Watch(rules, catalogue(KINDS))
    events = []
    for number, each in enumerate(stream):
        if number == stop:
            watch = Watch.restore(rules, catalogue(KINDS), watch.snapshot())
            assert not watch.changed
        events += watch.on_batch(each, each.time_ms + 100)
    return events


@settings(max_examples=40, deadline=None)
@given(rule_sets(), streams(), st.integers(0, 39))
def test_rules_together_find_what_each_finds_alone(
    rules: list[Rule], stream: list[Batch], stop: int
) -> None:
    together = watched(rules, stream, stop)
    for each in rules:
        alone = watched([each], stream, -1)
        assert [event for event in together if event.rule == each.name] == alone


def test_rules_of_one_form_are_one_bank() -> None:
    rules = [rule(f"threshold: {{above: {n}}}", name=f"r{n}") for n in range(100)]
    rules += [rule(f"stuck: {{for_s: {n + 1}}}", name=f"s{n}") for n in range(100)]
    plan = Plan(rules, catalogue(KINDS))
    assert [len(bank) for bank in plan.banks] == [500, 500]


def test_rules_that_match_nothing_cost_nothing() -> None:
    rules = [rule("threshold: {above: 1}", "{name: nobody}", name=f"r{n}") for n in range(10)]
    plan = Plan(rules, catalogue(KINDS))
    assert plan.banks == [] and plan.units == []


def test_alerts_come_in_the_order_of_their_rules() -> None:
    rules = [
        rule("threshold: {above: 5}", name="z"),
        rule("stuck: {for_s: 3}", name="a"),
        rule("threshold: {above: 6}", name="m"),
    ]
    watch = Watch(rules, catalogue(["flow"] * 2))
    events = [e for s in range(5) for e in watch.on_batch(batch([8, 8], s), 0)]
    assert [(e.rule, e.subject) for e in events] == [
        ("z", "s0"), ("z", "s1"), ("m", "s0"), ("m", "s1"), ("a", "s0"), ("a", "s1"),
    ]  # fmt: skip
