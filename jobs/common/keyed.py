"""The one adaptor that runs a step of udfs/ in Flink, one step object a gateway.

State of a key is `snapshot`, the step's own versioned bytes, `journal`, what happened since, and
`revision`, of the rules by which both were made. See docs/architecture.md, "State: a snapshot and a
journal" and "Rules that change".
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, ValueStateDescriptor

from jobs.common.catalogues import TopicCatalogues
from jobs.common.feed import Feed, NoFeed, Ruling
from jobs.common.metrics import OperatorMetrics
from udfs.admission import Catalogues, Gate, Refusal
from udfs.batch import Batch, Lane, Reason, decode
from udfs.ledger import Word, decode_word
from udfs.records import Output, Record
from udfs.step import RuledStep, Step

MIN_JOURNAL_BYTES = 64 * 1024
MAX_JOURNAL_ENTRIES = 256
# after a restart Kafka holds what came meanwhile: it is read before anyone is called silent
SETTLE_MS = 10_000

_ENTRY = struct.Struct("<BBqqiH")  # layout version, kind, now_ms, offset, partition, topic length
_LAYOUT = 1
_BATCH, _WORD, _REFUSAL, _TIMER = range(4)


@dataclass(slots=True)
class Running:
    """A gateway's step in memory, and how far its state in Flink goes."""

    step: Step
    revision: int
    stale: bool = False  # what Flink has was made by other rules
    unfit: int = -1  # the newest revision that it could not adopt
    settled_ms: int = 0  # not before then is it given other rules
    snapshot_bytes: int = 0
    journal_bytes: int = 0
    journal_entries: int = 0
    timer_ms: int = 0
    unsaid: list[Output] = field(default_factory=list)


@dataclass(frozen=True)
class StepPlan:
    """How to make a job's steps. Everything in it is pickled by Flink on submission.

    new: (facility, gateway, catalogues, rules) -> step. restore: (bytes, catalogues, rules) ->
    step. feed: makes what tells of rules that change; without one, rules are None.
    """

    bootstrap: str
    kafka: dict[str, str] = field(repr=False)
    new: Callable[[str, str, Catalogues, Any], Step]
    restore: Callable[[bytes, Catalogues, Any], Step]
    feed: Callable[[], Feed] = NoFeed


