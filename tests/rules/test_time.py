"""What is about silence, on a real cluster: within a second of its time, though no data arrives.

Deadlines are event time, the figures wall clock: from a deadline until the alert can be read from
Kafka. Gateways have ticks of a second and send each 150 ms after its end, as the edge does.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from jobs.common import rulebooks
from jobs.common.tail import Tail
from tests.rules.cluster import TIMING, Cluster, until
from tests.rules.gateways import AFTER_MS, KINDS, TICK_MS, Gateway, now_ms
from udfs import condition_events
from udfs.alerts import AlertEvent, from_json
from udfs.rules.record import Rulebook

pytestmark = pytest.mark.stack

WITHIN_S, SILENT_S = 5, 4
RULES = f"""
rules:
  - name: mute
    sensors: {{facility: {TIMING}, name: "*.level"}}
    condition: {{no_data: {{for_s: {WITHIN_S}, of: sensor}}}}
    severity: warning
    text: "{{sensor}} is mute"
  - name: unanswered
    events:
      hot:
        sensors: {{facility: {TIMING}, name: "*.heat"}}
        condition: {{threshold: {{above: 80}}}}
      cool:
        sensors: {{facility: {TIMING}, name: "*.flow"}}
        condition: {{threshold: {{above: 0}}}}
    pattern: {{sequence: [hot, {{not: cool}}], within_s: {WITHIN_S}}}
    clear: {{after_s: 1}}
    severity: warning
    text: "{{asset}} is hot and has no flow"
  - name: silent
    sensors: {{facility: {TIMING}}}
    condition: {{no_data: {{for_s: {SILENT_S}, of: gateway}}}}
    severity: critical
    text: "{{gateway}} is silent"
