"""The step of rollup_readings: what it publishes, and that interruptions leave no trace."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.steps import Call, assert_deterministic, call, record_of, refusal_of
from udfs import rollup
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total
from udfs.ledger import Word
from udfs.records import Output
from udfs.rollup_step import RollupStep
from udfs.state import BadState, pack, unpack

T0 = 1_700_000_040_000  # a whole minute
TICK_MS = 10_000
PATIENCE_MS = 300_000


def batch(sequence: int, epoch: int = 1, value: list[float] | None = None, **more: Any) -> Batch:
    values = np.array([1.5, 2.5, float(sequence)] if value is None else value)
    time_ms = more.pop("time_ms", T0 + sequence * TICK_MS)
    return Batch("plant-1", "gw-1", epoch, sequence, time_ms, values, **more)


def new() -> RollupStep:
    return RollupStep("plant-1", "gw-1", PATIENCE_MS)


def fed(*sequences: int, step: RollupStep | None = None) -> tuple[RollupStep, list[Output]]:
    step, outputs = step or new(), []
    for sequence in sequences:
        each = batch(sequence)
        outputs += call(step, each.time_ms + 100, each)
    return step, outputs


def line_of(step: RollupStep, now_ms: int) -> dict[str, Any]:
    lines = [o for o in step.on_timer(now_ms) if o.topic == "counted.plant-1"]
    assert [line.key for line in lines] == ["plant-1/gw-1"]
    fields: dict[str, Any] = json.loads(lines[0].value)
    return fields


def minutes(outputs: list[Output]) -> list[tuple[int, int, bool, int, int]]:
    """(minute, revision, complete, missing, batches) of the rollups among outputs."""
    items = [rollup.decode(o.value) for o in outputs if o.topic == "rollups"]
    return [
        ((r.minute_ms - T0) // 60_000, r.revision, r.complete, r.missing, r.batches) for r in items
    ]


def test_a_minute_is_published_when_it_is_complete() -> None:
    step, outputs = fed(*range(6))
    assert outputs == []
    (output,) = call(step, T0, batch(6, traceparent="00-a-b-01"))
    assert (output.topic, output.key, output.headers) == ("rollups", "plant-1/gw-1", {})
    item = rollup.decode(output.value)
    assert (item.minute_ms, item.revision, item.complete, item.batches) == (T0, 1, True, 6)
    assert item.count.tolist() == [6, 6, 6] and item.sum.tolist() == [9.0, 15.0, 15.0]
    assert step.event_time_ms() == T0 + 60_000 and not step.tally


def test_the_traceparent_of_the_last_batch_goes_along() -> None:
    step, _ = fed(*range(5))
    call(step, T0, batch(5, traceparent="00-a-b-01"))
    (output,) = call(step, T0, batch(6))
    assert output.headers == {"traceparent": "00-a-b-01"}


def test_a_duplicate_is_counted_and_dropped() -> None:
    step, _ = fed(0, 1, 2)
    assert fed(1, step=step)[1] == []
    assert step.tally == {"duplicates": 1}
    assert line_of(step, T0 + 60_000)["duplicates"] == 1


def test_a_refused_record_is_a_dead_letter() -> None:
    step = new()
    (letter,) = call(step, T0, refusal_of(b"\0junk"))
    assert (letter.topic, letter.key, letter.value) == ("dead-letters", "plant-1/gw-1", b"\0junk")
    assert letter.headers == {
        "reason": "not_arrow",
        "detail": "junk",
        "topic": "readings.plant-1",
        "partition": "2",
        "offset": "9",
        "job": "rollup_readings",
        "refused_ms": str(T0),
    }
    assert line_of(step, T0 + 10_000)["refused"] == 1


def test_the_ledger_line() -> None:
    step, _ = fed(0, 1, 2, 5, 6, 8)
    call(step, T0, batch(8))
    call(step, T0, batch(9, value=[1.0, np.nan]))
    assert line_of(step, T0 + 100_000) == {
        "contract": "hardiot.counted.v1",
        "facility": "plant-1",
        "gateway": "gw-1",
        "batches": 7,
        "readings": 20,
        "bad_readings": 1,
        "duplicates": 1,
        "late": 0,
        "refused": 0,
        "event_time_ms": T0 + 90_000,
        "epoch": 1,
        "epoch_readings": 20,
        "gaps": [[3, 4], [7, 7]],
        "missing": 3,
        "declared_lost": 0,
        "contiguous_through": 2,
        "highest": 9,
        "counted_ms": T0 + 100_000,
        "verified_through": -1,
        "verified_readings": 0,
        "unaccounted_batches": 0,
        "unaccounted": [],
        "different": [],
    }


def test_a_line_comes_ten_seconds_after_a_record_and_then_no_more() -> None:
    step, _ = fed(0)
    assert step.wake_at() == T0 + 100 + 10_000
    assert step.on_timer(T0 + 10_099) == []
    assert line_of(step, T0 + 10_100)["counted_ms"] == T0 + 10_100
    assert step.wake_at() == T0 + 70_000  # the minute, as provisional
    assert minutes(step.on_timer(T0 + 70_000)) == [(0, 0, False, 0, 1)]
    assert step.wake_at() is None and step.on_timer(T0 + 10**9) == []
    call(step, T0 + 200_000, refusal_of())
    assert step.wake_at() == T0 + 210_000


def test_a_line_shows_the_first_hundred_gaps_and_counts_all() -> None:
    step, _ = fed(*range(0, 302, 2), step=RollupStep("plant-1", "gw-1"))
    line = line_of(step, T0 + 10**7)
    assert (len(line["gaps"]), line["gaps"][-1], line["missing"]) == (100, [199, 199], 150)


def test_a_word_closes_what_is_lost() -> None:
    step, _ = fed(0, 1, 2, 5, 6)
    word = Word("plant-1", "gw-1", 1, 6, 15, lost=((3, 4),))
    assert minutes(call(step, T0, word)) == [(0, 1, False, 2, 4)]
    assert call(step, T0, word) == []
    line = line_of(step, T0 + 100_000)
    assert (line["declared_lost"], line["missing"], line["contiguous_through"]) == (2, 0, 6)


def test_what_comes_after_it_was_given_up_is_a_dead_letter() -> None:
    step, _ = fed(0, 1, 2, 5, 6)
    call(step, T0, Word("plant-1", "gw-1", 1, 6, 15, lost=((3, 4),)))
    late = batch(3)
    (letter,) = call(step, T0, late)
    assert letter.headers["reason"] == "late" and letter.value == record_of(late).value
    assert letter.headers["detail"].startswith("3 readings of a minute")
    assert step.tally == {"late": 3} and line_of(step, T0 + 100_000)["late"] == 3


def test_a_hole_is_given_up_after_the_patience() -> None:
    step, _ = fed(0, 1, 2, 5, 6)
    known_ms = T0 + 50_100  # batch 5 came
    waiting = step.on_timer(known_ms + PATIENCE_MS)
    assert minutes(waiting) == [(0, 0, False, 0, 4), (1, 0, False, 0, 1)]
    call(step, known_ms + PATIENCE_MS, refusal_of())
    assert minutes(step.on_timer(known_ms + PATIENCE_MS + 10_000)) == [(0, 1, False, 2, 4)]


def test_an_epoch_that_ended_unseen_is_given_up_by_the_timer_itself() -> None:
    step, _ = fed(0, 1, 2)
    for sequence in range(2):
        call(step, T0, batch(sequence, epoch=2, time_ms=T0 + 60_000 + sequence * TICK_MS))
    line_of(step, T0 + PATIENCE_MS)
    call(step, T0 + PATIENCE_MS, refusal_of())
    given_up = step.on_timer(T0 + PATIENCE_MS + 10_000)
    assert minutes(given_up) == [(0, 1, False, 0, 3)]


def test_a_new_epoch_is_counted_on_its_own() -> None:
    step, _ = fed(0, 1, 2)
    for sequence in range(4):
        call(step, T0, batch(sequence, epoch=2, time_ms=T0 + 30_000 + sequence * TICK_MS))
    line = line_of(step, T0 + 100_000)
    assert (line["epoch"], line["highest"], line["contiguous_through"]) == (2, 3, -1)
    assert (line["readings"], line["epoch_readings"]) == (21, 12)
    word = Word("plant-1", "gw-1", 2, 3, 12, ended=((1, 2),))
    assert minutes(call(step, T0, word)) == [(0, 1, True, 0, 6)]
    assert line_of(step, T0 + 200_000)["contiguous_through"] == 3
    call(step, T0, batch(2, epoch=1))
    assert step.tally == {"duplicates": 1}


def test_an_epoch_of_which_nothing_came_has_no_readings() -> None:
    step, _ = fed(0, 1)
    call(step, T0, Word("plant-1", "gw-1", 2, 5, 0, lost=((0, 5),)))
    line = line_of(step, T0 + 100_000)
    assert (line["epoch"], line["epoch_readings"], line["readings"]) == (2, 0, 6)


def ranged(*ranges: tuple[int, int], through: int = -1, sent_ms: int = 0) -> Word:
    """A word on these numbers, with what they hold in truth."""
    told = [
        (a, b, 3 * (b - a + 1), total(*(fingerprint(batch(n)) for n in range(a, b + 1))))
        for a, b in ranges
    ]
    word = Word("plant-1", "gw-1", 1, 99, 300, ranges=tuple(told), acknowledged_through=through)
    return replace(word, sent_ms=sent_ms)


def compared(step: RollupStep, now_ms: int) -> tuple[Any, ...]:
    """What the next line says of the comparison."""
    line = line_of(step, now_ms)
    found = ("verified_through", "verified_readings", "unaccounted", "different")
    return tuple(line[name] for name in found)


def test_what_kafka_acknowledged_is_verified() -> None:
    step, _ = fed(*range(5))
    call(step, T0 + 50_000, ranged((0, 2), (3, 4)))
    assert compared(step, T0 + 51_000) == (4, 15, [], [])
    assert step.gauges() == {
        "open_minutes": 1, "missing_batches": 0, "unaccounted_batches": 0, "different_ranges": 0,
    }  # fmt: skip


def test_another_value_is_different_and_named() -> None:
    step, _ = fed(0, 1, 2)
    wrong = batch(3)
    wrong.value[1] = np.nextafter(wrong.value[1], 9)
    call(step, T0, wrong)
    call(step, T0 + 30_000, ranged((0, 1), (2, 3)))
    assert compared(step, T0 + 31_000) == (1, 6, [], [[1, 2, 3]])
    assert step.gauges()["different_ranges"] == 1


def test_a_lost_batch_is_unaccounted_within_half_a_minute() -> None:
    step, _ = fed(0, 1, 2, 4)
    told_ms = T0 + 50_000
    step.on_timer(told_ms)
    call(step, told_ms, ranged((0, 3), through=4))
    lines: list[Output] = []
    due_ms = told_ms
    while not step.gauges()["unaccounted_batches"]:
        due_ms = step.wake_at() or 0
        assert due_ms > told_ms, "nobody looks for it any more"
        lines += [o for o in step.on_timer(due_ms) if o.topic == "counted.plant-1"]
    assert due_ms - told_ms <= 22_000 and len(lines) < 12
    assert json.loads(lines[-1].value)["unaccounted"] == [[1, 3, 3]]
    assert step.wake_at() is None  # it is not looked for any more
    call(step, T0 + 80_000, batch(3))
    assert compared(step, T0 + 100_000) == (3, 12, [], [])
    assert step.gauges()["unaccounted_batches"] == 0


def random_calls(rnd: random.Random, count: int = 60) -> list[Call]:
    """Records of a flapping gateway, its words, bad records and timers, at any time."""
    calls: list[Call] = []
    now_ms, epoch, sequence = T0, 1, 0
    for _ in range(count):
        now_ms += rnd.choice([0, 10, 3_000, 12_000, 90_000])
        kind = rnd.random()
        if kind < 0.02:
            epoch, sequence = epoch + 1, 0
        if kind < 0.65:
            jump = rnd.choice([1] * 6 + [2, 5, 0, -1, -3])
            sequence = max(0, sequence + jump)
            calls.append((now_ms, random_batch(rnd, epoch, sequence)))
        elif kind < 0.75:
            first = rnd.randrange(sequence + 2)
            lost = ((first, first + rnd.randrange(4)),) if rnd.random() < 0.7 else ()
            ended = ((epoch - 1, rnd.choice([None, sequence])),) if epoch > 1 else ()
            word = Word("plant-1", "gw-1", epoch, sequence, 9, lost, ended)
            calls.append((now_ms, replace(word, **random_claims(rnd, calls, sequence))))
        elif kind < 0.8:
            calls.append((now_ms, refusal_of(rnd.randbytes(5))))
        else:
            calls.append((now_ms, None))
    return calls


def random_claims(rnd: random.Random, calls: list[Call], sequence: int) -> dict[str, Any]:
    """What Kafka acknowledged: true ranges of batches so far, and others."""
    ranges = [
        (b.sequence, b.sequence, len(b), fingerprint(b) ^ rnd.choice([0, 0, 1]))
        for _, b in calls[-9:]
        if isinstance(b, Batch)
    ]
    ranges.append((sequence, sequence + rnd.randrange(4), 7, 7))
    through = rnd.randrange(-1, sequence + 2)
    return {"ranges": tuple(ranges), "acknowledged_through": through, "sent_ms": rnd.randrange(2)}


def random_batch(rnd: random.Random, epoch: int, sequence: int) -> Batch:
    n, more = rnd.randint(0, 4), {}
    if rnd.random() < 0.3:
        more["sensor"] = np.array(sorted(rnd.sample(range(6), n)), np.uint32)
    if rnd.random() < 0.3:
        more["offset_ms"] = np.array([rnd.randrange(10_000) for _ in range(n)], np.int32)
    if rnd.random() < 0.3:
        more["quality"] = np.array([rnd.randrange(5) for _ in range(n)], np.uint8)
    value = [rnd.choice([rnd.uniform(-1, 1), 1e16, np.nan]) for _ in range(n)]
    time_ms = T0 + (epoch * 1000 + sequence) * 7_000
    return batch(sequence, epoch, value, time_ms=time_ms, traceparent=f"t{sequence}", **more)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_interruptions_change_nothing(seed: int) -> None:
    rnd = random.Random(seed)
    assert_deterministic(new, restore, random_calls(rnd), rnd)


def restore(data: bytes) -> RollupStep:
    return RollupStep.restore(data, PATIENCE_MS)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_it_wakes_when_it_has_something_to_say(seed: int) -> None:
    """A timer before `wake_at` says nothing; at `wake_at` it says something."""
    step = new()
    for now_ms, what in random_calls(random.Random(seed), 30):
        call(step, now_ms, what)
        due = step.wake_at()
        if due is not None:
            before = step.snapshot()
            assert step.on_timer(due - 1) == [] and step.snapshot() == before
            assert restore(before).on_timer(due) != []


def test_a_newer_state_is_refused() -> None:
    _, fields = unpack(fed(0, 1)[0].snapshot(), "rollup_step")
    with pytest.raises(BadState, match="state version 3; this job knows up to 2"):
        RollupStep.restore(pack("rollup_step", 3, fields))
    with pytest.raises(BadState, match='kind "detect_step"'):
        RollupStep.restore(pack("detect_step", 1, fields))
