"""The adaptor: whatever the moment of a crash, the step goes on as if there had been none."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyflink.common import Row

from jobs.common import keyed
from jobs.common.keyed import SETTLE_MS, KeyedStep, StepPlan
from udfs.batch import Batch, encode
from udfs.ledger import Word, encode_word
from udfs.rollup_step import RollupStep

START_MS = 1_700_000_040_000
KEY = "plant-0001/gw-1"


class Value:
    """Flink's value state."""

    def __init__(self) -> None:
        self.data: Any = None

    def value(self) -> Any:
        return self.data

    def update(self, data: bytes | int) -> None:
        assert type(data) in (bytes, int)
        self.data = data


class Journal:
    """Flink's list state."""

    def __init__(self) -> None:
        self.items: list[bytes] = []

    def get(self) -> list[bytes]:
        return list(self.items)

    def add(self, item: bytes) -> None:
        assert type(item) is bytes
        self.items.append(item)

    def clear(self) -> None:
        self.items.clear()


class Metric:
    """A counter, a distribution or a group of them."""

    def __init__(self) -> None:
        self.total = 0
        self.parts: dict[str, Metric] = {}

    def inc(self, count: int = 1) -> None:
        self.total += count

    def update(self, value: int) -> None:
        self.total = value

    def counter(self, name: str) -> Metric:
        return self.parts.setdefault(name, Metric())

    distribution = counter

    def add_group(self, name: str, value: str) -> Metric:
        return self.parts.setdefault(f"{name}={value}", Metric())


class Engine:
    """What Flink is to the adaptor: state that outlives it, a clock, timers."""

    def __init__(self) -> None:
        self.snapshot, self.journal, self.metrics = Value(), Journal(), Metric()
        self.revision = Value()
        self.now_ms, self.timers = START_MS, set[int]()
        self.open()

    def open(self) -> None:
        self.step = KeyedStep(self.plan())
        self.step.open(self)

    def plan(self) -> StepPlan:
        return StepPlan("nowhere", {}, lambda f, g, c, r: RollupStep(f, g), _restore)

    def get_state(self, descriptor: Any) -> Value:
        return {"snapshot": self.snapshot, "revision": self.revision}[descriptor.name]

    def get_list_state(self, descriptor: Any) -> Journal:
        return self.journal

    def get_metrics_group(self) -> Metric:
        return self.metrics

    def get_current_key(self) -> Row:
        return Row(KEY)

    def timer_service(self) -> Engine:
        return self

    def current_processing_time(self) -> int:
        return self.now_ms

    def register_processing_time_timer(self, at_ms: int) -> None:
        self.timers.add(at_ms)

    def record(self, family: str, value: bytes) -> list[tuple[Any, ...]]:
        row = Row(f"{family}.plant-0001", 0, 7, value)
        return [tuple(out) for out in self.step.process_element(row, self)]

    def advance(self, to_ms: int) -> list[tuple[Any, ...]]:
        """Let the clock run; timers fire in order."""
        found: list[tuple[Any, ...]] = []
        while due := [t for t in self.timers if t <= to_ms]:
            at_ms = min(due)
            self.timers.discard(at_ms)
            self.now_ms = max(self.now_ms, at_ms)
            found += [tuple(out) for out in self.step.on_timer(at_ms, self)]
        self.now_ms = to_ms
        return found


def _restore(data: bytes, catalogues: Any, rules: None) -> RollupStep:
    return RollupStep.restore(data)


class Catalogues:
    """One catalogue, of any gateway."""

    def __init__(self, *_: Any) -> None:
        pass

    def find(self, *_: Any) -> range:
        return range(2000)

    def knows(self, *_: Any) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyed, "TopicCatalogues", Catalogues)
    monkeypatch.setattr(keyed.time, "time_ns", lambda: START_MS * 1_000_000)


