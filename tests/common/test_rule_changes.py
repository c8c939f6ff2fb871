"""Rules that change while a job runs: whatever the moment of a change or a crash."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.common import keyed
from jobs.common.feed import Ruling
from jobs.common.keyed import SETTLE_MS, StepPlan
from jobs.detect_anomalies import _new, _restore
from tests.common.test_keyed import Engine
from tests.udfs.plant import T0, batch, catalogue, rule
from udfs.batch import encode
from udfs.rules.rulebook import Rule

HOT = rule("threshold: {above: 80}", name="hot")
COLD = rule("threshold: {below: 20}", name="cold")
WARM = rule("threshold: {above: 60}", name="hot", version=2)
STUCK = rule("stuck: {for_s: 5}", name="stuck")
BOOKS = [[HOT, COLD], [COLD], [WARM, COLD, STUCK], [HOT], [HOT, STUCK]]


class Rules:
    """A feed whose rulebooks a test sets; `gone` are no longer to be had."""

    def __init__(self) -> None:
        self.books: list[list[Rule]] = [BOOKS[0]]
        self.gone: set[int] = set()
        self.refused: list[tuple[int, str]] = []

    @property
    def newest(self) -> Ruling:
        return Ruling(len(self.books) - 1, self.books[-1])

    def open(self) -> None:
        pass

    def at(self, revision: int) -> Ruling | None:
        return None if revision in self.gone else Ruling(revision, self.books[revision])

    def refuse(self, revision: int, why: str) -> None:
        self.refused.append((revision, why))

    def levels(self) -> dict[str, int]:
        return {"rules_revision": self.newest.revision}

    def close(self) -> None:
        pass


class Catalogues:
    """One gateway with one sensor."""

    def __init__(self, *_: Any) -> None:
        pass

    def find(self, *_: Any) -> Any:
        return catalogue()

    def knows(self, *_: Any) -> bool:
        return True

    def close(self) -> None:
        pass


class Job(Engine):
    """detect_anomalies on one gateway."""

    def __init__(self) -> None:
        self.rules, self.found = Rules(), list[tuple[str, str, str]]()
        super().__init__()
        self.now_ms = T0

    def plan(self) -> StepPlan:
        return StepPlan("nowhere", {}, _new, _restore, lambda: self.rules)

    def get_current_key(self) -> str:
        return "plant-1/gw-1"

    def hear(self, second: int, value: float) -> list[tuple[str, str]]:
        """One reading; what is told: rule, status, id."""
        rows = self.advance(T0 + second * 1000)
        row = ("readings.plant-1", 0, second, encode(batch([value], second)))
        rows += [tuple(out) for out in self.step.process_element(row, self)]
        told = [json.loads(value) for _, _, value, _ in rows]
        self.found += [(each["rule"], each["status"], each["id"]) for each in told]
        return [(each["rule"], each["status"]) for each in told]

    def push(self, rules: list[Rule]) -> None:
        self.rules.books.append(rules)

    def running(self) -> keyed.Running:
        return self.step._running["plant-1/gw-1"]


@pytest.fixture(autouse=True)
def _long_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch, T0 - 3_600_000)


def settled(patch: pytest.MonkeyPatch, opened_ms: int) -> None:
    patch.setattr(keyed, "TopicCatalogues", Catalogues)
    patch.setattr(keyed.time, "time_ns", lambda: opened_ms * 1_000_000)


def test_a_rulebook_is_in_use_from_the_next_record_on() -> None:
    job = Job()
    assert job.hear(0, 50) == [] and job.hear(1, 85) == [("hot", "firing")]
    job.push([COLD])
    assert job.hear(2, 10) == [("hot", "resolved"), ("cold", "firing")]
    assert job.found[0][2] == job.found[1][2]  # the alert that is resolved is the one that fired
    job.push([HOT, COLD])
    assert job.hear(3, 85) == [("hot", "firing"), ("cold", "resolved")]
    assert job.found[3][2] != job.found[0][2]


def test_rules_that_cannot_be_adopted_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job()
    assert job.hear(0, 85) == [("hot", "firing")]

    def raises(*_: Any) -> None:
        raise ZeroDivisionError("no rule should do that")

    with monkeypatch.context() as patch:
        patch.setattr("udfs.watch.watch.Plan", raises)
        job.push([COLD])
        assert job.hear(1, 86) == [] and job.hear(2, 70) == [("hot", "resolved")]
    assert job.rules.refused == [(1, "ZeroDivisionError: no rule should do that")]
    assert job.hear(3, 85) == [("hot", "firing")]  # still by the first rules
    job.push([COLD])  # what was put right
    assert job.hear(4, 10) == [("hot", "resolved"), ("cold", "firing")]


def test_what_stays_goes_on() -> None:
    job = Job()
    job.hear(0, 85)
    job.push([HOT, STUCK])
    assert job.hear(1, 86) == [] and job.hear(2, 20) == [("hot", "resolved")]


def test_the_state_is_written_at_once_and_no_journal_spans_two_rulebooks() -> None:
    job = Job()
    for second in range(3):
        job.hear(second, 50)
    assert job.snapshot.data is None and len(job.journal.items) == 3
    assert job.revision.data == 0
    job.push([COLD])
    job.hear(3, 50)
    assert job.snapshot.data is not None and job.journal.items == []
    assert job.revision.data == 1
    assert job.metrics.parts["rules_revision"].total == 1


def test_a_restart_after_a_switch_says_nothing_again() -> None:
    job = Job()
    job.hear(0, 85)
    job.push([COLD])
    assert job.hear(1, 85) == [("hot", "resolved")]
    job.open()
    assert job.hear(2, 85) == []


def test_a_slow_switch_is_followed_by_as_long_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that other gateways' alerts wait for one switch, and not for one of each gateway."""
    ticks = itertools.count()
    monkeypatch.setattr(keyed.time, "perf_counter", lambda: next(ticks) * 1.5)
    job = Job()
    job.hear(0, 50)
    job.push([COLD])
    job.hear(1, 50)
    job.push([HOT])
    job.hear(3, 50)
    assert job.running().revision == 1
    job.hear(4, 50)
    assert job.running().revision == 2


