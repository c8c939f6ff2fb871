"""One real site on the session's cluster: machines, broker, gateway, and a link that is cut.

    machines -> Mosquitto -> Link -> gateway (a process, killed twice) -> Link (cut once) -> Kafka

The broker is some way off, so each kill costs acknowledgements: what is on disk comes once more.
Times are seconds after the first tick.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from edge.simulator.faults import Fault
from edge.simulator.links import LinkFaults
from edge.simulator.progress import Summary
from edge.simulator.run import simulate
from edge.simulator.settings import BrokerSettings, SimulatorSettings
from jobs.common.topics import ensure_topics
from jobs.local.link import Link
from jobs.local.mosquitto import Mosquitto
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.stack import Stack
from tests.edge.faults.box import Box, broker

# not a name that the simulator gives, so that no other simulation writes to its topics
FACILITY, GATEWAY = "edge-site", "gw-1"
MACHINES = "plant-0001"  # what the machines call themselves
SENSORS = 1000
CUT_S, RESTORE_S, END_S = 14, 34, 60
KILLS_S = (20, 35.5)  # in the outage, and while its backlog is on its way
LIVE_WITHIN_S = 3
BROKER_MS = 400  # from gateway to broker
# each is over before the next event: what outlasts an outage has a second id in the cloud
FAULTS_S = {5: 5, 20: 6, 50: 5}  # seconds: for so long


class Stored(NamedTuple):
    """A record, and when the broker appended it."""

    at_ms: int
    value: bytes


@dataclass
class Run:
    """What was done to the site, and when, in wall clock milliseconds."""

    stack: Stack
    settings: SimulatorSettings
    box: Box
    near: Link  # to the broker
    summary: Summary | None = None
    cut_ms: int = 0
    restored_ms: int = 0
    started_ms: list[int] = field(default_factory=list)  # after each kill
    repeats: list[int] = field(default_factory=list)  # before each kill, and at the end

    @property
    def start_ms(self) -> int:
        assert self.settings.start_ms is not None
        return self.settings.start_ms

    def wait_until(self, second: float) -> None:
        time.sleep(max(0.0, self.start_ms / 1000 + second - time.time()))

    def kill(self) -> None:
        """kill -9 just after a commit, with its acknowledgements on their way; start it again."""
        self.note_repeats()
        before = self.status()["spool"]["stored"]
        while self.status()["spool"]["stored"] < before + SENSORS / 2:
            assert wall_ms() < self.start_ms + END_S * 1000, self.status()
        self.near.cut()
        self.box.kill()
        self.near.restore()
        self.box.start()
        self.started_ms.append(wall_ms())

    def note_repeats(self) -> None:
        """Readings that came again since the process began, for those after each start."""
        self.repeats.append(self.status()["dropped"].get("repeat", 0))

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        return dict(httpx.get(f"http://{LOOPBACK}:{self.box.page}/status.json").json())

    def stored(self, family: str) -> list[Stored]:
        """All records of the site's topic of a family, in the order in which they came."""
        return stored(self.stack.bootstrap, f"{family}.{FACILITY}")


def wall_ms() -> int:
    return time.time_ns() // 10**6


def machines(port: int) -> SimulatorSettings:
    return SimulatorSettings(
        mqtt=BrokerSettings(host=LOOPBACK, port=port),
        facilities=1,
        sensors=SENSORS,
        seconds=END_S,
        seed=7,
        start_ms=good_start_ms(wall_ms() + 1000),
        faults=tuple(
            Fault(kind="step", sensors="pump-00?.bearing-temperature", size=48, from_s=at, for_s=n)
            for at, n in FAULTS_S.items()
        ),
        links=LinkFaults(duplicates=0.02),
    )


def good_start_ms(now_ms: int) -> int:
    """The next second from which a minute ends where it is of use.

    A minute is final when a later batch came: so that one that lies in the outage is final, a
    minute has to end after it began, by 24 s, or within the 10 s of empty ticks after the end.
    """
    second = -(-now_ms // 1000)
    if 36 < second % 60 < 53:
        second += 53 - second % 60
    return second * 1000


def run_site(stack: Stack, folder: Path) -> Run:
    """The whole story. Returns: when the gateway has nothing more to send."""
    ensure_topics(stack.bootstrap, [FACILITY])
    near_port = free_ports(1)[0]
    with (
        Mosquitto(folder / "mosquitto") as mosquitto,
        Link(near_port, mosquitto.port) as near,
        Link(*stack.link_ports) as link,
    ):
        near.delay_ms = BROKER_MS
        uplink = {
            "bootstrap": f"{LOOPBACK}:{stack.link_ports[0]}",
            "live_within_s": LIVE_WITHIN_S,
            "give_up_s": 3,
            "ledger_s": 2,
        }
        box = Box(folder, FACILITY, mqtt=broker(near_port), uplink=uplink)
        box.start()
        try:
            run = Run(stack, machines(mosquitto.port), box, near)
            _play(run, link)
            assert box.stop() == 0
            return run
        finally:
            if box.alive:
                box.kill()


def _play(run: Run, link: Link) -> None:
    run.wait_until(0)
    sending = Thread(target=_send, args=(run,))
    sending.start()
    run.wait_until(CUT_S)
    run.cut_ms = wall_ms()
    link.cut()
    run.wait_until(KILLS_S[0])
    run.kill()
    run.wait_until(RESTORE_S)
    run.restored_ms = wall_ms()
    link.restore()
    run.wait_until(KILLS_S[1])
    run.kill()
    sending.join()
    # ten seconds of empty ticks, and the word that tells of them
    run.wait_until(END_S + 10 + 3)
    run.note_repeats()


def _send(run: Run) -> None:
    run.summary = simulate(run.settings, lambda progress: None)


def stored(bootstrap: str, topic: str) -> list[Stored]:
    """All committed records of a topic of one partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test-site",
                         "enable.auto.commit": False, "log_level": 0})  # fmt: skip
    place = TopicPartition(topic, 0, OFFSET_BEGINNING)
    end = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.assign([place])
    found: list[Stored] = []
    deadline = time.monotonic() + 30
    while consumer.position([place])[0].offset < end and end:
        assert time.monotonic() < deadline, f"{topic}: not read to its end {end}"
        for item in consumer.consume(500, 0.2):
            assert item.error() is None, item.error()
            found.append(Stored(item.timestamp()[1], item.value() or b""))
    consumer.close()
    return found
