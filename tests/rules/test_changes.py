"""Rules that change under a running detect_anomalies: Kafka, Flink, and the command's own way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from confluent_kafka import Producer

from jobs.common import rulebooks
from jobs.common.tail import Tail
from tests.rules.cluster import CHANGING, FOLDER_RULE, Cluster, rule, until
from udfs import catalogue
from udfs.batch import Batch, encode
from udfs.rules.record import Rulebook

pytestmark = pytest.mark.stack

FACILITY, GATEWAY = CHANGING, "gw-1"
WITHIN_S = 5.0
Told = tuple[str, str, float]  # rule, status, when it was read


@dataclass
class Plant:
    """One sensor, five readings a second, and what is told of it."""

    cluster: Cluster
    value: float = 50.0
    told: list[Told] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def bootstrap(self) -> str:
        return self.cluster.stack.bootstrap

    def send(self) -> None:
        text = ("line-1.pressure",), ("bar",), ("pressure",), ("line-1",)
        limits = np.zeros(1), np.full(1, 1e6), np.full(1, 200, np.int32)
        made = catalogue.Catalogue(FACILITY, GATEWAY, 1, *text, *limits)
        producer = Producer({"bootstrap.servers": self.bootstrap})
        producer.produce("catalogue", catalogue.encode(made), made.key)
        sequence = 0
        while not self.stop.wait(0.2):
            value = np.array([self.value])
            batch = Batch(FACILITY, GATEWAY, 1, sequence, time.time_ns() // 10**6, value)
            producer.produce(f"readings.{FACILITY}", encode(batch), GATEWAY)
            producer.poll(0)
            sequence += 1
        producer.flush(5)

    def hear(self) -> None:
        with Tail(self.bootstrap, ["alerts"], from_start=True, committed=False) as tail:
            while not self.stop.is_set():
                for message in tail.poll(0.1):
                    alert = json.loads(message.value)
                    if alert["facility"] == FACILITY:
                        self.told.append((alert["rule"], alert["status"], message.read_s))

    def push(self, *rules: str, reason: str = "test") -> int:
        """A new rulebook. Returns: its revision."""
        known = rulebooks.read(self.bootstrap)
        files = {"plant.yaml": "rules:" + "".join(rules)}
        book = Rulebook(known.shelf.last + 1, files, "test", reason, time.time_ns() // 10**6)
        rulebooks.push(self.bootstrap, known, book)
        return book.revision

    def again(self, revision: int) -> None:
        """The rules of an earlier revision as a new one: what `hardiot rules rollback` does."""
        known = rulebooks.read(self.bootstrap)
        files = known.shelf.rulebook(revision).files
        book = Rulebook(known.shelf.last + 1, files, "test", "back", time.time_ns() // 10**6)
        rulebooks.push(self.bootstrap, known, book)

    def wait_for(self, *wanted: tuple[str, str], since: int, limit_s: float = 30) -> float:
        """Until all of these were told. Returns: when the last one was."""
        until(lambda: set(wanted) <= {each[:2] for each in self.told[since:]}, limit_s)
        return max(each[2] for each in self.told[since:] if each[:2] in wanted)


def wait_for_checkpoint(plant: Plant) -> None:
    """Until one is completed that began from now on."""
    now_ms = time.time_ns() // 10**6

    def newer() -> bool:
        latest = plant.cluster.stack.rest.checkpoints(plant.cluster.job)["latest"]["completed"]
        return latest is not None and latest["trigger_timestamp"] > now_ms

    until(newer)


@pytest.fixture
def plant(cluster: Cluster) -> Iterator[Plant]:
    made = Plant(cluster)
    threads = [threading.Thread(target=each, daemon=True) for each in (made.send, made.hear)]
    try:
        for thread in threads:
            thread.start()
        yield made
    finally:
        made.stop.set()
        for thread in threads:
            thread.join(10)


def test_rules_change_while_the_job_runs(
    plant: Plant, record_testsuite_property: Callable[[str, object], None]
) -> None:
    def took(what: str, seconds: float) -> None:
        record_testsuite_property(what, round(seconds, 2))

    plant.wait_for((FOLDER_RULE, "firing"), since=0, limit_s=90)
    assert plant.cluster.metric("rules_revision") == 0

    # a push: the new rule fires, and the alert of the old one is resolved
    since, began_s = len(plant.told), time.time()
    first = plant.push(rule("pushed", 45))
    at_s = plant.wait_for((FOLDER_RULE, "resolved"), ("pushed", "firing"), since=since)
    took("push_to_alert_s", at_s - began_s)
    assert at_s - began_s < WITHIN_S and first == 1
    assert len(plant.told) == since + 2

    # what nobody can read changes nothing, and is counted
    since = len(plant.told)
    rulebooks.write(plant.bootstrap, [("00000002/x", b'{"contract": "other"}')])
    rulebooks.write(plant.bootstrap, [("rubbish", b"rubbish")])
    until(lambda: plant.cluster.metric("rulebooks_refused") == 2)
    assert plant.cluster.metric("rules_revision") == 1 and plant.told[since:] == []

    # the next good one ends that
    assert plant.push(rule("third", 60)) == 3
    plant.wait_for(("pushed", "resolved"), since=since)
    until(lambda: plant.cluster.metric("rulebooks_refused") == 0)

    # kill -9: the job goes on by the rules that it had
    wait_for_checkpoint(plant)
    since, began_s = len(plant.told), time.time()
    (ident,) = plant.cluster.stack.rest.taskmanagers_of(plant.cluster.job)
    names = {child.log.stem: name for name, child in plant.cluster.stack.children.items()}
    plant.cluster.stack.kill(names[ident])
    plant.value = 70.0
    took("kill_to_alert_s", plant.wait_for(("third", "firing"), since=since, limit_s=90) - began_s)
    assert {each[0] for each in plant.told[since:]} == {"third"}
    assert plant.cluster.metric("rules_revision") == 3

    # back to the first: what it finds fires, under a new number
    since, began_s = len(plant.told), time.time()
    plant.again(first)
    at_s = plant.wait_for(("third", "resolved"), ("pushed", "firing"), since=since)
    took("rollback_to_alert_s", at_s - began_s)
    assert plant.cluster.metric("rules_revision") == 4
