"""Rulebooks on their way to a running gateway: a real Kafka, a real process, a link that is cut."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from edge.uplink.rules_topic import NO_TOPIC, NOT_ALLOWED, Item, RulesTopic, Seen
from jobs.common import rulebooks
from jobs.common.topics import ensure_topics
from jobs.local.link import Link
from jobs.local.mosquitto import Mosquitto
from jobs.local.ports import LOOPBACK
from tests.edge.faults.box import Box
from tests.edge.faults.box import broker as broker_settings
from tests.edge.faults.machines import FACILITY, Machines
from tests.edge.rulebooks import book, record, rule
from tests.edge.uplink.conftest import Broker
from udfs.rules.record import Rulebook, encode, record_key

pytestmark = pytest.mark.stack

LIMIT_S = 5.0  # from the push to the gateway's page
Note = Callable[[str, object], None]


class HotMachines(Machines):
    """Sensor 0 is hot all the time."""

    def values(self, second: int) -> Any:
        values = super().values(second)
        values[0] = 99.0
        return values


class Panel:
    """A panel at the site: what is retained of each alarm, by rule."""

    def __init__(self, port: int) -> None:
        self.shown: dict[str, bytes] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_message = self._take
        self._client.connect(LOOPBACK, port)
        self._client.subscribe(f"hardiot/{FACILITY}/gw-1/alarms/#", 1)
        self._client.loop_start()

    def _take(self, client: object, data: object, message: mqtt.MQTTMessage) -> None:
        rule_name = message.topic.split("/")[-2]
        if not message.payload:
            self.shown.pop(rule_name, None)
        elif b'"firing"' in message.payload:
            self.shown[rule_name] = message.payload

    def close(self) -> None:
        self._client.loop_stop()


class Site:
    """Machines, broker, gateway, and the link to Kafka."""

    def __init__(self, broker: Broker, folder: Path, mosquitto: Mosquitto) -> None:
        self.broker = broker
        uplink = {"bootstrap": f"{LOOPBACK}:{broker.listen}", "give_up_s": 3}
        self.box = Box(folder, FACILITY, mqtt=broker_settings(mosquitto.port), uplink=uplink)
        self.panel = Panel(mosquitto.port)

    def rules(self) -> dict[str, Any]:
        answer = httpx.get(f"http://{LOOPBACK}:{self.box.page}/status.json")
        return dict(answer.json()["rules"])

    def adopted(self) -> list[int]:
        """Revisions, by the gateway's log."""
        return [said["revision"] for said in self.box.events("rules_adopted")]

    def push(self, *entries: str) -> int:
        """As `hardiot rules push`. Returns: the revision."""
        known = rulebooks.read(self.broker.bootstrap)
        found = book(known.shelf.last + 1, *entries)
        rulebooks.push(self.broker.bootstrap, known, found)
        return found.revision

    def write(self, revision: int, value: bytes) -> None:
        """A record that `push` would refuse."""
        rulebooks.write(self.broker.bootstrap, [(record_key(revision, "bad"), value)])

    def wait(self, what: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
        """Seconds until it is so."""
        began_s = time.monotonic()
        while not what():
            assert time.monotonic() - began_s < limit_s, (self.rules(), self.panel.shown)
            time.sleep(0.02)
        return time.monotonic() - began_s

    def wait_for(self, revision: int, limit_s: float = LIMIT_S) -> float:
        return self.wait(lambda: self.rules()["revision"] == revision, limit_s)


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Mosquitto(folder / "mosquitto") as mosquitto:
        made = Site(broker, folder, mosquitto)
        now_ms = time.time_ns() // 10**6
        machines = HotMachines(mosquitto.port, 20, 600, 1.0, now_ms // 1000 * 1000)
        machines.start()
        try:
            yield made
        finally:
            machines.tell()
            machines.join()
            made.panel.close()
            if made.box.alive:
                made.box.kill()


@pytest.fixture
def link(site: Site) -> Iterator[Link]:
    with Link(site.broker.listen, site.broker.to) as open_link:
        if not site.box.alive:
            site.box.start()
        yield open_link


def tell(note: Note, name: str, seconds: float) -> None:
    note(name, f"{seconds:.2f}")
    sys.stderr.write(f"{name}: {seconds:.2f} s\n")


def test_a_push_reaches_a_running_gateway(
    site: Site, link: Link, record_testsuite_property: Note
) -> None:
    first = site.push(rule("hot"), rule("hotter", above=90))
    site.wait_for(first, 20)  # the first connection
    site.wait(lambda: set(site.panel.shown) == {"hot", "hotter"}, 15)
    waits = []
    for _ in range(5):
        revision = site.push(rule("hot"), rule("hotter", above=90))
        waits.append(site.wait_for(revision))
    tell(record_testsuite_property, "edge_rulebook_s", max(waits))
    assert set(site.panel.shown) == {"hot", "hotter"}
    assert site.rules()["author"] == "ana" and site.rules()["refused"] == 0


def test_the_alarm_of_a_rule_that_is_gone_is_cleared(site: Site, link: Link) -> None:
    site.wait(lambda: set(site.panel.shown) == {"hot", "hotter"}, 15)
    kept = site.panel.shown["hot"]
    site.wait_for(site.push(rule("hot")))
    site.wait(lambda: set(site.panel.shown) == {"hot"})
    assert site.panel.shown["hot"] == kept


def test_a_slow_line_is_no_excuse(site: Site, link: Link, record_testsuite_property: Note) -> None:
    link.delay_ms, link.rate_bytes_s = 300, 16_000
    site.wait_for(site.push(rule("hot")), 20)  # it has to connect again first
    waits = [
        site.wait_for(site.push(rule("hot"), *(rule(f"r{n}", above=200) for n in range(300))))
        for _ in range(3)
    ]
    tell(record_testsuite_property, "edge_rulebook_slow_line_s", max(waits))
    assert site.rules()["count"] == 301


def test_bad_ones_change_nothing(site: Site, link: Link) -> None:
    good = site.push(rule("hot"))
    site.wait_for(good)
    before = site.rules()["refused"]
    mistaken = Rulebook(good + 1, {"a.yaml": "rules:\n  - magic: 1\n"}, "a", "b", 1)
    site.write(good + 1, encode(mistaken))
    site.write(good + 2, b"\x00junk")
    site.wait(lambda: site.rules()["refused"] == before + 2)
    found = site.rules()
    assert (found["revision"], found["offered"]) == (good, good + 2)
    assert "not a rulebook" in found["why"] or "magic" in found["why"]
    assert "hot" in site.panel.shown and site.box.alive
    site.wait_for(site.push(rule("hot")))
    assert site.rules()["why"] == ""


def test_after_an_outage_the_newest(
    site: Site, link: Link, record_testsuite_property: Note
) -> None:
    before = site.push(rule("hot"))
    site.wait_for(before)
    link.cut()
    for _ in range(3):
        newest = site.push(rule("hot"), rule("hotter", above=90))
    time.sleep(6)
    assert site.rules()["revision"] == before
    link.restore()
    waited = site.wait_for(newest)
    tell(record_testsuite_property, "edge_rulebook_after_outage_s", waited)
    # the page may know it before the log
    site.wait(lambda: site.adopted()[-1] == newest)
    assert site.adopted()[-2:] == [before, newest]


def test_a_restart_without_a_network_goes_on(site: Site, link: Link) -> None:
    revision = site.push(rule("hot"), rule("hotter", above=90))
    site.wait_for(revision)
    site.wait(lambda: set(site.panel.shown) == {"hot", "hotter"}, 15)
    kept = dict(site.panel.shown)
    link.cut()
    site.box.kill()
    site.box.start()
    assert site.rules()["revision"] == revision
    time.sleep(4)
    assert site.panel.shown == kept
    assert site.rules()["offered"] == 0
    link.restore()
    site.wait_for(site.push(rule("hot")), 10)
    site.wait(lambda: set(site.panel.shown) == {"hot"})
    assert not site.box.events("rules_topic_changed")


class Reader:
    """The topic as the follower reads it, without a gateway."""

    def __init__(self, broker: Broker) -> None:
        settings = broker.settings().model_copy(update={"bootstrap": broker.bootstrap})
        self._topic = RulesTopic(settings, "test-rules")
        self._topic.begin(None)

    def until(self, what: Callable[[Seen], bool], limit_s: float) -> tuple[list[Seen], float]:
        """What came, up to what was waited for, and how long it took."""
        seen: list[Seen] = []
        began_s = time.monotonic()
        while not (seen and what(seen[-1])):
            assert time.monotonic() - began_s < limit_s, seen[-5:]
            seen.append(self._topic.look(0.5))
        return seen, time.monotonic() - began_s

    def close(self) -> None:
        self._topic.close()


def is_record(revision: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.item is not None and seen.item.key.startswith(f"{revision:08d}/")


class RenewedOnce:
    """Stands for `edge.tls.Watch`: the files changed, once."""

    def __init__(self) -> None:
        self.changes = [True]

    def changed(self) -> bool:
        return bool(self.changes) and self.changes.pop()


def test_new_certificates_make_a_new_connection_that_goes_on(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rulebooks.read(broker.bootstrap).shelf.last + 1
    rulebooks.write(broker.bootstrap, [record(first)])
    reader = Reader(broker)
    reader.until(is_record(first), 20)
    renewed = RenewedOnce()
    monkeypatch.setattr(reader._topic, "_watch", renewed)
    monkeypatch.setattr(reader._topic, "_looked_s", 0.0)
    reader.until(lambda seen: seen.at_end, 20)
    assert not renewed.changes
    rulebooks.write(broker.bootstrap, [record(first + 1)])
    seen, _ = reader.until(is_record(first + 1), 20)
    assert len([each for each in seen if each.item]) == 1
    reader.close()


def test_a_right_that_comes_later(broker: Broker, record_testsuite_property: Note) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    who = ("rules", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    what = (AclOperation.ALL, AclPermissionType.DENY)
    for made in admin.create_acls([AclBinding(ResourceType.TOPIC, *who, *what)]).values():
        made.result()
    reader = Reader(broker)
    seen, _ = reader.until(lambda seen: seen.trouble == NOT_ALLOWED, 20)
    assert not [each for each in seen if each.item]
    for gone in admin.delete_acls([AclBindingFilter(ResourceType.TOPIC, *who, *what)]).values():
        gone.result()
    _, waited = reader.until(lambda seen: seen.at_end, 60)
    tell(record_testsuite_property, "edge_rules_right_later_s", waited)
    reader.close()


def test_a_topic_that_comes_later(broker: Broker, record_testsuite_property: Note) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.delete_topics(["rules"])["rules"].result()
    while "rules" in admin.list_topics(timeout=10).topics:  # the broker may know it a while longer
        time.sleep(0.2)
    reader = Reader(broker)
    seen, _ = reader.until(lambda seen: seen.trouble == NO_TOPIC, 20)
    assert len([each for each in seen if each.trouble]) < 5
    ensure_topics(broker.bootstrap, [FACILITY])
    rulebooks.write(broker.bootstrap, [record(1)])
    seen, waited = reader.until(is_record(1), 60)
    tell(record_testsuite_property, "edge_rules_topic_later_s", waited)
    assert isinstance(seen[-1].item, Item)
    reader.close()
