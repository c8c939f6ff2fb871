"""The step of archive_readings: every reading in one chunk, whatever the order and the restarts."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.steps import Call, assert_deterministic, call, refusal_of, run
from udfs import archive_step
from udfs.archive import chunk
from udfs.archive.chunk import Chunk
from udfs.archive_step import LATE_AFTER_MS, ArchiveStep
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total
from udfs.ledger import Word
from udfs.minute import split
from udfs.records import Output
from udfs.state import BadState, pack

T0 = 1_700_000_040_000  # a whole minute
TICK_MS = 10_000
PATIENCE_MS = 300_000


def batch(sequence: int, **more: Any) -> Batch:
    value = more.pop("value", np.array([1.5, 2.25, float(sequence)]))
    time_ms = more.pop("time_ms", T0 + sequence * TICK_MS)
    return Batch("plant-1", "gw-1", 1, sequence, time_ms, value, **more)


def new() -> ArchiveStep:
    return ArchiveStep("plant-1", "gw-1", PATIENCE_MS)


def restore(data: bytes) -> ArchiveStep:
    return ArchiveStep.restore(data, PATIENCE_MS)


def word(lost: tuple[tuple[int, int], ...]) -> Word:
    return Word("plant-1", "gw-1", 1, 100, 300, lost=lost)


def fed(step: ArchiveStep, *sequences: int) -> list[Output]:
    outputs = []
    for sequence in sequences:
        each = batch(sequence)
        outputs += call(step, each.time_ms + 100, each)
    return outputs


def chunks(outputs: list[Output]) -> list[Chunk]:
    return [chunk.decode(output.value) for output in outputs]


def told(outputs: list[Output]) -> list[tuple[int, int, bool, int, int, int]]:
    """(minute, revision, complete, missing, batches, readings), as table chunks has them."""
    return [
        (
            (int(o.headers["minute_ms"]) - T0) // 60_000,
            int(o.headers["revision"]),
            o.headers["complete"] == "true",
            *(int(o.headers[name]) for name in ("missing", "batches", "readings")),
        )
        for o in outputs
    ]


def test_a_minute_is_one_chunk_when_it_is_complete() -> None:
    step = new()
    assert fed(step, *range(6)) == []
    (output,) = fed(step, 6)
    assert (output.topic, output.key) == ("chunks", "plant-1/gw-1")
    assert told([output]) == [(0, 1, True, 0, 6, 18)]
    (item,) = chunks([output])
    assert item.sensor.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert item.value.tolist() == [1.5] * 6 + [2.25] * 6 + [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert item.times_ms()[:6].tolist() == [T0 + i * TICK_MS for i in range(6)]
    assert item.batches.sequence.tolist() == list(range(6))
    assert step.event_time_ms() == T0 + 60_000 and not step.tally


def test_a_duplicate_is_in_no_chunk() -> None:
    step = new()
    outputs = fed(step, 0, 1, 2, 2, 3, 4, 5, 5, 6)
    assert told(outputs) == [(0, 1, True, 0, 6, 18)]
    assert step.tally == {"duplicates": 2}


def test_a_batch_that_crosses_a_minute_is_in_two_chunks() -> None:
    step = new()
    fed(step, *range(5))
    offset = np.array([0, 9_999, 3_000], np.int32)
    crossing = batch(5, time_ms=T0 + 55_000, offset_ms=offset)
    call(step, 0, crossing)
    outputs = fed(step, *range(6, 13))
    first, second = chunks(outputs)
    assert (len(first), len(second)) == (17, 19)
    assert T0 + 64_999 in second.times_ms().tolist()


def test_what_the_gateway_declares_lost_is_missing_in_its_chunk() -> None:
    step = new()
    assert fed(step, 0, 1, 2, 4, 5, 6) == []
    outputs = call(step, T0 + 70_000, word(((3, 3),)))
    assert told(outputs) == [(0, 1, False, 1, 5, 15)]


def test_a_minute_that_was_lost_as_a_whole_is_an_empty_chunk() -> None:
    step = new()
    fed(step, *range(4), *range(14, 20))
    outputs = call(step, T0 + 200_000, word(((4, 13),)))
    assert told(outputs) == [
        (0, 1, False, 2, 4, 12),
        (1, 1, False, 6, 0, 0),
        (2, 1, False, 2, 4, 12),
    ]


def test_late_batches_of_a_minute_are_a_further_chunk_once() -> None:
    step = new()
    fed(step, 0, 1, 2, 5, 6)
    call(step, T0 + 70_000, word(((3, 4),)))
    late_ms = T0 + 80_000
    assert [call(step, late_ms, batch(n)) for n in (4, 3, 4)] == [[], [], []]
    assert step.tally == {"late": 6, "duplicates": 1}
    assert step.wake_at() == late_ms + LATE_AFTER_MS or step.wake_at() < late_ms + LATE_AFTER_MS
    outputs = step.on_timer(late_ms + LATE_AFTER_MS)
    assert told(outputs) == [(0, 2, False, 2, 2, 6)]
    assert chunks(outputs)[0].batches.sequence.tolist() == [3, 4]
    assert restore(step.snapshot()).on_batch(batch(3), None, late_ms) == []
    assert step.on_timer(late_ms + 10 * LATE_AFTER_MS) == []


def test_a_late_batch_without_readings_changes_nothing() -> None:
    step = new()
    fed(step, 0, 1, 2, 5, 6)
    call(step, T0 + 70_000, word(((3, 4),)))
    call(step, T0 + 80_000, batch(3, value=np.empty(0)))
    assert told(step.on_timer(T0 + 200_000)) == []


def test_a_second_late_lot_has_the_next_revision() -> None:
    step = new()
    fed(step, 0, 1, 2, 5, 6)
    call(step, T0 + 70_000, word(((3, 4),)))
    call(step, T0 + 80_000, batch(3))
    assert told(step.on_timer(T0 + 95_000)) == [(0, 2, False, 2, 1, 3)]
    call(step, T0 + 99_000, batch(4))
    assert told(restore(step.snapshot()).on_timer(T0 + 110_000)) == []
    assert told(restore(step.snapshot()).on_timer(T0 + 119_000)) == [(0, 3, False, 2, 1, 3)]


def test_a_revision_is_never_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when more minutes had late readings than are remembered: a table would take the
    second for the first, and drop it."""
    monkeypatch.setattr(archive_step, "_MAX_LATE", 2)
    step = new()
    fed(step, *range(5), *range(35, 42))
    call(step, T0 + 420_000, word(((5, 34),)))
    given = []
    for number, sequence in enumerate([5, 7, 13, 19, 25, 8, 14]):
        call(step, T0 + 430_000 + number * 100_000, batch(sequence))
        step = restore(step.snapshot())
        given += told(step.on_timer(T0 + 430_000 + (number + 1) * 100_000))
    assert [row[:2] for row in given] == [
        (0, 2), (1, 2), (2, 2), (3, 3), (4, 3), (1, 3), (2, 4),
    ]  # fmt: skip


