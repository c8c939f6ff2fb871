"""Steps as an engine runs them: calls, interruptions, and what must not depend on them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from udfs.admission import Refusal
from udfs.batch import Batch, Reason, encode
from udfs.ledger import Word
from udfs.records import Output, Record
from udfs.step import Step

Call = tuple[int, Any]  # wall clock, and a batch, a word, a refusal or (a timer) None


def record_of(batch: Batch) -> Record:
    """The Kafka record of a batch."""
    family = "backlog" if batch.lane == "backlog" else "readings"
    topic = f"{family}.{batch.facility}"
    return Record(f"{batch.facility}/{batch.gateway}", topic, 0, batch.sequence, encode(batch))


def refusal_of(data: bytes = b"junk") -> Refusal:
    record = Record("plant-1/gw-1", "readings.plant-1", 2, 9, data)
    return Refusal(record, Reason.NOT_ARROW, "junk")


def call(step: Step, now_ms: int, what: Any) -> list[Output]:
    """One call of an engine."""
    if isinstance(what, Batch):
        return step.on_batch(what, record_of(what), now_ms)
    if isinstance(what, Word):
        return step.on_word(what, now_ms)
    if isinstance(what, Refusal):
        return step.on_refusal(what, now_ms)
    return step.on_timer(now_ms)


def run(
    step: Step, calls: Iterable[Call], restore: Callable[[bytes], Step], at: Iterable[int] = ()
) -> tuple[list[list[Output]], bytes]:
    """Outputs of each call and the last snapshot, going through the snapshot before some calls.

    A timer that runs before its time changes nothing, and after one nothing is due.
    """
    outputs, at = [], set(at)
    for number, (now_ms, what) in enumerate(calls):
        if number in at:
            step = restore(step.snapshot())
        before = None if what is not None or is_due(step, now_ms) else step.snapshot()
        outputs.append(call(step, now_ms, what))
        assert before is None or (outputs[-1] == [] and step.snapshot() == before)
        assert what is not None or not is_due(step, now_ms)
    return outputs, step.snapshot()


def is_due(step: Step, now_ms: int) -> bool:
    """Whether a timer has something to do at that time."""
    wake_ms = step.wake_at()
    return wake_ms is not None and wake_ms <= now_ms


def journaled(step: Step, calls: Iterable[Call]) -> list[Call]:
    """What an engine keeps of these calls: all but the timers that had nothing to do."""
    kept = []
    for now_ms, what in calls:
        if what is not None or is_due(step, now_ms):
            kept.append((now_ms, what))
        call(step, now_ms, what)
    return kept


def assert_deterministic(
    new: Callable[[], Step], restore: Callable[[bytes], Step], calls: list[Call], rnd: random.Random
) -> None:
    """The contract of udfs/step.py, and of the journal in jobs/common/keyed.py.

    Interruptions change nothing, nor does leaving out what is not journaled.
    """
    outputs, last = run(new(), calls, restore)
    interruptions = rnd.sample(range(len(calls)), min(4, len(calls)))
    straight, again = new(), new()
    for now_ms, what in calls:
        again = restore(again.snapshot())
        assert call(straight, now_ms, what) == call(again, now_ms, what)
        assert straight.event_time_ms() == again.event_time_ms()
        assert straight.wake_at() == again.wake_at()
    assert straight.snapshot() == again.snapshot() == last
    assert run(new(), calls, restore, interruptions) == (outputs, last)
    assert run(new(), journaled(new(), calls), restore)[1] == last
    assert restore(last).snapshot() == last
