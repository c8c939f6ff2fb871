"""From what inputs hand over to what is on disk: the pipeline of one gateway, without a thread.

    core = Core(settings, parts)
    core.restore(now_ms)                 # what the spool holds beyond the checkpoint, once more
    core.take(result, now_ms)            # for each result of an input
    told = core.step(now_ms, idle=True)  # close ticks, judge, append, commit, acknowledge
    core.adopt(rule_set, now_ms)         # other rules, between two steps

Time comes with the calls, so a day passes in a test as fast as the machine can go. One thread owns
the core. An error of the disk comes out of `step` as SpoolFailed and is final.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field, replace

import structlog

from edge import codec
from edge.alerting import Alerting
from edge.block import Receipt
from edge.files import FULL
from edge.filters.pipeline import Pipeline
from edge.inputs.result import Result
from edge.memory import Memory
from edge.prescreen import Prescreen
from edge.refusals import Refusals
from edge.registry import Registry
from edge.rulebooks import Rulebooks
from edge.rules import RuleSet
from edge.settings import GatewaySettings
from edge.spool.record import Log, Stored
from edge.spool.spool import Spool, SpoolFailed
from edge.ticks import Tick, Ticks
from edge.timings import Timings
from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.fingerprint import fingerprint

log = structlog.get_logger()


@dataclass(slots=True)
class Parts:
    """What the core works with, each with one duty."""

    registry: Registry
    ticks: Ticks
    filters: Pipeline
    prescreen: Prescreen
    spool: Spool
    books: Rulebooks


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
        self._units: dict[int, str] = {}
        self._waiting = False  # something is appended and not committed
        self.readings = 0
        self.batches = 0
        self.commits = Timings()
        self.counts: Counter[str] = Counter()  # refused_<reason>, replayed, checkpoint_damaged, ...
        self._refusals = Refusals(settings.gateway, parts.spool, self.counts)
        self._alerting = Alerting(parts.prescreen, parts.registry, parts.spool, self.counts)
        self._memory = Memory(
            settings.spool, parts.spool, parts.filters, parts.prescreen, parts.books, self.counts
        )

    @property
    def newest_ms(self) -> int:
        """Event time of the newest batch, 0 before the first."""
        return self._memory.newest_ms

    # -- start

    def restore(self, now_ms: int) -> list[AlertEvent]:
        """Bring filters and rules to where the spool ends, then to the newest rulebook.

        Alerts that the spool does not hold although their batch is in it are appended, and
        committed by the next step. Returns: the newest alerts that it holds.
        """
        parts = self._parts
        after = self._memory.load(parts.registry, now_ms)
        recent = self._alerting.recall()
        self._adopt_units()
        for stored in parts.spool.tail(Log.RAW, after):
            self._replay(stored, now_ms)
        if self.newest_ms:
            parts.ticks.start(self.newest_ms)
        if parts.prescreen.revision != parts.books.newest.revision:
            self.adopt(parts.books.newest, now_ms)
        return recent

    def _replay(self, stored: Stored, now_ms: int) -> None:
        """One batch again; one that cannot be read any more must not stop every start."""
        try:
            batch = codec.decode(
                stored.body, stored.epoch, stored.sequence, self._facility, self._gateway
            )
            self._parts.filters.replay(batch)
            self._judge(batch, now_ms)
        except (ValueError, IndexError) as error:
            self.counts["replay_failed"] += 1
            log.warning("replay_failed", index=stored.index, error=str(error))
            return
        self._note(batch)
        self.counts["replayed"] += 1

    # -- rules

    def adopt(self, found: RuleSet, now_ms: int) -> None:
        """Judge by other rules from the next batch on.

        The checkpoint is saved at once, so that what is run through again after a kill was judged
        by one rulebook. Rules that cannot be adopted are refused, whatever is wrong with them: they
        were pushed to many gateways, which must not all stop reading.
        """
        try:
            self._parts.prescreen.adopt(found.rules, found.revision)
        except Exception as error:
            log.exception("rules_not_adopted", revision=found.revision)
            self._parts.books.refuse(f"revision {found.revision}: cannot be used here: {error}")
            return
        if self._waiting:
            self._commit()
        self._memory.save(now_ms)
        log.info("rules_adopted", revision=found.revision, rules=len(found.rules))

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
            self._waiting |= self._refusals.keep(refused, now_ms)

    # -- batches out

    def step(self, now_ms: int, idle: bool = True) -> Told:
        """Do what is due. idle: nothing more waits to be taken in, so that a commit need not wait.

        Raises: SpoolFailed: the disk refused; nothing is acknowledged from here on.
        """
        told = Told()
        receipts: list[Receipt] = []
        for tick in self._parts.ticks.close(now_ms):
            receipts += tick.receipts
            batch = self._batch(tick)
            if len(batch) or not tick.late:  # late ones that are all repeats leave nothing
                self._append(batch, now_ms)
                told.batches += 1
        self._owed += receipts
        due = self._parts.spool.due(now_ms)
        if self._waiting and (idle or due):
            self._commit()
            told.committed = True
        if not self._waiting:
            told.events, self._events = self._events, []
            self._release()
        if self._memory.due(now_ms):
            self.save_checkpoint(now_ms)
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
        self._note(batch)

    def _judge(self, batch: Batch, now_ms: int) -> None:
        found = self._alerting.judge(batch, now_ms)
        self._events += found
        self._waiting |= bool(found)

    def _note(self, batch: Batch) -> None:
        self._memory.newest_ms = max(self._memory.newest_ms, batch.time_ms)

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

    def save_checkpoint(self, now_ms: int) -> None:
        """Save what filters and rules remember, unless something is not committed."""
        if not self._waiting:
            self._memory.save(now_ms)

    @property
    def _facility(self) -> str:
        return self._settings.facility

    @property
    def _gateway(self) -> str:
        return self._settings.gateway


def _traceparent() -> str:
    """A new W3C trace context, sampled."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
