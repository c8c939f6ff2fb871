"""A whole gateway: rules, lanes, silence, and the same after a restore."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import T0, batch, catalogue, feed, rule, seen
from udfs.alerts import AlertEvent
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.detection import Watch
from udfs.rulebook import Rule, parse_all
from udfs.state import BadState

HOT = "threshold: {above: 80, for_s: 3}"
SHIPPED = Path(__file__).parents[2] / "flink-conf" / "rules"
DEAD = "no_data: {for_s: 15, of: gateway}"


def shipped() -> list[Rule]:
    return parse_all({path.name: path.read_text() for path in SHIPPED.glob("*.yaml")})


def replayed(values: Sequence[float], first: int) -> list[Batch]:
    return [batch([v], first + i, lane=Lane.BACKLOG) for i, v in enumerate(values)]


def live(values: Sequence[float], first: int) -> list[Batch]:
    return [batch([v], first + i) for i, v in enumerate(values)]


# -- what an alert says


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


# -- silence of the gateway


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


def test_the_backlog_is_a_sign_of_life() -> None:
    watch = Watch([rule(DEAD)], catalogue())
    feed(watch, live([1], 0))
    assert len(watch.on_timer(T0 + 60_000)) == 1
    (back,) = watch.on_batch(replayed([1], 1)[0], T0 + 61_000)
    assert (back.status, back.late) == ("resolved", False)


# -- lanes


def test_replay_finds_what_live_would_have_found_under_the_same_id() -> None:
    values = [70] * 10 + [85] * 6 + [70] * 20
    expected = feed(Watch([rule(HOT)], catalogue()), live(values, 0))
    watch = Watch([rule(HOT)], catalogue())
    first = feed(watch, live(values[:8], 0) + live(values[30:], 30))
    assert first == []
    late = feed(watch, replayed(values[8:30], 8))
    assert [(e.id, e.status, e.event_ms) for e in late] == [
        (e.id, e.status, e.event_ms) for e in expected
    ]
    assert [e.late for e in late] == [True, True]


@pytest.mark.parametrize("order", ["live first", "backlog first", "mixed"])
def test_the_order_of_lanes_does_not_matter_to_what_lies_inside_the_hole(order: str) -> None:
    values = [70] * 10 + [85] * 6 + [70] * 20
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live(values[:8], 0))
    now, then = live(values[30:], 30), replayed(values[8:30], 8)
    mixed = [each for pair in zip(then, now, strict=False) for each in pair]
    mixed += then[len(now) :]
    events = feed(watch, {"live first": now + then, "backlog first": then + now}.get(order, mixed))
    assert seen(events) == [("s0", "firing", 10, 13), ("s0", "resolved", 10, 16)]
    assert all(event.late for event in events)


def test_what_was_pending_before_the_hole_goes_on_in_the_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    assert feed(watch, live([85, 85], 0) + live([70] * 3, 20)) == []
    late = feed(watch, replayed([85] * 4 + [70] * 14, 2))
    assert seen(late) == [("s0", "firing", 0, 3), ("s0", "resolved", 0, 6)]


def test_what_was_pending_before_the_hole_does_not_go_on_live() -> None:
    watch = Watch([rule(HOT)], catalogue())
    events = feed(watch, live([85, 85], 0) + live([85] * 4, 20))
    assert seen(events) == [("s0", "firing", 20, 23)]


def test_an_alarm_that_fired_before_the_hole_is_resolved_live_and_only_there() -> None:
    watch = Watch([rule(HOT)], catalogue())
    events = feed(watch, live([85] * 4, 0) + live([70] * 2, 20) + replayed([70] * 16, 4))
    assert seen(events) == [("s0", "firing", 0, 3), ("s0", "resolved", 0, 20)]
    assert [e.late for e in events] == [False, False]


def test_an_alarm_that_still_fires_is_not_resolved_by_the_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([85] * 4, 0) + live([85] * 2, 20))
    late = feed(watch, replayed([70] * 8 + [85] * 8, 4))
    assert seen(late) == [("s0", "firing", 12, 15), ("s0", "resolved", 12, 20)]
    assert seen(feed(watch, live([70], 22))) == [("s0", "resolved", 0, 22)]


def test_a_late_alarm_ends_where_the_live_range_begins() -> None:
    watch = Watch([rule(HOT)], catalogue())
    now = feed(watch, live([70] * 2, 0) + live([85] * 5, 20))
    assert seen(now) == [("s0", "firing", 20, 23)]
    late = feed(watch, replayed([70] * 8 + [85] * 10, 2))
    assert seen(late) == [("s0", "firing", 10, 13), ("s0", "resolved", 10, 20)]


def test_the_backlog_state_is_dropped_when_the_hole_is_filled() -> None:
    watch = Watch([rule(HOT)], catalogue(["flow"] * 500))
    whole = [batch([70] * 500, s) for s in range(2)]
    feed(watch, whole)
    one = len(watch.snapshot())
    feed(watch, [batch([70] * 500, 20)])
    assert len(watch.snapshot()) > 1.8 * one
    feed(watch, [batch([70] * 500, s, lane=Lane.BACKLOG) for s in range(2, 20)])
    assert len(watch.snapshot()) < 1.2 * one


def test_a_hole_that_is_never_filled_is_given_up_and_its_alarms_end() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([70], 0) + live([70], 20) + replayed([85] * 5, 1))
    a_day_s = 24 * 3600
    assert feed(watch, [batch([70], a_day_s, sequence=21)]) == []
    (ended,) = feed(watch, [batch([70], a_day_s + 3 * 3600, sequence=22)])
    assert (ended.status, ended.late, ended.event_ms) == ("resolved", True, T0 + 20_000)


def test_a_network_that_flaps_does_not_multiply_the_state() -> None:
    watch = Watch([rule(HOT)], catalogue(["flow"] * 500))
    feed(watch, [batch([70] * 500, 0)])
    one = len(watch.snapshot())
    feed(watch, [batch([70] * 500, s) for s in range(10, 200, 10)])
    assert len(watch.snapshot()) < 4.5 * one
    late = feed(watch, [batch([85] * 500, s, lane=Lane.BACKLOG) for s in range(151, 160)])
    assert len(late) > 0


def test_a_gateway_that_begins_with_its_backlog() -> None:
    watch = Watch([rule(HOT)], catalogue())
    late = feed(watch, replayed([70, 70, 85, 85, 85, 85], 0))
    assert [(e.status, e.late) for e in late] == [("firing", True)]
    events = feed(watch, live([85] * 4, 6))
    assert seen(events) == [("s0", "resolved", 2, 6), ("s0", "firing", 6, 9)]
    assert [e.late for e in events] == [True, False]


def test_backlog_from_before_the_first_live_batch() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([70] * 3, 100))
    late = feed(watch, replayed([85] * 4 + [70], 50))
    assert seen(late) == [("s0", "firing", 50, 53), ("s0", "resolved", 50, 54)]


def test_a_batch_that_comes_too_late_for_its_lane_is_not_judged() -> None:
    watch = Watch([rule("threshold: {above: 80}")], catalogue())
    feed(watch, live([70] * 3, 0) + live([70], 10) + replayed([70], 5))
    assert feed(watch, live([99], 1) + replayed([99], 4)) == []
    assert len(feed(watch, live([99], 11) + replayed([99], 6))) == 2


def test_a_new_epoch_is_a_hole() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([85, 85], 100))
    events = feed(watch, [batch([85], 200 + s, sequence=s, epoch=2) for s in range(5)])
    assert seen(events) == [("s0", "firing", 200, 203)]
    old = feed(watch, replayed([85] * 3, 102))
    assert seen(old) == [("s0", "firing", 100, 103)]


def test_a_hole_is_not_the_silence_of_slow_sensors() -> None:
    watch = Watch(
        [rule("no_data: {for_s: 15, of: sensor}")], catalogue(["flow", "level"], [1000, 5000])
    )
    batches = [batch([1, 2], s) if s % 5 == 4 else batch([1], s) for s in range(60)]
    assert feed(watch, batches[:20] + batches[33:]) == []


def test_the_detector_keeps_what_it_learned_across_a_hole() -> None:
    ewma = "ewma: {z: 6, half_life_s: 600, warm_up: 30, min_sigma: 0.5}"
    watch = Watch([rule(ewma)], catalogue())
    feed(watch, live([20.0] * 100, 0))
    events = feed(watch, live([30.0], 160))
    assert seen(events) == [("s0", "firing", 160, 160)]


# -- restore


RULES = [
    rule("threshold: {above: 3, clear_below: 2, for_s: 2}", name="high"),
    rule("rate_of_change: {per_s: 0.6, window_s: 4}", "{name: s1}", name="fast"),
    rule("stuck: {for_s: 3}", "{name: 's[02]'}", name="stuck"),
    rule("no_data: {for_s: 5}", name="dead"),
    rule("ewma: {z: 4, half_life_s: 8, warm_up: 10, min_sigma: 0.5}", name="odd"),
]
call = st.tuples(
    st.sampled_from(["next", "next", "next", "next", "hole", "backlog", "silence"]),
    st.lists(st.sampled_from([1.0, 2.0, 4.0, 9.0, float("nan")]), min_size=1, max_size=3),
)


def calls(script: list[tuple[str, list[float]]]) -> list[tuple[Batch | None, int]]:
    """Batches and timers (None) with their wall clock, with holes that the backlog may fill."""
    made: list[tuple[Batch | None, int]] = []
    sequence, holes = 0, []
    for what, values in script:
        now_ms = made[-1][1] + 1000 if made else T0
        if what == "silence":
            made.append((None, now_ms + 6000))
        elif what == "backlog" and holes:
            made.append((batch(values, holes.pop(0), lane=Lane.BACKLOG), now_ms))
        else:
            skipped = 6 if what == "hole" else 0
            holes += range(sequence, sequence + skipped)
            sequence += skipped
            made.append((batch(values, sequence), now_ms))
            sequence += 1
    return made


def act(watch: Watch, each: tuple[Batch | None, int]) -> list[AlertEvent]:
    return watch.on_timer(each[1]) if each[0] is None else watch.on_batch(*each)  # type: ignore


@settings(max_examples=100, deadline=None)
@given(st.lists(call, max_size=50), st.data())
def test_restored_in_the_middle_it_goes_on_as_if_nothing_had_been(
    script: list[tuple[str, list[float]]], data: st.DataObject
) -> None:
    made = calls(script)
    middle = data.draw(st.integers(0, len(made)))
    site = catalogue(["flow"] * 3)
    straight = Watch(RULES, site)
    for each in made[:middle]:
        act(straight, each)
    restored = Watch.restore(RULES, site, straight.snapshot())
    assert not restored.changed
    for each in made[middle:]:
        assert act(restored, each) == act(straight, each)
        assert restored.wake_at() == straight.wake_at()
    assert restored.snapshot() == straight.snapshot()


def grown(kinds: Sequence[str]) -> Catalogue:
    return catalogue(kinds, version=2)


def test_a_catalogue_that_grew_appends_and_loses_nothing() -> None:
    old = catalogue(["temperature", "flow", "temperature"])
    rules = [
        rule(HOT, "{kind: temperature}", name="hot"),
        rule("no_data: {for_s: 5, of: sensor}", name="dead"),
        rule("rate_of_change: {per_s: 5, window_s: 2}", "{kind: temperature}", name="fast"),
    ]
    watch = Watch(rules, old)
    feed(watch, [batch([85, 1, 70], s) for s in range(3)])
    new = grown(["temperature", "flow", "temperature", "flow", "temperature"])
    watch = Watch.restore(rules, new, watch.snapshot())
    assert not watch.changed
    # one more batch of the old catalogue, then those of the new one
    events = feed(watch, [batch([85, 1, 70], 3)])
    assert seen(events) == [("s0", "firing", 0, 3)]
    assert feed(watch, [batch([85, 1, 70], s) for s in range(4, 12)]) == []
    events = feed(watch, [batch([70, 1, 70, 1, 85], s, version=2) for s in range(12, 16)])
    assert [(e.subject, e.rule, e.status, e.onset_ms - T0) for e in events] == [
        ("s0", "hot", "resolved", 0),
        ("s0", "fast", "firing", 12_000),
        ("s0", "fast", "resolved", 12_000),
        ("s4", "hot", "firing", 12_000),
    ]


def test_a_new_version_starts_fresh_and_the_old_alert_is_resolved() -> None:
    other = rule("threshold: {above: 60, for_s: 3}", name="other")
    watch = Watch([rule(HOT), other], catalogue())
    first, _ = feed(watch, live([85] * 4, 0))
    rules = [rule("threshold: {above: 84, for_s: 3}", version=2), other]
    watch = Watch.restore(rules, catalogue(), watch.snapshot())
    assert watch.changed
    watch = Watch.restore(rules, catalogue(), watch.snapshot())
    events = feed(watch, live([85] * 4 + [50], 4))
    assert [(e.rule, e.rule_version, e.status, e.onset_ms - T0) for e in events] == [
        ("r", 1, "resolved", 0),
        ("r", 2, "firing", 4000),
        ("r", 2, "resolved", 4000),
        ("other", 1, "resolved", 0),
    ]
    assert (events[0].id, events[0].subject, events[0].event_ms) == (first.id, "s0", T0 + 4000)


def test_rules_that_are_gone_resolve_the_gateways_silence_too() -> None:
    watch = Watch([rule(DEAD)], catalogue())
    feed(watch, live([1], 0))
    (silent,) = watch.on_timer(T0 + 60_000)
    watch = Watch.restore([], catalogue(), watch.snapshot())
    assert watch.changed
    (back,) = feed(watch, live([1], 1))
    assert (back.id, back.status, back.unit) == (silent.id, "resolved", "s")


@pytest.mark.parametrize(
    "changed", [rule(HOT, "{name: s1}"), rule("stuck: {for_s: 5}", "{name: s0}")]
)
def test_other_sensors_or_another_condition_under_the_same_version_start_fresh(
    changed: Rule,
) -> None:
    site = catalogue(["flow", "flow"])
    watch = Watch([rule(HOT, "{name: s0}")], site)
    feed(watch, [batch([85, 85], s) for s in range(4)])
    watch = Watch.restore([changed], site, watch.snapshot())
    assert watch.changed
    (event,) = feed(watch, [batch([85, 85], 4)])
    assert (event.subject, event.status) == ("s0", "resolved")


def test_state_that_does_not_fit_is_refused() -> None:
    site = catalogue(["flow", "flow"])
    data = Watch([rule(HOT)], site).snapshot()
    with pytest.raises(BadState, match="state of 2 sensors, the catalogue has 1"):
        Watch.restore([rule(HOT)], catalogue(["flow"]), data)
    with pytest.raises(BadState):
        Watch.restore([rule(HOT)], site, b"nonsense")


# -- the shipped rules


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
