"""The uplink on a real Kafka, over a link that is cut, half open, slow, or leads to refusals."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest

from edge.settings import UplinkSettings
from edge.spool import Log
from edge.uplink.admission import AdmissionReader
from edge.uplink.kafka import KafkaTransport
from edge.uplink.lanes import Lane
from edge.uplink.transport import Delivery, Fault
from edge.uplink.uplink import Uplink
from jobs.admission import run as admission
from jobs.common.tail import Message, Tail
from jobs.local.link import Link
from tests.edge.uplink.conftest import Broker
from tests.edge.uplink.fakes import FACILITY, GATEWAY, FakeRegistry, FakeSpool, NotingSpeaker
from udfs import batch
from udfs.ledger import decode_word

pytestmark = pytest.mark.stack

TICK_MS = 100


class Gateway:
    """A spool that gets a batch each 100 ms, and the uplink in its thread."""

    def __init__(self, settings: UplinkSettings, epoch: int, **more: object) -> None:
        self.spool, self.speaker = FakeSpool(), NotingSpeaker()
        self.spool.epoch = epoch
        self.transport = KafkaTransport(settings, "test")
        self.uplink = Uplink(
            settings, FACILITY, GATEWAY, self.spool, FakeRegistry(), self.transport, self.speaker,
            tick_ms=TICK_MS, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.uplink.run, args=(self._stop,), daemon=True)

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(15)
        assert not self._thread.is_alive()

    def work(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.spool.append_batch(time.time_ns() // 10**6 - TICK_MS, readings=50)
            self.uplink.wake()
            time.sleep(TICK_MS / 1000)

    def settle(self, limit_s: float = 40) -> None:
        end_s = time.monotonic() + limit_s
        while any(self.spool.pending(log) for log in Log):
            assert time.monotonic() < end_s, self.spool.pending(Log.RAW)
            time.sleep(0.05)


def read(broker: Broker, *families: str) -> list[Message]:
    topics = [f"{family}.{FACILITY}" for family in families]
    with Tail(broker.bootstrap, topics, from_start=True) as tail:
        return tail.rest()


def numbers(messages: list[Message], epoch: int) -> list[int]:
    found = [batch.decode(item.value) for item in messages]
    return [item.sequence for item in found if item.epoch == epoch]


def test_a_link_that_is_cut_for_20_s_loses_nothing_and_live_goes_first(broker: Broker) -> None:
    settings = broker.settings(give_up_s=5, live_within_s=3, ledger_s=2)
    with Link(broker.listen, broker.to) as link, Gateway(settings, epoch=11) as gateway:
        gateway.work(3)
        assert gateway.uplink.connected
        link.cut()
        gateway.work(20)
        assert not gateway.uplink.connected
        assert gateway.uplink.counts.unanswered[Lane.LIVE] > 50
        waited = gateway.uplink.backlog()
        assert waited > 100
        gateway.spool.append_alert(1)
        link.restore()
        gateway.work(2)
        gateway.settle()
    live = numbers(read(broker, "readings"), 11)
    backlog = numbers(read(broker, "backlog"), 11)
    counted = Counter(live + backlog)
    assert sorted(counted) == list(range(gateway.spool.next_sequence))
    assert live == sorted(live)
    assert len(backlog) >= waited
    assert len(read(broker, "edge-alerts")) == 1
    words = [decode_word(item.value) for item in read(broker, "ledger")]
    assert [word for word in words if word.pending] != []
    assert gateway.uplink.counts.live_ack.durations().count > 20


def test_a_half_open_link_is_noticed_and_duplicates_are_by_number(broker: Broker) -> None:
    settings = broker.settings(give_up_s=4, live_within_s=2)
    with Link(broker.listen, broker.to) as link, Gateway(settings, epoch=12) as gateway:
        gateway.work(2)
        link.stall()
        gateway.work(9)
        assert gateway.uplink.in_flight_bytes <= settings.in_flight_bytes * 1.25
        assert gateway.uplink.counts.unanswered[Lane.LIVE] > 30
        link.restore()
        gateway.work(2)
        gateway.settle()
    counted = Counter(numbers(read(broker, "readings", "backlog"), 12))
    assert sorted(counted) == list(range(gateway.spool.next_sequence))
    assert len(gateway.speaker.told) == gateway.spool.next_sequence


def test_live_stays_live_on_a_slow_link(broker: Broker) -> None:
    settings = broker.settings(give_up_s=10)
    with Link(broker.listen, broker.to) as link, Gateway(settings, epoch=13) as gateway:
        link.delay_ms = 150
        gateway.work(6)
        gateway.settle()
    live = numbers(read(broker, "readings"), 13)
    assert live == list(range(gateway.spool.next_sequence))
    assert numbers(read(broker, "backlog"), 13) == []


def answers(transport: KafkaTransport, count: int, limit_s: float = 25) -> list[Delivery]:
    found: list[Delivery] = []
    end_s = time.monotonic() + limit_s
    while len(found) < count and time.monotonic() < end_s:
        found += transport.poll(time.time_ns() // 10**6)
        time.sleep(0.01)
    return found


def test_what_kafka_refuses_is_told_by_reason(broker: Broker) -> None:
    with Link(broker.listen, broker.to):
        transport = KafkaTransport(broker.settings(give_up_s=10, compression="none"), "test")
        sizes = {1: 100, 2: 7_000_000, 3: 17_000_000}
        for token, size in sizes.items():
            assert transport.produce(f"readings.{FACILITY}", "test", bytes(size), {}, token)
        assert transport.produce("readings.nobody", "test", b"x", {}, 4)
        found = {item.token: item.fault for item in answers(transport, 4)}
        transport.close(1)
    refused = {2: Fault.TOO_LARGE, 3: Fault.TOO_LARGE, 4: Fault.REFUSED}
    assert found == {1: None} | refused


def test_nobody_there_at_start(broker: Broker) -> None:
    transport = KafkaTransport(broker.settings(give_up_s=2), "test")
    assert transport.produce("readings.x", "k", b"v", {}, 1)
    assert answers(transport, 1) == [Delivery(1, Fault.UNANSWERED, "Local: Message timed out")]
    assert not transport.connected and transport.trouble
    assert transport.produce("readings.x", "k", b"v", {}, 2)
    assert [item.token for item in transport.close(0.1)] == [2]


def test_backlog_waits_for_the_tokens_of_a_desk(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.admission.desk.LIFE_MS", 3_000)
    monkeypatch.setattr(admission, "RENEW_MS", 1_000)
    settings = broker.settings(admission="required", live_within_s=1, ledger_s=1)
    with Link(broker.listen, broker.to):
        reader = AdmissionReader(settings, FACILITY, GATEWAY)
        gateway = Gateway(settings, epoch=14, token=reader.poll)
        old_ms = time.time_ns() // 10**6 - 60_000
        for number in range(100):
            gateway.spool.append_batch(old_ms + number * TICK_MS, readings=50)
        with gateway:
            gateway.work(4)
            waited = gateway.uplink.backlog()
            assert waited >= 100
            desk = threading.Thread(target=admission.admit, args=(broker.bootstrap, 1e6, 20))
            desk.start()
            gateway.work(8)
            gateway.settle()
            desk.join()
        reader.close()
    assert len(numbers(read(broker, "backlog"), 14)) >= waited


class RenewedOnce:
    """Stands for `edge.tls.Watch`: the files changed, once."""

    problem = ""

    def __init__(self) -> None:
        self.changes = [True]

    def changed(self) -> bool:
        return bool(self.changes) and self.changes.pop()


def test_new_certificates_make_a_new_connection_and_the_old_one_is_drained(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Link(broker.listen, broker.to) as link:
        link.delay_ms = 200
        transport = KafkaTransport(broker.settings(), "test")
        monkeypatch.setattr(transport, "_watch", RenewedOnce())
        for token in range(1, 20):
            assert transport.produce(f"readings.{FACILITY}", "renewed", b"junk", {}, token)
            transport.poll(time.time_ns() // 10**6)
        assert transport.renewals == 1
        found = answers(transport, 19)
        assert {item.token for item in found} == set(range(1, 20))
        assert {item.fault for item in found} == {None}
        assert transport.connected and transport.close(1) == []
        assert len(transport._old) == 0