def test_a_timer_switches_too() -> None:
    silent = rule("no_data: {for_s: 15}", name="silent")
    job = Job()
    job.rules.books = [[silent]]
    job.hear(0, 50)
    job.push([HOT])
    assert job.advance(T0 + 60_000) == []  # the timer of a rule that is gone
    assert job.revision.data == 1


def test_a_new_gateway_begins_with_the_newest() -> None:
    job = Job()
    job.push([COLD])
    job.hear(0, 50)
    assert job.revision.data == 1 and job.snapshot.data is None
    job.open()
    assert job.hear(1, 10) == [("cold", "firing")]


def test_a_restart_settles_by_the_rules_of_its_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said after the checkpoint is said again, and then resolved: nothing is left over."""
    job = Job()
    job.hear(0, 50)
    job.push([COLD])  # the job died before; at second 1 "hot" was told and not in a checkpoint
    settled(monkeypatch, T0)
    job.open()
    assert job.hear(1, 85) == [("hot", "firing")]
    assert job.revision.data == 0
    after = SETTLE_MS // 1000
    assert job.hear(after, 85) == [("hot", "resolved")]
    assert job.revision.data == 1


def test_when_the_rules_of_the_state_are_gone_the_newest_judge_its_journal() -> None:
    job = Job()
    job.push([HOT, COLD])
    job.hear(0, 10)
    job.hear(1, 50)
    job.push([WARM])
    job.rules.gone = {1}
    job.open()
    assert job.hear(2, 50) == []
    assert job.revision.data == 2 and job.running().revision == 2
    job.hear(3, 65)
    assert [each[:2] for each in job.found] == [
        ("cold", "firing"),
        ("cold", "resolved"),
        ("hot", "firing"),
    ]


def test_state_of_before_rulebooks_is_revision_0() -> None:
    job = Job()
    job.hear(0, 85)
    job.revision.data = None
    job.push([COLD])
    job.open()
    assert job.hear(1, 50) == [("hot", "resolved")]
    assert job.revision.data == 1


Steps = list[tuple[float, int | None]]


def story(rnd: random.Random, count: int) -> Steps:
    """Readings, and now and then a push before one."""
    return [
        (rnd.choice([10.0, 50.0, 50.0, 65.0, 85.0]), rnd.choice([None] * 6 + [*range(len(BOOKS))]))
        for _ in range(count)
    ]


def play(steps: Steps, crashes: set[int]) -> Job:
    job = Job()
    for second, (value, book) in enumerate(steps):
        if book is not None:
            job.push(BOOKS[book])
        if second in crashes:
            job.open()
        job.hear(second, value)
    return job


@settings(max_examples=40, deadline=None)
@given(rnd=st.randoms(use_true_random=False), count=st.integers(5, 60))
def test_crashes_and_pushes_at_any_moment_change_nothing(rnd: random.Random, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        settled(patch, T0 - 3_600_000)
        patch.setattr(keyed, "MAX_JOURNAL_ENTRIES", 10)
        steps = story(rnd, count)
        calm = play(steps, set())
        crashed = play(steps, {rnd.randrange(count) for _ in range(5)})
    assert set(crashed.found) == set(calm.found)
    assert crashed.running().step.snapshot() == calm.running().step.snapshot()


@settings(max_examples=40, deadline=None)
@given(rnd=st.randoms(use_true_random=False), count=st.integers(5, 60))
def test_every_alert_of_a_rule_that_is_gone_is_resolved(rnd: random.Random, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        settled(patch, T0 - 3_600_000)
        job = play(story(rnd, count), {rnd.randrange(count) for _ in range(3)})
        job.push([])
        job.hear(count, 50)
    fired = {ident for _, status, ident in job.found if status == "firing"}
    resolved = {ident for _, status, ident in job.found if status == "resolved"}
    assert fired == resolved