"""
# machines by when in a tick their readings are: on its boundary, just behind, and later
OFFSETS = {"at-0": 0, "at-1": 1, "at-500": 500, "at-999": 999}
CALM = {f"{each}.{kind}": 20.0 if kind == "heat" else 0.0 for each in OFFSETS for kind in KINDS}

Took = Callable[[str, float], None]


@dataclass
class Heard:
    """Alerts of a gateway and when each could be read, wall clock in ms."""

    gateway: str
    told: list[tuple[AlertEvent, int]] = field(default_factory=list)

    def since(self, start: int) -> set[tuple[str, str, str, bool]]:
        """Rule, subject, status, and whether it is late, of all from a place on."""
        return {(e.rule, e.subject, e.status, e.late) for e, _ in self.told[start:]}

    def after_s(self, rule: str, subject: str, deadline_ms: int) -> float:
        """From the deadline until its firing could be read, in seconds."""
        ((_, read_ms),) = [
            each
            for each in self.told
            if (each[0].rule, each[0].subject, each[0].status) == (rule, subject, "firing")
            and each[0].event_ms == deadline_ms
        ]
        return (read_ms - deadline_ms) / 1000


@contextmanager
def hearing(bootstrap: str, *all_heard: Heard) -> Iterator[None]:
    stop, by_name = threading.Event(), {each.gateway: each for each in all_heard}

    def listen() -> None:
        with Tail(bootstrap, ["alerts"], from_start=True, committed=False) as tail:
            while not stop.is_set():
                for message in tail.poll(0.05):
                    alert = from_json(message.value)
                    if alert.facility == TIMING and alert.gateway in by_name:
                        told = alert, round(message.read_s * 1000)
                        by_name[alert.gateway].told.append(told)

    with running(listen):
        try:
            yield
        finally:
            stop.set()


@contextmanager
def running(*loops: Callable[[], None]) -> Iterator[None]:
    threads = [threading.Thread(target=each, daemon=True) for each in loops]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(10)


@pytest.fixture(scope="module")
def bootstrap(cluster: Cluster) -> str:
    """The cluster, once the job goes by RULES."""
    address = cluster.stack.bootstrap
    known = rulebooks.read(address)
    book = Rulebook(known.shelf.last + 1, {"time.yaml": RULES}, "test", "time", now_ms())
    rulebooks.push(address, known, book)
    return address


@pytest.fixture
def took(
    record_testsuite_property: Callable[[str, object], None],
) -> Took:
    def say(what: str, seconds: float) -> None:
        sys.stdout.write(f"{what}: {seconds:.3f} s\n")
        record_testsuite_property(what, round(seconds, 3))

    return say


@contextmanager
def sending(gateway: Gateway) -> Iterator[None]:
    with running(gateway.run):
        try:
            yield
        finally:
            gateway.stop.set()


def in_ticks(count: int) -> int:
    """The beginning of a tick that is to come."""
    return (now_ms() // TICK_MS + count) * TICK_MS


def wait_until(at_ms: int) -> None:
    time.sleep(max(0.0, (at_ms - now_ms()) / 1000))


def prove_alive(gateway: Gateway, heard: Heard) -> None:
    """Until the job judges it: a machine runs hot and its flow answers too late, then it clears."""
    hot_ms = in_ticks(1)
    gateway.plan[hot_ms] = CALM | {"at-0.heat": 90.0}
    until(lambda: ("unanswered", "at-0", "resolved", False) in heard.since(0), 90)


def test_what_is_about_silence_is_told_in_time(bootstrap: str, took: Took) -> None:
    live, slow = Gateway(bootstrap, "live", OFFSETS, usual=CALM), slow_gateway(bootstrap)
    heard, of_slow = Heard("live"), Heard("slow")
    with hearing(bootstrap, heard, of_slow), sending(live), sending(slow):
        prove_alive(live, heard)
        sensors_stop(live, heard, took)
        gateway_stops(live, heard, took)
    check_slow(slow, of_slow, took)
    check_condition_events(bootstrap)


def sensors_stop(gateway: Gateway, heard: Heard, took: Took) -> None:
    """Levels stop, and machines run hot without flow: all but one, which is answered in time."""
    since, last_ms = len(heard.told), in_ticks(2)
    gateway.plan[last_ms] = CALM | {f"{each}.heat": 90.0 for each in OFFSETS}
    for tick in range(1, 7):
        gateway.plan[last_ms + tick * TICK_MS] = {
            name: value for name, value in CALM.items() if not name.endswith(".level")
        } | ({"at-999.flow": 1.0} if tick == 4 else {})
    wait_until(last_ms + 8 * TICK_MS)
    mute = {("mute", f"{each}.level", "firing", False) for each in OFFSETS}
    absent = {("unanswered", each, "firing", False) for each in ("at-0", "at-1", "at-500")}
    assert {each for each in heard.since(since) if each[2] == "firing"} == mute | absent
    found = [("mute", f"{each}.level", each) for each in OFFSETS]
    found += [("unanswered", each, each) for each in ("at-0", "at-1", "at-500")]
    for rule, subject, machine in found:
        deadline_ms = last_ms + OFFSETS[machine] + WITHIN_S * 1000
        seconds = heard.after_s(rule, subject, deadline_ms)
        took(f"{rule}_{machine}_after_deadline_s", seconds)
        # what proves it is the batch of the tick in which the deadline lies: it ends with the tick
        rest_s = (-deadline_ms % TICK_MS) / 1000
        assert 0 <= seconds < rest_s + 1.0
        assert seconds < 1.0 or rest_s > 0.8
    until(lambda: count_open(heard) == 0)


def count_open(heard: Heard) -> int:
    """Alerts that fired and were not resolved."""
    fired, ended = (
        {event.id for event, _ in heard.told if event.status == status}
        for status in ("firing", "resolved")
    )
    return len(fired - ended)


def gateway_stops(gateway: Gateway, heard: Heard, took: Took) -> None:
    """Cut off as two machines run hot. Its spool has the truth: one was answered, and meanwhile a
    level stopped for a while."""
    since, cut_ms = len(heard.told), in_ticks(3)
    out_s = 11
    gateway.plan[cut_ms - TICK_MS] = CALM | {"at-0.heat": 90.0, "at-500.heat": 90.0}
    for tick in range(out_s):
        row = CALM | ({"at-0.flow": 1.0} if tick == 2 else {})
        if 1 <= tick < 8:
            row = {name: value for name, value in row.items() if name != "at-1.level"}
        gateway.plan[cut_ms + tick * TICK_MS] = row
    wait_until(cut_ms + AFTER_MS + TICK_MS // 2)  # the tick before it was sent
    gateway.linked = False
    wait_until(cut_ms + out_s * TICK_MS + AFTER_MS + TICK_MS // 2)
    assert heard.since(since) == {("silent", "gateway", "firing", False)}
    ((_, read_ms),) = heard.told[since:]
    seconds = (read_ms - gateway.sent[cut_ms - TICK_MS]) / 1000 - SILENT_S
    took("gateway_silent_after_deadline_s", seconds)
    assert 0 <= seconds < 1.0

    gateway.linked = True
    truth = {
        ("silent", "gateway", "resolved", False),
        *(("unanswered", "at-500", status, True) for status in ("firing", "resolved")),
        *(("mute", "at-1.level", status, True) for status in ("firing", "resolved")),
    }
    until(lambda: truth <= heard.since(since + 1))
    time.sleep(WITHIN_S + 1)  # and nothing more comes of it
    assert heard.since(since + 1) == truth and len(heard.told) == since + 1 + len(truth)


def check_condition_events(bootstrap: str) -> None:
    """They are there for whoever looks for patterns of their own; those of the backlog are late."""
    with Tail(bootstrap, ["condition-events"], from_start=True) as tail:
        events = [condition_events.from_json(message.value) for message in tail.rest()]
    found = {(each.gateway, each.event, each.phase, each.late) for each in events}
    assert {("live", "hot", "begin", False), ("live", "cool", "begin", True)} <= found
    assert ("slow", "hot", "begin", False) in found


SLOW = {"on": 0, "off": 500}  # machines of the slow gateway, by when in a tick they are read


def slow_gateway(bootstrap: str) -> Gateway:
    """One reading in 20 s of each sensor, in two ticks; the last ones are hot."""
    gateway = Gateway(bootstrap, "slow", SLOW, period_ms=20_000)
    first_ms = in_ticks(2)
    for begin_ms, heat in ((first_ms, 20.0), (first_ms + 20_000, 90.0)):
        gateway.plan[begin_ms] = {f"{each}.flow": 0.0 for each in SLOW}
        gateway.plan[begin_ms + TICK_MS] = {f"{each}.heat": heat for each in SLOW}
    return gateway


def check_slow(gateway: Gateway, heard: Heard, took: Took) -> None:
    """Nothing arrives at the deadlines, or near them."""
    hot_ms = max(gateway.plan)
    assert max(gateway.sent) == hot_ms
    firing = [each for each in heard.told if each[0].status == "firing"]
    assert {each[0].rule for each in firing} == {"unanswered"} and len(firing) == len(SLOW)
    for machine, offset_ms in SLOW.items():
        seconds = heard.after_s("unanswered", machine, hot_ms + offset_ms + WITHIN_S * 1000)
        took(f"slow_gateway_{machine}_boundary_after_deadline_s", seconds)
        assert 0 <= seconds < 1.0
