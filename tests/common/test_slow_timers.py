"""Timers that find absence, in the adaptor: a crash before or after any of them changes nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.common import keyed
from jobs.common.keyed import StepPlan
from jobs.detect_anomalies import _new, _restore
from tests.common.test_keyed import Engine
from tests.common.test_rule_changes import Rules, settled
from tests.udfs.plant import T0
from tests.udfs.slow_gateway import FLOW, HEAT, LEVEL, RULES, Slow, sample, story
from tests.udfs.steps import Call
from udfs.batch import Batch, encode
from udfs.records import CONDITION_EVENTS


class SlowRules(Rules):
    """A feed of one rulebook."""

    def __init__(self) -> None:
        super().__init__()
        self.books = [RULES]


class Job(Engine):
    """detect_anomalies on one gateway, which tells what it did at each record and timer."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = T0

    def plan(self) -> StepPlan:
        return StepPlan("nowhere", {}, _new, _restore, SlowRules)

    def get_current_key(self) -> str:
        return "plant-1/gw-1"

    def hear(self, batch: Batch) -> list[tuple[Any, ...]]:
        family = "backlog" if batch.lane == "backlog" else "readings"
        row = (f"{family}.plant-1", 0, batch.sequence, encode(batch))
        return [tuple(out) for out in self.step.process_element(row, self)]


def play(calls: list[Call], crashes: set[int]) -> tuple[list[tuple[Any, ...]], bytes]:
    """What was told, and the last state. A crash comes after what is due by its call's time."""
    job, told = Job(), list[tuple[Any, ...]]()
    for number, (now_ms, what) in enumerate(calls):
        told += job.advance(now_ms)
        if number in crashes:
            job.open()
        told += job.hear(what) if what is not None else []
    return told, job.step._step_of(job.get_current_key(), job.now_ms).step.snapshot()


@settings(max_examples=25, deadline=None)
@given(rnd=st.randoms(use_true_random=False))
def test_crashes_between_timers_change_nothing(rnd: random.Random) -> None:
    with pytest.MonkeyPatch.context() as patch:
        settled(patch, T0 - 3_600_000)
        patch.setattr(keyed, "TopicCatalogues", Slow)
        patch.setattr(keyed, "MAX_JOURNAL_ENTRIES", 20)
        calls = story(rnd, 25)
        calm = play(calls, set())
        assert play(calls, {rnd.randrange(len(calls)) for _ in range(6)}) == calm


def test_a_timer_that_says_nothing_is_kept_if_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its match goes on with an alert that fires already: nothing is told, but it is remembered."""
    settled(monkeypatch, T0 - 3_600_000)
    monkeypatch.setattr(keyed, "TopicCatalogues", Slow)
    calm = {HEAT: 20.0, FLOW: 0.0, LEVEL: 1.0}
    hot = calm | {HEAT: 90.0}
    calls: list[Call] = [
        (T0 + second * 1000 + 1050, sample(second, sequence, values))
        for sequence, (second, values) in enumerate([(0, calm), (1, hot), (11, calm), (21, hot)])
    ]
    calls += [(T0 + 29_000, None)]
    assert play(calls[:-1], set())[0] == play(calls, set())[0]
    assert play(calls[:-1], set())[1] != play(calls, set())[1]
    assert play(calls, {4}) == play(calls, set())


def test_condition_events_of_timers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch, T0 - 3_600_000)
    monkeypatch.setattr(keyed, "TopicCatalogues", Slow)
    told = set()
    for seed in range(4):
        job = Job()
        for now_ms, what in story(random.Random(seed), 40):
            rows = job.advance(now_ms)
            told |= {(topic, json.loads(value).get("event")) for topic, _, value, _ in rows}
            if what is not None:
                job.hear(what)
    assert (CONDITION_EVENTS, "mute") in told
