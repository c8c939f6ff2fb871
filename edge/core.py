"""From what inputs hand over to what is on disk: the pipeline of one gateway, without a thread.

    core = Core(settings, parts)
    core.restore(now_ms)                 # what the spool holds beyond the checkpoint, once more
    core.take(result, now_ms)            # for each result of an input
    told = core.step(now_ms, idle=True)  # close ticks, judge, append, commit, acknowledge

Time comes with the calls, so a day passes in a test as fast as the machine can go. One thread owns
the core. An error of the disk comes out of `step` as SpoolFailed and is final.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import structlog

from edge import checkpoint, codec, messages
from edge.alarms import MAX_EVENTS
from edge.block import Receipt
from edge.files import FULL
from edge.filters.pipeline import Pipeline
from edge.inputs.result import Refused, Result
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.settings import GatewaySettings
from edge.spool.record import Kind, Log
from edge.spool.spool import Spool, SpoolFailed
from edge.ticks import Tick, Ticks
from edge.timings import Timings
from udfs.alerts import AlertEvent, from_json, to_cloudevent
from udfs.batch import Batch
from udfs.fingerprint import fingerprint
from udfs.state import BadState

log = structlog.get_logger()

# of a bad message as much is kept as tells what it was; a flood of them must not fill the disk
_MAX_REFUSED_BYTES = 16 * 1024
_REFUSED_PER_MINUTE = 600
_MAX_TOLD = 10_000


@dataclass(slots=True)
class Parts:
    """What the core works with, each with one duty."""

    registry: Registry
    ticks: Ticks
    filters: Pipeline
    prescreen: Prescreen
    spool: Spool


@dataclass(slots=True)
class Told:
    """What a step brought: batches made, whether a commit was done, alerts that are on disk now."""

    batches: int = 0
    committed: bool = False
    events: list[AlertEvent] = field(default_factory=list)


class Core:
    """The pipeline of one gateway."""

    def __init__(self, settings: GatewaySettings, parts: Parts) -> None:
        self._settings = settings
        self._parts = parts
        self._encoder = codec.Encoder()
        self._owed: list[Receipt] = []  # to be released by the next commit
        self._events: list[AlertEvent] = []  # appended, not committed
        self._told: dict[str, None] = {}  # id and status of the newest alerts, as an ordered set
        self._units: dict[int, str] = {}
        self._waiting = False  # something is appended and not committed
        self._saved_ms = 0
        self._saved_index = -1
        self._refused_minute = (0, 0)
        self.readings = 0
        self.batches = 0
        self.newest_ms = 0  # event time of the newest batch
        self.commits = Timings()
        self.counts: Counter[str] = Counter()  # refused_<reason>, replayed, checkpoint_damaged, ...

    # -- start

    def restore(self, now_ms: int) -> list[AlertEvent]:
        """Bring filters and rules to where the spool ends.

        Alerts that the spool does not hold although their batch is in it are appended, and
        committed by the next step. Returns: the newest alerts that it holds.
        """
        parts = self._parts
        after = self._load_checkpoint()
        recent: deque[AlertEvent] = deque(maxlen=MAX_EVENTS)
        for stored in parts.spool.tail(Log.ALERTS, -1):
            message = messages.decode(stored.body)
            self._remember(message.headers["ce_id"])
            recent.append(from_json(message.value))
        self._adopt_units()
        for stored in parts.spool.tail(Log.RAW, after):
            batch = codec.decode(
                stored.body, stored.epoch, stored.sequence, self._facility, self._gateway
            )
            parts.filters.replay(batch)
            self._judge(batch, now_ms)
            self.newest_ms = max(self.newest_ms, batch.time_ms)
            self.counts["replayed"] += 1
        if self.newest_ms:
            parts.ticks.start(self.newest_ms)
        self._saved_ms = now_ms
        return list(recent)

    def _load_checkpoint(self) -> int:
        """Returns: index of the raw record after which the spool is to be replayed."""
        parts = self._parts
        newest = parts.spool.committed(Log.RAW)
        repeat = round(parts.filters.repeat_s * 1000 / self._settings.ticks.tick_ms)
        try:
            found = checkpoint.load(self._settings.spool.folder)
            if found is not None and found[0] <= newest:
                index, fields = found
                parts.prescreen.restore(fields.pop("prescreen"), parts.registry)
                self.newest_ms = fields.pop("newest_ms")
                parts.filters.from_fields(fields)
                self._saved_index = index
                parts.spool.covered(index)
                return index
        except (BadState, OSError) as error:
            log.warning("checkpoint_unusable", error=str(error), replayed=repeat)
            self.counts["checkpoint_damaged"] += 1
        return max(newest - repeat, -1)

    # -- readings in

    def take(self, result: Result, now_ms: int) -> None:
        """Take in what an input made of one message."""
        parts = self._parts
        if result.receipt is not None:
            self._owed.append(result.receipt)
        for block in result.blocks:
            self.readings += len(block)
            parts.ticks.offer(parts.filters.clock(block, now_ms))
        for refused in result.refused:
            self._keep(refused, now_ms)

    def _keep(self, refused: Refused, now_ms: int) -> None:
        self.counts[f"refused_{refused.reason}"] += 1
        minute, kept = self._refused_minute
        kept = kept if minute == now_ms // 60_000 else 0
        self._refused_minute = (now_ms // 60_000, kept + 1)
        if kept >= _REFUSED_PER_MINUTE:
            self.counts["refused_not_kept"] += 1
            return
        headers = {
            "reason": refused.reason,
            "detail": refused.detail[:500],
            "topic": refused.topic,
            "refused_ms": str(now_ms),
        }
        body = messages.encode(
            messages.Message(self._gateway, headers, refused.payload[:_MAX_REFUSED_BYTES])
        )
        self._parts.spool.append_record(Kind.REFUSED, body, now_ms)
        self._waiting = True

    # -- batches out

    def step(self, now_ms: int, idle: bool = True) -> Told:
        """Do what is due. idle: nothing more waits to be taken in, so that a commit need not wait.

        Raises: SpoolFailed: the disk refused; nothing is acknowledged from here on.
        """
        told = Told()
        receipts: list[Receipt] = []
        for tick in self._parts.ticks.close(now_ms):
            self._append(self._batch(tick), now_ms)
            receipts += tick.receipts
            told.batches += 1
        self._owed += receipts
        due = self._parts.spool.due(now_ms)
        if self._waiting and (idle or due):
            self._commit()
            told.committed = True
        if not self._waiting:
            told.events, self._events = self._events, []
            self._release()
        self._checkpoint_if_due(now_ms)
        return told

    def _commit(self) -> None:
        began_s = time.perf_counter()
        self._parts.spool.commit()
        self.commits.note(time.perf_counter() - began_s)
        self._waiting = False

    def _batch(self, tick: Tick) -> Batch:
        parts = self._parts
        self._commit_sensors()
        self._adopt_units()
        batch = parts.filters.batch(tick, parts.registry.newest, self._facility, self._gateway)
        self._commit_sensors()  # filters may have derived some
        return replace(
            batch,
            epoch=parts.spool.epoch,
            sequence=parts.spool.next_sequence,
            catalogue=parts.registry.newest,
            traceparent=_traceparent(),
        )

    def _commit_sensors(self) -> None:
        """Sensors are on disk before their batches; on a full one the oldest records go."""
        while True:
            try:
                self._parts.registry.commit()
                return
            except OSError as error:
                if error.errno not in FULL or not self._parts.spool.give_way():
                    raise SpoolFailed(
                        f"{self._settings.spool.folder}: the catalogue cannot be written: "
                        f"{error.strerror or error}. What was not committed is not acknowledged; "
                        "check the disk and start the gateway again"
                    ) from error

    def _append(self, batch: Batch, now_ms: int) -> None:
        self._judge(batch, now_ms)
        self._parts.spool.append(
            self._encoder.encode(batch),
            time_ms=batch.time_ms,
            readings=len(batch),
            fingerprint=fingerprint(batch),
        )
        self._waiting = True
        self.batches += 1
        self.newest_ms = max(self.newest_ms, batch.time_ms)

    def _judge(self, batch: Batch, now_ms: int) -> None:
        """Run the rules; append what they find and nobody told yet."""
        catalogue = self._parts.registry.version(batch.catalogue)
        for event in self._parts.prescreen.on_batch(batch, catalogue, now_ms):
            key, value, headers = to_cloudevent(event)
            if headers["ce_id"] in self._told:
                continue
            self._remember(headers["ce_id"])
            body = messages.encode(messages.Message(key, headers, value))
            self._parts.spool.append_record(Kind.ALERT, body, event.event_ms)
            self._waiting = True
            self._events.append(event)

    def _remember(self, event: str) -> None:
        self._told[event] = None
        while len(self._told) > _MAX_TOLD:
            del self._told[next(iter(self._told))]

    def _adopt_units(self) -> None:
        """Tell the filters where a device reports in another unit than the catalogue has."""
        units = self._parts.registry.reported_units()
        if units == self._units:
            return
        for slot in self._units.keys() - units.keys():
            self._parts.filters.set_conversion(slot, self._parts.registry.sensor(slot).unit)
        for slot, unit in units.items():
            if not self._parts.filters.set_conversion(slot, unit):
                self.counts["unit_unknown"] += 1
                log.warning("unit_unknown", slot=slot, unit=unit)
        self._units = units

    def _release(self) -> None:
        owed, self._owed = self._owed, []
        for receipt in owed:
            receipt.release()

    # -- state

    def _checkpoint_if_due(self, now_ms: int) -> None:
        if now_ms - self._saved_ms >= self._settings.spool.checkpoint_s * 1000:
            self.save_checkpoint(now_ms)

    def save_checkpoint(self, now_ms: int) -> None:
        """Save what filters and rules remember. A disk that refuses it costs a longer replay."""
        self._saved_ms = now_ms
        index = self._parts.spool.committed(Log.RAW)
        if index == self._saved_index or self._waiting:
            return
        fields = {
            **self._parts.filters.to_fields(),
            "prescreen": self._parts.prescreen.snapshot(),
            "newest_ms": self.newest_ms,
        }
        try:
            checkpoint.save(self._settings.spool.folder, index, fields)
        except OSError as error:
            log.warning("checkpoint_failed", error=str(error))
            self.counts["checkpoint_failed"] += 1
            return
        self._saved_index = index
        self._parts.spool.covered(index)

    @property
    def _facility(self) -> str:
        return self._settings.facility

    @property
    def _gateway(self) -> str:
        return self._settings.gateway


def _traceparent() -> str:
    """A new W3C trace context, sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
