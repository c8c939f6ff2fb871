"""Gateways that send batches as the edge does: by the clock, a while after the end of a tick."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Producer

from tests.rules.cluster import TIMING
from udfs import catalogue
from udfs.batch import Batch, Lane, encode

TICK_MS, AFTER_MS = 1000, 150  # the edge's defaults
KINDS = ("heat", "flow", "level")

Readings = Mapping[str, float]  # of each sensor that has one in this tick


def now_ms() -> int:
    return time.time_ns() // 10**6


@dataclass
class Gateway:
    """Machines with the sensors KINDS each, and what they read, which a test may change meanwhile.

    offset_ms: by machine: when within a tick its readings are. period_ms: of its sensors, as the
    catalogue has it. plan: what a tick has instead of `usual`, by the tick's time. linked: while
    it is not, batches are kept, and sent as backlog after the first live one. sent: by the tick's
    time, when its batch was sent.
    """

    bootstrap: str
    name: str
    offset_ms: Mapping[str, int]
    period_ms: int = TICK_MS
    usual: Readings = field(default_factory=dict)
    plan: dict[int, Readings] = field(default_factory=dict)
    linked: bool = True
    kept: list[Batch] = field(default_factory=list)
    sent: dict[int, int] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sensors = [f"{each}.{kind}" for each in self.offset_ms for kind in KINDS]
        self._producer = Producer({"bootstrap.servers": self.bootstrap})

    def run(self) -> None:
        """Publish the catalogue, then a batch a tick that has readings."""
        n = len(self.sensors)
        made = catalogue.Catalogue(
            TIMING, self.name, 1, tuple(self.sensors), ("u",) * n,
            tuple(name.split(".")[1] for name in self.sensors),
            tuple(name.split(".")[0] for name in self.sensors),
            np.full(n, -1e9), np.full(n, 1e9), np.full(n, self.period_ms, np.int32),
        )  # fmt: skip
        self._producer.produce("catalogue", catalogue.encode(made), made.key)
        self._producer.flush(10)
        tick_ms, sequence = now_ms() // TICK_MS * TICK_MS, 0
        while not self.stop.is_set():
            time.sleep(max(0.0, (tick_ms + TICK_MS + AFTER_MS - now_ms()) / 1000))
            readings = self.plan.get(tick_ms, self.usual)
            if readings:
                self._give(self._batch(tick_ms, sequence, readings))
                sequence += 1
            tick_ms += TICK_MS
        self._producer.flush(10)

    def _batch(self, tick_ms: int, sequence: int, readings: Readings) -> Batch:
        slots = [slot for slot, name in enumerate(self.sensors) if name in readings]
        names = [self.sensors[slot] for slot in slots]
        return Batch(
            TIMING,
            self.name,
            1,
            sequence,
            tick_ms,
            np.array([readings[name] for name in names]),
            sensor=np.array(slots, np.uint32),
            offset_ms=np.array([self.offset_ms[name.split(".")[0]] for name in names], np.int32),
        )

    def _give(self, batch: Batch) -> None:
        if not self.linked:
            batch.lane = Lane.BACKLOG
            self.kept.append(batch)
            return
        for each in (batch, *self.kept):
            each.sent_ms = now_ms()
            family = "backlog" if each.lane == Lane.BACKLOG else "readings"
            self._producer.produce(f"{family}.{TIMING}", encode(each), self.name)
        self._producer.flush(5)
        self.kept.clear()
        self.sent[batch.time_ms] = batch.sent_ms
