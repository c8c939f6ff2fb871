"""A whole site and its cloud in one process, under a clock of the test: no thread, no network.

Machines (the simulator) -> direct input -> core -> spool on a real disk -> uplink -> the steps of
both jobs. Only the way to Kafka is made up: it can be cut.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from edge.core import Core, Parts
from edge.filters.pipeline import Pipeline
from edge.filters.settings import FilterSettings
from edge.inputs.direct import DirectInput
from edge.ledger import Speaker
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.rulebooks import Place, Rulebooks
from edge.rules import RuleSet, load_rules
from edge.settings import GatewaySettings
from edge.simulator.build import FleetBuilder
from edge.simulator.settings import SimulatorSettings
from edge.spool.spool import Spool
from edge.ticks import Ticks
from edge.uplink.uplink import Uplink
from tests.edge.uplink.fakes import FakeTransport, Sent
from udfs import catalogue as catalogues
from udfs import rollup
from udfs.admission import Gate, Refusal
from udfs.alerts import AlertEvent, from_json
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.detect_step import DetectStep
from udfs.ledger import Word
from udfs.records import ALERTS, CATALOGUE, COUNTED, EDGE_ALERTS, ROLLUPS, Output, Record
from udfs.rollup import PROVISIONAL, MinuteRollup
from udfs.rollup_step import RollupStep
from udfs.rules.model import Rule
from udfs.rules.record import Rulebook, record_key, rules
from udfs.step import Step

START_MS = 1_750_000_000_000 // 60_000 * 60_000
TICK_MS = 1000


class Machines(Protocol):
    """What stands at the site: its sensors, and what they say in each second."""

    catalogue: Catalogue

    def batch(self, sequence: int) -> Batch: ...


class Cloud:
    """Both jobs over one gateway, without an engine."""

    def __init__(self, facility: str, gateway: str, rules: Sequence[Rule]) -> None:
        self.known: dict[int, Catalogue] = {}
        self.rollup = RollupStep(facility, gateway)
        self.detect = DetectStep(facility, gateway, rules, self)
        self.gate = Gate(self)
        self.minutes: dict[int, MinuteRollup] = {}
        self.alerts: list[tuple[int, AlertEvent]] = []  # when they were found
        self.edge_alerts: list[AlertEvent] = []
        self.line: dict[str, Any] = {}
        self.refused: list[Refusal] = []
        self.offset = 0

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return self.known.get(version)

    def knows(self, facility: str, gateway: str) -> bool:
        return bool(self.known)

    def take(self, sent: Sent, now_ms: int) -> Batch | Word | None:
        """A record that reached Kafka. Returns: what the gate admitted."""
        family, _, facility = sent.topic.partition(".")
        if family == CATALOGUE:
            found = catalogues.decode(sent.value)
            self.known[found.version] = found
        elif family == EDGE_ALERTS:
            self.edge_alerts.append(from_json(sent.value))
        elif not family.startswith("edge-"):
            self.offset += 1
            record = Record(f"{facility}/{sent.key}", sent.topic, 0, self.offset, sent.value)
            return self._admit(record, now_ms)
        return None

    def _admit(self, record: Record, now_ms: int) -> Batch | Word | None:
        found = self.gate.admit(record, now_ms)
        if isinstance(found, Refusal):
            self.refused.append(found)
            return None
        for step in (self.rollup, self.detect):
            self._note(_call(step, found, record, now_ms), now_ms)
        return found

    def turn(self, now_ms: int) -> None:
        """Timers."""
        for step in (self.rollup, self.detect):
            due = step.wake_at()
            if due is not None and due <= now_ms:
                self._note(step.on_timer(now_ms), now_ms)

    def _note(self, outputs: Iterable[Output], now_ms: int) -> None:
        for output in outputs:
            family = output.topic.partition(".")[0]
            if family == ROLLUPS:
                minute = rollup.decode(output.value)
                if minute.revision > PROVISIONAL:
                    assert minute.minute_ms not in self.minutes, "published twice"
                    self.minutes[minute.minute_ms] = minute
            elif family == ALERTS:
                self.alerts.append((now_ms, from_json(output.value)))
            elif family == COUNTED:
                self.line = json.loads(output.value)


def _machines(given: SimulatorSettings | Machines) -> Machines:
    if isinstance(given, SimulatorSettings):
        return FleetBuilder(given).gateway(0, START_MS)
    return given


def _call(step: Step, found: Batch | Word, record: Record, now_ms: int) -> list[Output]:
    if isinstance(found, Word):
        return step.on_word(found, now_ms)
    return step.on_batch(found, record, now_ms)


@dataclass
class Site:
    """One facility with its gateway. `outages`: when its link is down, from the start."""

    folder: Path
    machines: SimulatorSettings | Machines
    outages: list[tuple[float, float]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    rules: Sequence[Rule] = field(default_factory=load_rules)
    filters: FilterSettings = field(default_factory=FilterSettings)

    def __post_init__(self) -> None:
        self.plant = _machines(self.machines)
        self.facility, self.gateway = self.plant.catalogue.facility, self.plant.catalogue.gateway
        self.cloud = Cloud(self.facility, self.gateway, self.rules)
        self.now_ms = START_MS
        self.transport = FakeTransport(now_ms=self.now_ms)
        self.transport.outages = [
            (START_MS + round(begin * 1000), START_MS + round(end * 1000))
            for begin, end in self.outages
        ]
        self.pending: list[int] = []  # batches that wait, tick by tick
        self.topics: list[tuple[int, str]] = []  # when a record arrived, and its topic's family
        self.live: list[tuple[int, int]] = []  # when a live batch arrived, and its own time
        self.start()

    def start(self) -> None:
        """The process begins, on what the disk holds."""
        raw = {"facility": self.facility, "gateway": self.gateway, **self.settings}
        spool = {"folder": str(self.folder), **raw.pop("spool", {})}
        settings = GatewaySettings.model_validate({**raw, "spool": spool})
        self.spool = Spool.open(settings.spool, self.now_ms)
        registry = Registry.open(self.folder, self.facility, self.gateway)
        filters = Pipeline(self.filters, registry, TICK_MS)
        self.books = Rulebooks(self.folder, RuleSet(self.rules))
        self.books.load()
        newest = self.books.newest
        self.prescreen = Prescreen(newest.rules, self.facility, self.gateway, newest.revision)
        self.ticks = Ticks(settings.ticks)
        self.core = Core(
            settings,
            Parts(registry, self.ticks, filters, self.prescreen, self.spool, self.books),
        )
        self.core.restore(self.now_ms)
        self.direct = DirectInput(lambda result: self.core.take(result, self.now_ms), registry)
        self.direct.catalogue(self.plant.catalogue)
        speaker = Speaker(self.facility, self.gateway)
        self.uplink = Uplink(
            settings.uplink, self.facility, self.gateway, self.spool, registry, self.transport,
            speaker, TICK_MS,
        )  # fmt: skip

    def kill(self) -> None:
        """kill -9: what was in memory is gone, what was on its way to Kafka has no answer."""
        self.spool.close()
        self.transport._open, self.transport._due = [], []

    def push(self, rulebook: Rulebook, adopted: bool = True) -> None:
        """Both sides get a rulebook between two batches. adopted: whether the gateway goes by it
        before it may be killed, or has only written it.
        """
        found = rules(rulebook)
        place = Place(record_key(rulebook.revision, "rig"), rulebook.revision)
        kept = self.books.keep(rulebook, found, place)
        if adopted:
            self.core.adopt(kept, self.now_ms)
        self.cloud.detect = DetectStep.restore(self.cloud.detect.snapshot(), found, self.cloud)

    def run(self, seconds: int, each: Callable[[int], None] = lambda second: None) -> None:
        """So many ticks, one a second, and whatever the link lets through."""
        for _ in range(seconds):
            second = (self.now_ms - START_MS) // TICK_MS
            self.direct.offer(self.plant.batch(second), self._at(second, 1005))
            self.core.step(self._at(second, 1160))
            self._uplink(second)
            each(second)

    def settle(self, seconds: int) -> None:
        """Time goes on without readings."""
        for _ in range(seconds):
            second = (self.now_ms - START_MS) // TICK_MS
            self.core.step(self._at(second, 1160))
            self._uplink(second)

    def _uplink(self, second: int) -> None:
        for offset in (1165, 1180, 1400, 1700, 1999):
            self.uplink.step(self._at(second, offset))
            self._deliver()
        self.pending.append(self.uplink.backlog())
        self.cloud.turn(self.now_ms)
        self._at(second + 1, 0)

    def _deliver(self) -> None:
        for sent in self.transport.arrived:
            self.topics.append((self.now_ms, sent.topic.partition(".")[0]))
            found = self.cloud.take(sent, self.now_ms)
            if isinstance(found, Batch) and found.lane == Lane.LIVE:
                self.live.append((self.now_ms, found.time_ms))
        self.transport.arrived.clear()
        self.transport.handed.clear()

    def _at(self, second: int, offset_ms: int) -> int:
        self.now_ms = self.transport.now_ms = START_MS + second * TICK_MS + offset_ms
        return self.now_ms
