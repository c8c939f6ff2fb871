"""The other sides of the uplink in memory: spool, network and cloud, under a clock of the test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from edge import codec, messages
from edge.ledger import Speaker
from edge.settings import UplinkSettings
from edge.spool.losses import Lost
from edge.spool.ranges import Ranges
from edge.spool.record import Kind, Log, Stored, Totals
from edge.uplink.transport import Delivery, Fault
from edge.uplink.uplink import Uplink
from udfs import batch
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.ledger import Word

NOW = 1_700_000_000_000
FACILITY, GATEWAY = "plant-07", "gw-1"


def make_catalogue(version: int) -> Catalogue:
    text, number = ("a",), np.array([1.0])
    period = np.array([1000], np.int32)
    return Catalogue(FACILITY, GATEWAY, version, text, text, text, text, number, number, period)


class FakeRegistry:
    """Knows some versions of the catalogue."""

    def __init__(self, newest: int = 3) -> None:
        self.newest = newest

    def version(self, number: int) -> Catalogue:
        if not 0 < number <= self.newest:
            raise IndexError(f"catalogue {number}")
        return make_catalogue(number)


class FakeSpool:
    """A spool that never fills and never breaks."""

    def __init__(self) -> None:
        self.epoch, self.next_sequence = 1, 0
        self.lost: list[Lost] = []
        self.ended: list[tuple[int, int | None]] = []
        self.records: dict[Log, list[Stored]] = {log: [] for log in Log}
        self.acked: dict[Log, Ranges] = {log: Ranges() for log in Log}
        self.saved = 0
        self._totals: dict[int, Totals] = {}
        self._encoder = codec.Encoder()

    def append_batch(self, time_ms: int, readings: int = 2, catalogue: int = 1) -> None:
        sent = Batch(
            FACILITY, GATEWAY, self.epoch, self.next_sequence, time_ms,
            np.full(readings, float(self.next_sequence)), catalogue=catalogue,
        )  # fmt: skip
        self.append_body(self._encoder.encode(sent), time_ms, readings)

    def append_body(self, body: bytes, time_ms: int, readings: int) -> None:
        totals = self.totals(self.epoch).plus(readings, self.next_sequence)
        self._totals[self.epoch] = totals
        raw = self.records[Log.RAW]
        raw.append(
            Stored(Kind.BATCH, len(raw), self.epoch, self.next_sequence, time_ms, readings,
                   self.next_sequence, *totals, body)
        )  # fmt: skip
        self.next_sequence += 1

    def append(self, kind: Kind, body: bytes, time_ms: int = NOW) -> None:
        records = self.records[Log.ALERTS if kind is Kind.ALERT else Log.ROLLUPS]
        records.append(Stored(kind, len(records), 1, 0, time_ms, 0, 0, 0, 0, body))

    def append_alert(self, number: int) -> None:
        message = messages.Message(f"id-{number}", {"ce_id": str(number)}, b"fire")
        self.append(Kind.ALERT, messages.encode(message))

    def committed(self, log: Log) -> int:
        return len(self.records[log]) - 1

    def pending(self, log: Log) -> list[tuple[int, int]]:
        return self.acked[log].holes(0, self.committed(log))

    def read(self, log: Log, first: int, last: int, max_bytes: int) -> list[Stored]:
        found: list[Stored] = []
        for stored in self.records[log][first : last + 1]:
            max_bytes -= len(stored.body)
            if found and max_bytes < 0:
                break
            found.append(stored)
        return found

    def acknowledge(self, log: Log, first: int, last: int) -> None:
        assert 0 <= first <= last <= self.committed(log)
        self.acked[log].add(first, last)

    def save_pointer(self) -> None:
        self.saved += 1

    def totals(self, epoch: int) -> Totals:
        return self._totals.get(epoch, Totals())


class NotingSpeaker(Speaker):
    """The real one, which remembers what it was told and what it said."""

    def __init__(self) -> None:
        super().__init__(FACILITY, GATEWAY)
        self.told: list[tuple[int, int, int, int]] = []
        self.words: list[Word] = []

    def acknowledged(self, epoch: int, sequence: int, readings: int, fingerprint: int) -> None:
        self.told.append((epoch, sequence, readings, fingerprint))
        super().acknowledged(epoch, sequence, readings, fingerprint)

    def word(self, *args: Any, **named: Any) -> Word:
        self.words.append(super().word(*args, **named))
        return self.words[-1]


class Sent(NamedTuple):
    """A record that reached Kafka, or was on its way there."""

    at_ms: int
    topic: str
    key: str
    value: bytes
    headers: dict[str, str]
    token: int

    @property
    def sequence(self) -> int:
        return batch.decode(self.value).sequence


@dataclass
class FakeTransport:
    """A way to Kafka. Time passes by `now_ms`.

    latency_ms: until an answer. outages: (begin, end), nothing passes. deaf: as outages, but
    records arrive and only their answers are lost. rate_bytes_s: what passes. faults: by topic.
    """

    now_ms: int = NOW
    latency_ms: int = 5
    give_up_ms: int = 30_000
    rate_bytes_s: float = float("inf")
    outages: list[tuple[int, int]] = field(default_factory=list)
    deaf: list[tuple[int, int]] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    too_large: int = 16 * 1024 * 1024
    queue: int = 10_000
    arrived: list[Sent] = field(default_factory=list)
    handed: list[Sent] = field(default_factory=list)
    _open: list[Sent] = field(default_factory=list)
    _free_ms: float = 0
    _due: list[tuple[float, Delivery]] = field(default_factory=list)

    def produce(
        self, topic: str, key: str, value: bytes, headers: dict[str, str], token: int
    ) -> bool:
        if len(self._open) >= self.queue:
            return False
        sent = Sent(self.now_ms, topic, key, value, headers, token)
        self.handed.append(sent)
        self._open.append(sent)
        if not self._within(self.outages):
            self._pass(sent)
        return True

    def poll(self, now_ms: int) -> list[Delivery]:
        for sent in list(self._open):
            if self._within(self.outages):
                if now_ms - sent.at_ms >= self.give_up_ms:
                    self._answer(sent, 0, Fault.UNANSWERED)
            else:
                self._pass(sent)
        due = [delivery for at_ms, delivery in self._due if at_ms <= now_ms]
        self._due = [item for item in self._due if item[0] > now_ms]
        return due

    def _pass(self, sent: Sent) -> None:
        fault = self.faults.get(sent.topic)
        if fault is None and len(sent.value) > self.too_large:
            fault = Fault.TOO_LARGE
        takes_ms = len(sent.value) * 1000 / self.rate_bytes_s
        self._free_ms = max(self._free_ms, self.now_ms) + takes_ms
        wait_ms = self._free_ms - self.now_ms + self.latency_ms
        if fault is None:
            self.arrived.append(sent)
            if self._within(self.deaf):
                fault, wait_ms = Fault.UNANSWERED, self.give_up_ms
        self._answer(sent, wait_ms, fault)

    def _answer(self, sent: Sent, wait_ms: float, fault: Fault | None) -> None:
        self._open.remove(sent)
        self._due.append((self.now_ms + wait_ms, Delivery(sent.token, fault)))

    def _within(self, windows: list[tuple[int, int]]) -> bool:
        return any(begin <= self.now_ms < end for begin, end in windows)

    @property
    def connected(self) -> bool:
        return not self._within(self.outages)

    def close(self, timeout_s: float) -> list[Delivery]:
        open_ = [Delivery(sent.token, Fault.UNANSWERED) for sent in self._open]
        self._open = []
        return [delivery for _, delivery in self._due] + open_

    def topic(self, family: str) -> list[Sent]:
        """What arrived in a topic."""
        return [sent for sent in self.arrived if sent.topic.split(".")[0] == family]


class Site:
    """A gateway with a tick a second, and an uplink whose time the test turns."""

    def __init__(self, spool: FakeSpool | None = None, **settings: object) -> None:
        self.settings = UplinkSettings.model_validate(settings)
        self.spool = spool or FakeSpool()
        self.transport = FakeTransport(give_up_ms=round(self.settings.give_up_s * 1000))
        self.speaker = NotingSpeaker()
        self.registry = FakeRegistry()
        self.token: tuple[float, int] | None = None
        self.uplink = self.restart()

    @property
    def now_ms(self) -> int:
        return self.transport.now_ms

    def restart(self) -> Uplink:
        """The process ends and begins again: what was on its way is unknown."""
        self.transport._open, self.transport._due = [], []
        self.uplink = Uplink(
            self.settings, FACILITY, GATEWAY, self.spool, self.registry, self.transport,
            self.speaker, token=lambda now_ms: self.token,
        )  # fmt: skip
        return self.uplink

    def tick(self, readings: int = 2, step_ms: int = 100) -> None:
        """A second passes, with a batch at its begin (of the tick that just ended)."""
        self.spool.append_batch(self.now_ms - 1000, readings)
        self.wait(1000, step_ms)

    def wait(self, ms: int, step_ms: int = 100) -> None:
        """Time passes, without new batches."""
        for _ in range(ms // step_ms):
            self.uplink.step(self.now_ms)
            self.transport.now_ms += step_ms
        self.uplink.step(self.now_ms)