class KeyedStep(KeyedProcessFunction):  # type: ignore[misc]  # PyFlink has no usable types
    """Rows (topic, partition, offset, value) in, rows (topic, key, value, headers) out."""

    def __init__(self, plan: StepPlan) -> None:
        self._plan = plan

    def open(self, runtime_context: RuntimeContext) -> None:
        """Open the state, the topics of catalogues and rules, and the metrics."""
        # a plain `bytes` object: the primitive array type costs a Python loop over every byte here
        kind = Types.PICKLED_BYTE_ARRAY()
        self._snapshot = runtime_context.get_state(ValueStateDescriptor("snapshot", kind))
        self._journal = runtime_context.get_list_state(ListStateDescriptor("journal", kind))
        self._revision = runtime_context.get_state(ValueStateDescriptor("revision", Types.LONG()))
        self._feed = self._plan.feed()
        self._feed.open()
        self._catalogues = TopicCatalogues(self._plan.bootstrap, self._plan.kafka)
        self._gate = Gate(self._catalogues)
        self._metrics = OperatorMetrics(runtime_context.get_metrics_group())
        self._metrics.shown(self._feed.levels())
        self._running: dict[str, Running] = {}
        self._next_switch_ms = 0
        self._opened_ms = time.time_ns() // 1_000_000

    def close(self) -> None:
        """Close what `open` opened."""
        if hasattr(self, "_feed"):
            self._feed.close()
        if hasattr(self, "_catalogues"):
            self._catalogues.close()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """One record: let it through the gate, step, journal."""
        topic, partition, offset, data = value
        record = Record(_key(ctx), topic, partition, offset, data)
        now_ms = ctx.timer_service().current_processing_time()
        running = self._step_of(record.key, now_ms)
        admitted = self._gate.admit(record, now_ms)
        self._metrics.received()
        kind, outputs = _apply(running.step, admitted, record, now_ms)
        self._remember(running, _entry(kind, now_ms, record, admitted))
        if isinstance(admitted, Batch) and admitted.lane == Lane.LIVE:
            self._metrics.lag(now_ms, admitted.time_ms)
        yield from self._finish(running, outputs, ctx)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Silence is news too: provisional minutes, ledger lines, sensors that stopped."""
        now_ms = max(timestamp, ctx.timer_service().current_processing_time())
        running = self._step_of(_key(ctx), now_ms)
        running.timer_ms = 0
        settled_ms = self._opened_ms + SETTLE_MS
        if timestamp < self._opened_ms and now_ms < settled_ms:
            running.timer_ms = settled_ms
            ctx.timer_service().register_processing_time_timer(settled_ms)
            return
        wake_ms = running.step.wake_at()
        outputs = running.step.on_timer(now_ms)
        self._metrics.levels(_key(ctx), running.step.gauges())
        due = wake_ms is not None and wake_ms <= now_ms
        if due or running.stale:  # one that runs before its time changes nothing
            self._remember(running, _ENTRY.pack(_LAYOUT, _TIMER, now_ms, 0, 0, 0))
        yield from self._finish(running, outputs, ctx)

    def _finish(self, running: Running, outputs: list[Output], ctx: Any) -> Iterator[Row]:
        self._metrics.stepped(running.step.tally, outputs)
        self._metrics.shown(self._feed.levels())
        running.step.tally.clear()
        wake_ms = running.step.wake_at()
        if wake_ms is not None and (not running.timer_ms or wake_ms < running.timer_ms):
            running.timer_ms = wake_ms
            ctx.timer_service().register_processing_time_timer(wake_ms)
        for topic, key, data, headers in [*running.unsaid, *outputs]:
            yield Row(topic, key, data, headers)
        running.unsaid.clear()

    def _remember(self, running: Running, entry: bytes) -> None:
        """Journal what happened, or replace a journal that outgrew the snapshot by a new one.

        A journal is run again by one rulebook: under a new one there is a new snapshot, made when
        the alerts of what is gone are resolved.
        """
        running.journal_bytes += len(entry)
        running.journal_entries += 1
        limit = max(running.snapshot_bytes, MIN_JOURNAL_BYTES)
        outgrown = running.journal_bytes > limit or running.journal_entries > MAX_JOURNAL_ENTRIES
        if outgrown or running.stale:
            self._save(running)
        else:
            self._journal.add(entry)

    def _save(self, running: Running) -> None:
        data = running.step.snapshot()
        self._snapshot.update(data)
        self._journal.clear()
        self._revision.update(running.revision)
        running.snapshot_bytes = len(data)
        running.journal_bytes = running.journal_entries = 0
        running.stale = False

    def _step_of(self, key: str, now_ms: int) -> Running:
        """The gateway's step, by the newest rules."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = self._load(key)
        newest = self._feed.newest
        other = newest.revision not in (running.revision, running.unfit)
        if other and now_ms >= max(running.settled_ms, self._next_switch_ms):
            self._switch(running, newest, now_ms)
        return running

    def _switch(self, running: Running, newest: Ruling, now_ms: int) -> None:
        began_s = time.perf_counter()
        try:
            cast(RuledStep, running.step).adopt(newest.rules)
            running.revision, running.stale = newest.revision, True
        except Exception as error:  # noqa: BLE001  # else one rulebook stops every job for good
            running.unfit = newest.revision
            self._feed.refuse(newest.revision, f"{type(error).__name__}: {error}")
        # thousands of rules take a while to be bound to a gateway's sensors: if all its gateways
        # switched in a row, a slot's alerts would wait for all of them
        took_ms = int((time.perf_counter() - began_s) * 1000)
        self._next_switch_ms = now_ms + 2 * took_ms

    def _load(self, key: str) -> Running:
        """The step as the restored state left it, or a new one."""
        snapshot, entries = self._snapshot.value(), list(self._journal.get())
        if snapshot is None and not entries:
            running = self._begin(key, None, self._feed.newest)
            self._revision.update(running.revision)
            return running
        made_by = self._revision.value() or 0
        ruling = self._feed.at(made_by) or self._feed.newest
        running = self._begin(key, snapshot, ruling)
        running.settled_ms = self._opened_ms + SETTLE_MS
        for entry in entries:
            outputs = _replay(running.step, key, entry)
            if running.step.changed:
                running.unsaid += outputs
            running.journal_bytes += len(entry)
            running.journal_entries += 1
        running.step.tally.clear()
        running.stale = running.step.changed or running.revision != made_by
        return running

    def _begin(self, key: str, snapshot: bytes | None, ruling: Ruling) -> Running:
        if snapshot is None:
            facility, _, gateway = key.partition("/")
            step = self._plan.new(facility, gateway, self._catalogues, ruling.rules)
            return Running(step, ruling.revision)
        step = self._plan.restore(snapshot, self._catalogues, ruling.rules)
        return Running(step, ruling.revision, snapshot_bytes=len(snapshot))


def _key(ctx: Any) -> str:
    key = ctx.get_current_key()
    return key if isinstance(key, str) else key[0]


def _apply(
    step: Step, admitted: Batch | Word | Refusal, record: Record, now_ms: int
) -> tuple[int, list[Output]]:
    if isinstance(admitted, Batch):
        return _BATCH, step.on_batch(admitted, record, now_ms)
    if isinstance(admitted, Word):
        return _WORD, step.on_word(admitted, now_ms)
    return _REFUSAL, step.on_refusal(admitted, now_ms)


def _entry(kind: int, now_ms: int, record: Record, admitted: Batch | Word | Refusal) -> bytes:
    """A journal entry. Of a refused record only the reason is kept: it is in the dead letters."""
    topic = record.topic.encode()
    data = admitted.reason.encode() if isinstance(admitted, Refusal) else record.value
    head = _ENTRY.pack(_LAYOUT, kind, now_ms, record.offset, record.partition, len(topic))
    return head + topic + data


def _replay(step: Step, key: str, entry: bytes) -> list[Output]:
    """Run an entry through the step again. What it says was said: it is in the same checkpoint as
    the entry; unless the step changed since, as a rule does.
    """
    _, kind, now_ms, offset, partition, length = _ENTRY.unpack_from(entry)
    start = _ENTRY.size + length
    topic, data = entry[_ENTRY.size : start].decode(), entry[start:]
    record = Record(key, topic, partition, offset, data)
    if kind == _BATCH:
        return step.on_batch(decode(data), record, now_ms)
    if kind == _WORD:
        return step.on_word(decode_word(data), now_ms)
    if kind == _REFUSAL:
        return step.on_refusal(Refusal(record, Reason(data.decode()), ""), now_ms)
    return step.on_timer(now_ms)
