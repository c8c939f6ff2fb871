"""A whole gateway: what an alert says, silence, and the shipped rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.udfs.plant import HOT, T0, batch, catalogue, feed, live, replayed, rule, seen
from udfs.alerts import AlertEvent
from udfs.rules.rulebook import Rule, parse_all
from udfs.watch.watch import Watch

SHIPPED = Path(__file__).parents[2] / "flink-conf" / "rules"
DEAD = "no_data: {for_s: 15, of: gateway}"


def shipped() -> list[Rule]:
    return parse_all({path.name: path.read_text() for path in SHIPPED.glob("*.yaml")})


def test_an_alert_says_everything() -> None:
    watch = Watch([rule(HOT, version=3)], catalogue())
    batches = live([81] * 4, 0)
    batches[-1].traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    (event,) = feed(watch, batches)
    assert event == AlertEvent(
        id="d37ceb3e-5ae4-5170-a599-bbade9e1e11d",
        status="firing",
        rule="r",
        rule_version=3,
        severity="warning",
        facility="plant-1",
        gateway="gw-1",
        subject="s0",
        asset="a0",
        kind="temperature",
        unit="°C",
        value=81.0,
        limit=80.0,
        onset_ms=T0,
        event_ms=T0 + 3000,
        created_ms=T0 + 3100,
        late=False,
        text="s0 81 80",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    (back,) = feed(watch, live([79], 4))
    assert (back.id, back.status, back.text) == (event.id, "resolved", "s0: r ended after 4 s")


def test_rules_watch_only_the_sensors_they_match() -> None:
    kinds = ["flow", "temperature", "level", "temperature"]
    watch = Watch([rule("threshold: {above: 80}", "{kind: temperature}")], catalogue(kinds))
    assert seen(feed(watch, [batch([99, 99, 99, 99], 0)])) == [
        ("s1", "firing", 0, 0),
        ("s3", "firing", 0, 0),
    ]
    assert seen(feed(watch, [batch([1, 70], 1, sensor=[2, 3])])) == [("s3", "resolved", 0, 1)]
    assert (
        Watch([rule(HOT, "{kind: speed}")], catalogue(kinds)).on_batch(batch([99] * 4, 0), 0) == []
    )


def test_an_empty_batch_is_a_sign_of_life_only() -> None:
    watch = Watch([rule(HOT), rule(DEAD, name="dead")], catalogue())
    assert feed(watch, [batch([], 0)]) == []
    assert watch.wake_at() == T0 + 100 + 15_000


def test_a_silent_gateway_is_one_alert_whose_onset_is_its_last_batch() -> None:
    watch = Watch([rule("no_data: {for_s: 15}")], catalogue(["flow"] * 50))
    assert watch.wake_at() is None
    feed(watch, [batch([1] * 50, s) for s in range(3)])
    due = T0 + 2100 + 15_000
    assert watch.wake_at() == due
    before = watch.snapshot()
    assert watch.on_timer(due - 1) == []
    assert watch.snapshot() == before
    (event,) = watch.on_timer(due)
    assert (event.subject, event.kind, event.onset_ms, event.value) == (
        "gateway",
        "gateway",
        T0 + 2000,
        15.0,
    )
    assert (event.created_ms, event.event_ms) == (due, T0 + 17_000)
    assert watch.wake_at() is None
    assert watch.on_timer(due + 1000) == []
    (back,) = watch.on_batch(batch([1] * 50, 60, sequence=3), due + 5000)
    assert (back.id, back.status, back.event_ms) == (event.id, "resolved", T0 + 60_000)
    assert watch.wake_at() == due + 5000 + 15_000


def test_its_id_does_not_depend_on_when_the_timer_ran() -> None:
    def silent(at_ms: int) -> str:
        watch = Watch([rule(DEAD)], catalogue())
        feed(watch, live([1], 0))
        return watch.on_timer(at_ms)[0].id

    assert silent(T0 + 16_000) == silent(T0 + 99_000)


def test_two_gateways_that_fall_silent_at_one_time_are_two_alerts() -> None:
    ids = set()
    for gateway in ("gw-1", "gw-2"):
        watch = Watch([rule(DEAD)], catalogue(gateway=gateway))
        feed(watch, live([1], 0))
        ids.add(watch.on_timer(T0 + 99_000)[0].id)
    assert len(ids) == 2


def test_silence_at_several_severities_fires_one_after_the_other() -> None:
    slow = rule("no_data: {for_s: 60, of: gateway}", name="slow")
    watch = Watch([rule(DEAD), slow], catalogue())
    feed(watch, live([1], 0))
    assert [e.rule for e in watch.on_timer(watch.wake_at() or 0)] == ["r"]
    assert watch.wake_at() == T0 + 100 + 60_000
    assert [e.rule for e in watch.on_timer(watch.wake_at() or 0)] == ["slow"]
    assert watch.wake_at() is None
    assert [e.rule for e in feed(watch, live([1], 1))] == ["r", "slow"]


def test_a_gateway_of_slow_sensors_is_not_silent_between_its_batches() -> None:
    watch = Watch([rule(DEAD)], catalogue(["level"], 60_000))
    feed(watch, live([1], 0))
    assert watch.wake_at() == T0 + 100 + 180_000


def test_a_rule_of_sensors_only_never_wakes() -> None:
    watch = Watch([rule("no_data: {for_s: 15, of: sensor}")], catalogue())
    feed(watch, live([1], 0))
    assert watch.wake_at() is None


def test_silence_counts_from_the_newest_batch_and_the_latest_arrival() -> None:
    watch = Watch([rule(DEAD)], catalogue())
    feed(watch, live([1], 0) + live([1], 40))
    watch.on_batch(replayed([1], 1)[0], T0 + 39_000)
    assert watch.wake_at() == T0 + 40_100 + 15_000
    assert watch.on_timer(T0 + 60_000)[0].onset_ms == T0 + 40_000


def test_the_backlog_is_a_sign_of_life() -> None:
    watch = Watch([rule(DEAD)], catalogue())
    feed(watch, live([1], 0))
    assert len(watch.on_timer(T0 + 60_000)) == 1
    (back,) = watch.on_batch(replayed([1], 1)[0], T0 + 61_000)
    assert (back.status, back.late) == ("resolved", False)


def test_the_shipped_rules_keep_to_200_bytes_a_sensor() -> None:
    kinds = ["temperature", "vibration", "pressure", "flow", "current", "speed"] * 100
    watch = Watch(shipped(), catalogue(kinds))
    feed(watch, [batch([1.0] * 600, s) for s in range(2)])
    assert len(watch.snapshot()) / 600 < 200


def test_the_shipped_rules_are_quiet_on_a_usual_day_and_find_each_fault() -> None:
    kinds = ["temperature", "vibration", "pressure", "flow", "current"]
    site = catalogue(kinds * 4)
    random = np.random.default_rng(1)
    level = np.array([62.0, 2.4, 14.5, 182.0, 46.0] * 4)
    spread = np.array([0.25, 0.12, 0.06, 1.1, 0.35] * 4)
    watch = Watch(shipped(), site)

    def usual(second: int) -> np.ndarray:
        daily = np.sin(second / 86_400 * 2 * np.pi) * spread * 10
        return level + daily + random.normal(0, 1, 20) * spread

    assert feed(watch, [batch(usual(s), s) for s in range(1500)]) == []
    found = set()
    for second in range(1500, 1600):
        values = usual(second)
        values[0] += 20
        values[1] += 6
        values[2] += (second - 1500) * 0.8
        values[3] += 40
        values[4] = 46.0
        for event in feed(watch, [batch(values[:19], second)]):
            found.add((event.rule, event.subject))
    assert found == {
        ("temperature-unusual", "s0"),
        ("vibration-high", "s1"),
        ("vibration-critical", "s1"),
        ("vibration-unusual", "s1"),
        ("pressure-moves-fast", "s2"),
        ("flow-unusual", "s3"),
        ("signal-stuck", "s4"),
        ("no-data", "s19"),
    }
