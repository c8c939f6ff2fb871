"""What Kafka acknowledged and the cloud never saw, or saw changed, is named within a minute."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from edge.ledger import Speaker
from jobs.cli.bench.prometheus import operator_sum
from jobs.cli.main import app
from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from tests.spine.conftest import Running
from tests.spine.test_bad_input import SENSORS, catalogue
from udfs import catalogue as catalogues
from udfs.batch import Batch, Lane, encode
from udfs.fingerprint import fingerprint
from udfs.ledger import encode_word
from udfs.records import COUNTED, LEDGER

pytestmark = pytest.mark.stack

FACILITY = "leaky"
LOSER, LIAR = "gw-1", "gw-2"
HIT = 12  # the number that is lost, or changed
EVERY = 5  # batches to a word
LIMIT_S = 60


class FakeGateway:
    """Says of its batches what a gateway would say, whatever became of them on their way."""

    def __init__(self, producer: Producer, gateway: str, start_ms: int) -> None:
        self._producer, self._gateway, self._start_ms = producer, gateway, start_ms
        self._speaker = Speaker(FACILITY, gateway)
        self.sequence = self.readings = 0
        self.ranges: list[list[int]] = []
        own = replace(catalogue(FACILITY), gateway=gateway)
        producer.produce("catalogue", catalogues.encode(own), own.key)

    def batch(self, sequence: int) -> Batch:
        value = np.linspace(0.0, SENSORS - 1, SENSORS) + sequence
        time_ms = self._start_ms + sequence * 1000
        now_ms = time.time_ns() // 10**6
        return Batch(FACILITY, self._gateway, 1, sequence, time_ms, value, sent_ms=now_ms)

    def next(self, on_the_way: Callable[[Batch], Batch | None] = lambda batch: batch) -> None:
        """Send one batch; it counts as acknowledged. A word after every few."""
        batch = self.batch(self.sequence)
        self._speaker.acknowledged(1, self.sequence, len(batch), fingerprint(batch))
        self.readings += len(batch)
        self.sequence += 1
        sent = on_the_way(batch)
        if sent is not None:
            self.send(sent)
        if not self.sequence % EVERY:
            self.speak()

    def send(self, batch: Batch) -> None:
        topic = "readings" if batch.lane == Lane.LIVE else "backlog"
        self._producer.produce(f"{topic}.{FACILITY}", encode(batch), self._gateway)

    def speak(self) -> None:
        through = self.sequence - 1
        word = self._speaker.word(
            1, through, self.readings, pending=0, acknowledged_through=through,
            now_ms=time.time_ns() // 10**6,
        )  # fmt: skip
        self.ranges += [[first, last] for first, last, *_ in word.ranges]
        self._producer.produce(f"{LEDGER}.{FACILITY}", encode_word(word), self._gateway)


def changed(batch: Batch) -> Batch:
    """One bit of one value is another."""
    value = batch.value.copy()
    value[7] = np.nextafter(value[7], np.inf)
    return replace(batch, value=value)


class Plant:
    """Two such gateways that go on sending while somebody waits for what the cloud says."""

    def __init__(self, running: Running, tail: Tail) -> None:
        self._running, self._tail = running, tail
        self._producer = Producer({"bootstrap.servers": running.stack.bootstrap})
        start_ms = (time.time_ns() // 10**9 - 60) * 1000
        self.gateways = {n: FakeGateway(self._producer, n, start_ms) for n in (LOSER, LIAR)}
        self._producer.flush()
        self.lines: dict[str, dict[str, Any]] = {}

    def go_on(self, **on_the_way: Callable[[Batch], Batch | None]) -> None:
        for name, gateway in self.gateways.items():
            gateway.next(on_the_way.get(name.replace("-", "_"), lambda batch: batch))
        self._producer.flush()

    def wait(self, until: Callable[[dict[str, dict[str, Any]]], bool]) -> float:
        """Send a batch a second until the cloud's lines are so. Returns: seconds it took."""
        began_s = time.monotonic()
        while not (len(self.lines) == 2 and until(self.lines)):
            assert time.monotonic() < began_s + LIMIT_S, self.lines
            self.go_on()
            second_s = time.monotonic() + 1
            while time.monotonic() < second_s:
                for message in self._tail.poll():
                    self.lines[message.key.split("/")[1]] = json.loads(message.value)
        return time.monotonic() - began_s

    def metric(self, name: str) -> float:
        ports = list(self._running.stack.prometheus.values())
        return operator_sum(ports, name, "rollup_readings")

    def ledger(self) -> tuple[int, str]:
        """Exit code of `hardiot ledger`, and what it says is wrong."""
        where = ["--bootstrap", self._running.stack.bootstrap, "--facility", FACILITY]
        result = CliRunner().invoke(app, ["ledger", *where, "--output", "json"])
        return result.exit_code, result.stderr


def test_loss_and_change_are_named_and_a_late_batch_ends_the_finding(
    running: Running, record_testsuite_property: Callable[[str, object], None]
) -> None:
    ensure_topics(running.stack.bootstrap, [FACILITY])
    with Tail(running.stack.bootstrap, [f"{COUNTED}.{FACILITY}"], from_start=True) as tail:
        plant = Plant(running, tail)
        loser, liar = plant.gateways[LOSER], plant.gateways[LIAR]
        for _ in range(HIT):
            plant.go_on()
        plant.go_on(gw_1=lambda batch: None, gw_2=changed)
        while plant.gateways[LOSER].sequence % EVERY:
            plant.go_on()

        # the word that speaks of it has just been said
        took_s = plant.wait(lambda x: bool(x[LOSER]["unaccounted"] and x[LIAR]["different"]))
        record_testsuite_property("loss_named_s", round(took_s, 1))
        assert plant.lines[LOSER]["unaccounted"] == [[1, HIT, HIT]]
        assert plant.lines[LOSER]["unaccounted_batches"] == 1
        assert plant.lines[LOSER]["different"] == plant.lines[LIAR]["unaccounted"] == []
        (span,) = plant.lines[LIAR]["different"]
        assert span == [1, 10, 14] and span[1:] in liar.ranges
        assert plant.metric("unaccounted_batches") == 1
        assert plant.metric("different_ranges") == 1
        assert plant.ledger() == (
            1,
            "2 of 2 gateways have readings missing or different: "
            "leaky/gw-1 12-12, unaccounted 1:12-12; leaky/gw-2 different 1:10-14\n",
        )

        loser.send(replace(loser.batch(HIT), lane=Lane.BACKLOG))
        plant.wait(lambda x: not x[LOSER]["unaccounted"])
        assert plant.lines[LOSER]["missing"] == 0 and plant.lines[LOSER]["different"] == []
        assert plant.lines[LOSER]["verified_readings"] > 14 * SENSORS
        assert plant.metric("unaccounted_batches") == 0
        assert plant.ledger() == (
            1, "1 of 2 gateways have readings missing or different: leaky/gw-2 different 1:10-14\n"
        )  # fmt: skip
