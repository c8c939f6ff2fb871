"""Rules that change at a running gateway: the ids of the cloud, through kills at every moment."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from edge.alarms import AlarmBoard
from edge.prescreen import Prescreen
from edge.rulebooks import PREFIX
from edge.rules import RULES
from edge.simulator.faults import Fault
from edge.simulator.settings import SimulatorSettings
from tests.edge.rig import START_MS, Site
from udfs.alerts import FIRING, RESOLVED, AlertEvent
from udfs.rules.record import Rulebook

HOT = Fault(kind="step", sensors="pump-00?.bearing-temperature", size=48, from_s=20, for_s=200)
OF_TODAY = {path.name: path.read_text() for path in RULES.glob("*.yaml")}
LIMIT = """
  - name: bearing-{name}
    sensors: {{kind: temperature, name: "*bearing-temperature"}}
    condition: {{threshold: {{above: {above}, for_s: 3}}}}
    severity: critical
    text: "{{sensor}}"
"""


def site(tmp_path: Path, **settings: object) -> Site:
    machines = SimulatorSettings(
        facilities=1, sensors=100, start_ms=START_MS, batches=10**6, faults=(HOT,)
    )
    return Site(tmp_path / "spool", machines, settings=settings)


def book(revision: int, *names: str, all_of_today: bool = True) -> Rulebook:
    """The rules of today, and one rule for each name."""
    more = "rules:" + "".join(LIMIT.format(name=name, above=75) for name in names)
    files = {**(OF_TODAY if all_of_today else {}), "more.yaml": more if names else "rules: []"}
    return Rulebook(revision, files, "ana", "test", START_MS)


def again(found: Site) -> None:
    found.kill()
    found.start()


def told(events: list[AlertEvent]) -> Counter[tuple[str, str, str]]:
    return Counter((e.rule, e.id, e.status) for e in events if e.subject != "gateway")


def same_ids(found: Site) -> None:
    ours = told(found.cloud.edge_alerts)
    assert ours == told([event for _, event in found.cloud.alerts])
    assert set(ours.values()) == {1}


def test_cloud_and_edge_give_the_same_ids_after_a_change(tmp_path: Path) -> None:
    found = site(tmp_path)
    found.run(40)
    found.push(book(1, "one", "two"))
    found.run(20)
    found.push(book(2, "two", "three"))
    found.run(20)
    found.settle(15)
    same_ids(found)
    statuses = {
        rule: {status for name, _, status in told(found.cloud.edge_alerts) if name == rule}
        for rule in ("bearing-one", "bearing-two", "bearing-three")
    }
    assert statuses == {
        "bearing-one": {FIRING, RESOLVED},
        "bearing-two": {FIRING},
        "bearing-three": {FIRING},
    }
    firing = {event.rule for event in found.prescreen.firing.events()}
    assert {"bearing-two", "bearing-three", "bearing-temperature-critical"} <= firing


@pytest.mark.parametrize("checkpoint_s", [5, 1000])
@pytest.mark.parametrize("kill_s", [0, 1, 7])
def test_a_kill_after_a_change_tells_nothing_twice(
    tmp_path: Path, kill_s: int, checkpoint_s: int
) -> None:
    found = site(tmp_path, spool={"checkpoint_s": checkpoint_s})
    found.run(40)
    found.push(book(1, "one"))
    found.run(kill_s)
    again(found)
    assert found.prescreen.revision == 1
    found.run(10)
    found.push(book(2, "two"))
    found.run(kill_s)
    again(found)
    again(found)
    found.run(10)
    found.settle(15)
    same_ids(found)
    assert [path.name for path in found.folder.glob(PREFIX + "*")] == [f"{PREFIX}2"]


def test_a_kill_between_writing_and_adopting(tmp_path: Path) -> None:
    """What came since the checkpoint was judged by the old rules, and is so again."""
    found = site(tmp_path, spool={"checkpoint_s": 1000})
    found.push(book(1, "one"))
    found.run(40)  # `one` has fired; the checkpoint is older
    found.push(book(2, "two"), adopted=False)
    again(found)
    assert found.core.counts["replayed"] == 40
    assert found.prescreen.revision == 2
    assert {event.rule for event in found.prescreen.firing.events()} >= {"bearing-one"}
    found.run(20)
    found.settle(15)
    same_ids(found)
    rules = {(rule, status) for rule, _, status in told(found.cloud.edge_alerts)}
    assert {("bearing-one", RESOLVED), ("bearing-two", FIRING)} <= rules


def test_a_change_during_an_outage(tmp_path: Path) -> None:
    """The gateway's alerts come up after it, under the ids of the rules that it had."""
    found = site(tmp_path)
    found.transport.outages = [(START_MS + 30_000, START_MS + 60_000)]
    found.run(40)
    found.push(book(1, "one"))
    found.run(10)
    again(found)
    found.run(40)
    found.settle(15)
    ours = told(found.cloud.edge_alerts)
    assert set(ours.values()) == {1}
    assert ("bearing-one", FIRING) in {(rule, status) for rule, _, status in ours}


def test_a_restart_with_a_damaged_file_falls_back_to_the_folder(tmp_path: Path) -> None:
    found = site(tmp_path, spool={"checkpoint_s": 5})
    found.push(book(1, "one"))
    found.run(40)
    (path,) = found.folder.glob(PREFIX + "*")
    path.write_bytes(path.read_bytes()[:-3])
    again(found)
    assert found.prescreen.revision == 0 and found.books.refused == 1
    found.run(10)
    found.settle(5)
    rules = {(rule, status) for rule, _, status in told(found.cloud.edge_alerts)}
    assert ("bearing-one", RESOLVED) in rules


def test_rules_that_fail_cost_no_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = site(tmp_path)
    found.run(20)

    def fail(*_: object) -> list[AlertEvent]:
        raise ZeroDivisionError

    monkeypatch.setattr(Prescreen, "on_batch", fail)
    found.run(10)
    again(found)
    found.run(10)
    found.settle(30)
    assert found.cloud.line["readings"] == 40 * 100
    assert found.core.counts["rules_failed"] > 10
    assert found.core.counts["replay_failed"] == 0


def test_rules_that_cannot_be_adopted_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = site(tmp_path)
    found.run(40)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("too much")

    with monkeypatch.context() as patched:
        patched.setattr(Prescreen, "adopt", fail)
        found.core.adopt(found.books.newest, found.now_ms)
    assert "too much" in found.books.why and found.books.refused == 1
    found.run(20)
    found.settle(5)
    same_ids(found)


def test_a_panel_sees_the_alarm_of_a_rule_that_is_gone_go(tmp_path: Path) -> None:
    found = site(tmp_path)
    board = AlarmBoard("alarms")
    board.begin(found.prescreen.firing)
    retained: dict[str, bytes] = {}
    step = found.core.step

    def noted(now_ms: int, idle: bool = True) -> object:
        told_now = step(now_ms, idle)
        for message in board.take(told_now.events):
            if message.retain:
                retained[message.topic] = message.payload
        return told_now

    found.core.step = noted  # type: ignore[method-assign, assignment]
    found.push(book(1, "one"))
    found.run(40)
    shown = {topic for topic, payload in retained.items() if payload and "bearing-one" in topic}
    assert shown
    found.push(book(2))
    found.run(1)
    assert {topic for topic in shown if retained[topic]} == set()
    assert [event for event in board.view().firing if event.rule == "bearing-one"] == []