def inputs(rnd: random.Random, count: int) -> list[tuple[str, bytes]]:
    """Batches out of order and twice, rubbish, and the gateway's word on a loss."""
    lost = range(10, 14)
    order = [s for s in range(count) if s not in lost]
    order += rnd.choices(order, k=count // 10)
    order.sort(key=lambda s: s + rnd.random() * 8)
    found = []
    for sequence in order:
        value = np.random.default_rng(sequence).standard_normal(1500)
        batch = Batch("plant-0001", "gw-1", 1, sequence, START_MS + sequence * 5000, value)
        found.append(("readings", encode(batch)))
    word = Word("plant-0001", "gw-1", 1, count - 1, 0, lost=((10, 13),))
    found.insert(count // 2, ("ledger", encode_word(word)))
    found.insert(count // 3, ("readings", b"rubbish"))
    return found


def run(records: list[tuple[str, bytes]], crashes: set[int]) -> tuple[list[Any], Engine]:
    engine, found = Engine(), []
    for number, (family, value) in enumerate(records):
        if number in crashes:
            engine.open()
        found += engine.record(family, value)
        found += engine.advance(engine.now_ms + 1500)
    return found, engine


@settings(max_examples=15, deadline=None)
@given(rnd=st.randoms(use_true_random=False), count=st.integers(40, 90))
def test_a_crash_anywhere_changes_nothing(rnd: random.Random, count: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyed, "TopicCatalogues", Catalogues)
        patch.setattr(keyed.time, "time_ns", lambda: START_MS * 1_000_000)
        records = inputs(rnd, count)
        calm, engine = run(records, set())
        crashed, restored = run(records, {rnd.randrange(len(records)) for _ in range(6)})
    assert {topic for topic, *_ in calm} >= {"rollups", "dead-letters", "counted.plant-0001"}
    assert crashed == calm
    steps = [next(iter(e.step._running.values())).step for e in (engine, restored)]
    assert steps[0].snapshot() == steps[1].snapshot()


def test_the_journal_never_outgrows_the_snapshot_by_much() -> None:
    engine, written = Engine(), 0
    for number, (family, value) in enumerate(inputs(random.Random(1), 120)):
        engine.record(family, value)
        written += len(value)
        journal = sum(map(len, engine.journal.items))
        assert journal <= max(len(engine.snapshot.data or b""), keyed.MIN_JOURNAL_BYTES)
        assert number < 10 or engine.snapshot.data is not None
    assert written > 10 * keyed.MIN_JOURNAL_BYTES


def test_small_entries_are_bounded_by_their_number() -> None:
    engine = Engine()
    for _ in range(keyed.MAX_JOURNAL_ENTRIES + 10):
        engine.record("readings", b"rubbish")
    assert len(engine.journal.items) <= keyed.MAX_JOURNAL_ENTRIES


def test_overdue_timers_wait_until_what_came_meanwhile_is_read() -> None:
    engine = Engine()
    engine.record("readings", b"rubbish")  # schedules the ledger line in 10 s
    (due_ms,) = engine.timers
    engine.now_ms = due_ms + 3_600_000
    engine.step._opened_ms = engine.now_ms
    assert engine.advance(engine.now_ms) == []
    assert engine.timers == {engine.now_ms + SETTLE_MS}
    assert [topic for topic, *_ in engine.advance(engine.now_ms + SETTLE_MS)] == [
        "counted.plant-0001"
    ]


def test_metrics_tell_what_happened() -> None:
    engine = Engine()
    batch = encode(Batch("plant-0001", "gw-1", 1, 0, START_MS, np.zeros(3)))
    for value in (batch, batch, b"rubbish"):
        engine.record("readings", value)
    parts = engine.metrics.parts
    assert parts["received"].total == 3 and parts["duplicates"].total == 1
    assert parts["emitted"].total == 1
    assert parts["reason=not_arrow"].parts["dead_lettered"].total == 1
    engine.record("readings", encode(Batch("plant-0001", "gw-1", 1, 3, START_MS, np.zeros(3))))
    engine.advance(START_MS + 20_000)
    assert parts["missing_batches"].total == 2 and parts["open_minutes"].total == 1