def test_a_hole_is_given_up_when_its_patience_is_over() -> None:
    step = new()
    fed(step, 0, 1, 2, 4, 5, 6)
    assert step.on_timer(T0 + 61_000) == []
    fed(step, 7)
    assert told(step.on_timer(T0 + 61_000 + PATIENCE_MS)) == [(0, 1, False, 1, 5, 15)]


def test_memory_is_bounded_by_giving_up_the_oldest_hole() -> None:
    step = ArchiveStep("plant-1", "gw-1", PATIENCE_MS, max_held_bytes=250)
    outputs = fed(step, 0, 1, *range(3, 30))
    assert told(outputs)[0] == (0, 1, False, 1, 5, 15)
    assert [row[2] for row in told(outputs)[1:]] == [True] * 3


def test_a_minute_that_is_too_large_for_a_chunk_is_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_step._lots, "__defaults__", (7, 100))
    step = new()
    assert told(fed(step, *range(7))) == [(0, r, True, 0, 2, 6) for r in (1, 2, 3)]
    fed(step, 7, 8, 10, 11, 12)
    call(step, T0 + 130_000, word(((9, 9),)))
    call(step, T0 + 131_000, batch(9))
    assert [row[:2] for row in told(step.on_timer(T0 + 170_000))] == [(1, 4)]
    assert len(archive_step._lots([batch(n) for n in range(5)], 100, 2)) == 3
    assert archive_step._lots([]) == [[]]


def test_a_refused_record_leaves_nothing() -> None:
    step = new()
    assert call(step, T0, refusal_of()) == [] and step.wake_at() is None


def test_state_of_another_step_or_of_the_future_is_refused() -> None:
    with pytest.raises(BadState, match="rollup_step"):
        ArchiveStep.restore(pack("rollup_step", 1, {}))
    with pytest.raises(BadState, match="version 9"):
        ArchiveStep.restore(pack("archive_step", 9, {}))


def random_batch(rng: np.random.Generator, sequence: int) -> Batch:
    n = int(rng.integers(0, 5))
    slots = np.sort(rng.integers(0, 4, n)).astype(np.uint32)
    offset = None
    if rng.random() < 0.5:  # ascending within a sensor
        offset = (np.arange(n) * 2_000 + rng.integers(0, 1_999)).astype(np.int32)
    quality = rng.integers(0, 5, n).astype(np.uint8) if rng.random() < 0.5 else None
    value = rng.standard_normal(n).round(2)
    value[rng.random(n) < 0.1] = np.nan
    return batch(sequence, value=value, sensor=slots, offset_ms=offset, quality=quality)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_order_and_any_restarts_give_every_reading_once(seed: int) -> None:
    rng, order = np.random.default_rng(seed), random.Random(seed)
    sent = [random_batch(rng, sequence) for sequence in range(40)]
    lost = set(order.sample(range(1, 39), 4))
    arrivals = [b for b in sent if b.sequence not in lost]
    for _ in range(5):  # a lane that is behind another, and repeats
        at = order.randrange(len(arrivals))
        arrivals.insert(order.randrange(len(arrivals)), arrivals[at])
    calls: list[Call] = [(T0 + 1_000 * i, b) for i, b in enumerate(arrivals)]
    lost_word = word(tuple((n, n) for n in sorted(lost)))
    calls.append((T0 + 60_000, lost_word))
    calls += [(T0 + 61_000 + n, sent[n]) for n in sorted(lost) if n % 2]
    calls += [(T0 + 100_000, None), (T0 + 130_000, None)]
    assert_deterministic(new, restore, calls, order)
    outputs, _ = run(new(), calls, restore)
    items = chunks([output for some in outputs for output in some])
    given_out = Counter((c.minute_ms, c.revision) for c in items)
    assert max(given_out.values(), default=1) == 1
    open_from = (T0 + sent[-1].time_ms - T0) // 60_000 * 60_000
    expected = [b for b in sent if b.sequence not in lost or b.sequence % 2]
    closed = [c for c in items if c.minute_ms < open_from]
    assert total(*(c.fingerprint() for c in closed)) == total(
        *(fingerprint(part) for b in expected for part in before(b, open_from))
    )


def before(item: Batch, limit_ms: int) -> list[Batch]:
    return [part for minute, part in split(item) if minute < limit_ms]
