"""Patterns, signals, schedules and escalation, from readings to alerts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.udfs.plant import T0, batch, seen
from udfs.alerts import AlertEvent
from udfs.batch import Lane
from udfs.catalogue import Catalogue
from udfs.rules.model import Rule
from udfs.rules.rulebook import parse
from udfs.watch.plan import Plan
from udfs.watch.watch import Watch

SENSORS = ("temp", "vib", "cool", "inlet", "outlet")


def pumps(count: int = 2, period_ms: int = 1000) -> Catalogue:
    """Pumps p0, p1, ..., each with all SENSORS."""
    names = [f"p{n}.{name}" for n in range(count) for name in SENSORS]
    return Catalogue(
        "plant-1",
        "gw-1",
        1,
        name=tuple(names),
        unit=("u",) * len(names),
        kind=("state",) * len(names),
        asset=tuple(name.split(".")[0] for name in names),
        low=np.full(len(names), -1e9),
        high=np.full(len(names), 1e9),
        period_ms=np.full(len(names), period_ms, np.int32),
    )


EVENTS = """
      hot: {sensors: {name: "*.temp"}, condition: {threshold: {above: 80}}}
      shaky: {sensors: {name: "*.vib"}, condition: {threshold: {above: 6}}}
      cool: {sensors: {name: "*.cool"}, condition: {threshold: {above: 0}}}
"""


def pattern(sequence: str, within_s: int = 10, more: str = "") -> Rule:
    (made,) = parse(
        f"rules:\n  - name: r\n    events:{EVENTS}"
        f"    pattern: {{sequence: {sequence}, within_s: {within_s}}}\n    {more}\n"
        '    severity: warning\n    text: "{asset}: {count} events in {duration_s:.0f} s"\n',
        "r.yaml",
    )
    return made


def feed(
    watch: Watch,
    rows: Sequence[dict[str, float]],
    first: int = 0,
    lane: str = Lane.LIVE,
    pump_count: int = 2,
) -> list[AlertEvent]:
    """One batch a second; what a row does not name is 0."""
    events = []
    for second, row in enumerate(rows, first):
        values = [row.get(f"p{n}.{name}", 0.0) for n in range(pump_count) for name in SENSORS]
        each = batch(values, second, lane=lane)
        events += watch.on_batch(each, each.time_ms + 1100)
    return events


HOT, SHAKY, COOL = {"p0.temp": 90.0}, {"p0.vib": 7.0}, {"p0.cool": 1.0}
NOTHING: dict[str, float] = {}


def test_a_sequence_of_one_asset_is_one_alert_of_that_asset() -> None:
    watch = Watch([pattern("[hot, shaky]")], pumps())
    events = feed(watch, [NOTHING, HOT, NOTHING, SHAKY, *[NOTHING] * 20])
    assert seen(events) == [("p0", "firing", 1, 3), ("p0", "resolved", 1, 13)]
    assert (events[0].text, events[0].kind, events[0].unit) == ("p0: 2 events in 2 s", "asset", "")


def test_events_of_different_assets_are_no_sequence() -> None:
    watch = Watch([pattern("[hot, shaky]")], pumps())
    assert feed(watch, [NOTHING, HOT, NOTHING, {"p1.vib": 7.0}, *[NOTHING] * 20]) == []


def test_what_did_not_happen_fires_with_the_batch_that_proves_it() -> None:
    """The batch of second 10 says that nothing of before 11 will come."""
    watch = Watch([pattern("[hot, {not: cool}]")], pumps())
    events = feed(watch, [NOTHING, HOT, *[NOTHING] * 8])
    assert events == []
    assert seen(feed(watch, [NOTHING], first=10)) == [("p0", "firing", 1, 11)]


def test_what_happened_in_time_is_no_absence() -> None:
    watch = Watch([pattern("[hot, {not: cool}]")], pumps())
    assert feed(watch, [NOTHING, HOT, *[NOTHING] * 8, COOL, *[NOTHING] * 10]) == []


def test_a_hole_is_no_absence_until_the_backlog_tells() -> None:
    watch = Watch([pattern("[hot, {not: cool}]")], pumps())
    assert feed(watch, [NOTHING, HOT]) == []
    assert feed(watch, [NOTHING] * 10, first=15) == []
    late = feed(watch, [NOTHING] * 13, first=2, lane=Lane.BACKLOG)
    assert [(e.subject, e.status, e.late) for e in late] == [
        ("p0", "firing", True),
        ("p0", "resolved", True),
    ]
    watch = Watch([pattern("[hot, {not: cool}]")], pumps())
    assert feed(watch, [NOTHING, HOT]) == []
    assert feed(watch, [NOTHING] * 10, first=15) == []
    assert feed(watch, [*[NOTHING] * 5, COOL, *[NOTHING] * 7], 2, Lane.BACKLOG) == []


def test_a_sequence_goes_on_over_a_hole() -> None:
    """What was seen was seen, whatever lies in the hole."""
    watch = Watch([pattern("[hot, shaky]", within_s=60)], pumps())
    feed(watch, [NOTHING, HOT])
    assert seen(feed(watch, [NOTHING, SHAKY], first=15)) == [("p0", "firing", 1, 16)]


def test_an_event_clears() -> None:
    watch = Watch([pattern("[hot, shaky]", more="clear: {event: cool}")], pumps())
    rows = [HOT, SHAKY, *[NOTHING] * 30, COOL, NOTHING]
    assert seen(feed(watch, rows)) == [("p0", "firing", 0, 1), ("p0", "resolved", 0, 32)]


def test_restored_in_the_middle_of_a_pattern_it_goes_on() -> None:
    rules = [
        pattern("[hot, shaky, {not: cool}]", more="escalate: [{after_s: 2, severity: critical}]")
    ]
    rows = [NOTHING, HOT, NOTHING, SHAKY, *[NOTHING] * 30]
    calm = feed(Watch(rules, pumps()), rows)
    assert [e.status for e in calm] == ["firing", "updated", "resolved"]
    for cut in range(len(rows)):
        watch = Watch(rules, pumps())
        events = feed(watch, rows[:cut])
        watch = Watch.restore(rules, pumps(), watch.snapshot())
        assert not watch.changed
        assert events + feed(watch, rows[cut:], first=cut) == calm


def test_rules_that_are_gone_resolve_what_a_pattern_raised() -> None:
    watch = Watch([pattern("[hot, shaky]")], pumps())
    assert len(feed(watch, [HOT, SHAKY])) == 1
    watch = Watch.restore([], pumps(), watch.snapshot())
    (ended,) = feed(watch, [NOTHING], first=2)
    assert (ended.subject, ended.status, ended.event_ms) == ("p0", "resolved", T0 + 2000)


def test_condition_events_are_both_ends_of_every_event() -> None:
    watch = Watch([pattern("[hot, shaky]")], pumps())
    found = []
    for second, row in enumerate([NOTHING, HOT, NOTHING, SHAKY]):
        feed(watch, [row], first=second)
        found += [(e.event, e.phase, e.subject, e.time_ms - T0) for e in watch.condition_events]
    assert found == [
        ("hot", "begin", "p0.temp", 1000),
        ("hot", "end", "p0.temp", 2000),
        ("shaky", "begin", "p0.vib", 3000),
    ]


def test_the_end_of_a_condition_as_an_event() -> None:
    text = EVENTS.replace("above: 80}}}", "above: 80}}, on: end}")
    (rule,) = parse(
        f"rules:\n  - name: r\n    events:{text}"
        "    pattern: {sequence: [hot, shaky], within_s: 9}\n    severity: info\n    text: t\n",
        "r.yaml",
    )
    both = {**HOT, **SHAKY}
    assert feed(Watch([rule], pumps()), [HOT, both, SHAKY, SHAKY]) == []
    assert len(feed(Watch([rule], pumps()), [HOT, NOTHING, SHAKY])) == 1


DELTA = """
rules:
  - name: delta
    signal: {of: {a: "*.inlet", b: "*.outlet"}, value: "b - a", unit: K}
    condition: {threshold: {above: 5, for_s: 2}}
    severity: warning
    text: "{asset} {value} {unit}"
"""


def test_a_signal_is_judged_for_each_asset() -> None:
    watch = Watch(parse(DELTA, "r.yaml"), pumps())
    far = {"p1.inlet": 10.0, "p1.outlet": 16.0, "p0.outlet": 3.0}
    events = feed(watch, [NOTHING, far, far, far, NOTHING])
    assert seen(events) == [("p1", "firing", 1, 3), ("p1", "resolved", 1, 4)]
    assert (events[0].text, events[0].unit, events[0].asset) == ("p1 6 K", "K", "p1")


def test_a_rule_rests_outside_of_its_schedule() -> None:
    """T0 is 22:13:20 UTC; the shift ends at 22:14."""
    text = DELTA.replace("    condition:", '    when: {from: "06:00", to: "22:14"}\n    condition:')
    far = {"p0.outlet": 9.0}
    rules = parse(text, "r.yaml")
    events = feed(Watch(rules, pumps()), [far] * 60)
    assert [e.status for e in events] == ["firing", "resolved"]
    assert events[1].event_ms == T0 + 40_000


def test_a_slow_gateway_concludes_between_its_batches() -> None:
    """Sensors of a minute, ticks of a second: the timer fires what the next batch would prove."""
    plant = pumps(period_ms=60_000)
    watch = Watch([pattern("[hot, {not: cool}]", within_s=20)], plant)
    assert feed(watch, [NOTHING, HOT]) == []  # 1 s apart: the tick is known
    wake_ms = watch.wake_at()
    assert wake_ms is not None and T0 + 21_000 <= wake_ms <= T0 + 22_200
    assert watch.on_timer(wake_ms - 1) == []
    assert seen(watch.on_timer(wake_ms)) == [("p0", "firing", 1, 21)]


def test_an_overdue_gateway_concludes_nothing() -> None:
    plant = pumps(period_ms=60_000)
    watch = Watch([pattern("[hot, {not: cool}]", within_s=90)], plant)
    assert feed(watch, [NOTHING, HOT]) == []
    assert watch.wake_at() is None
    assert watch.on_timer(T0 + 200_000) == []


def two_patterns() -> list[Rule]:
    first, second = pattern("[hot, shaky]"), pattern("[shaky, {not: cool}]")
    return [first, second.model_copy(update={"name": "s"})]


def test_patterns_with_the_same_events_share_them_and_find_what_each_finds_alone() -> None:
    rules, plant = two_patterns(), pumps()
    (bank,) = Plan(rules, plant).banks
    assert (len(bank), [len(block) for block in bank.blocks]) == (6, [2, 2, 2])
    rows = [NOTHING, HOT, NOTHING, SHAKY, *[NOTHING] * 30]
    together = feed(Watch(rules, plant), rows)
    alone = [feed(Watch([each], plant), rows) for each in rules]
    assert [[e for e in together if e.rule == each.name] for each in rules] == alone
    assert all(alone)
    for cut in range(0, len(rows), 3):
        watch = Watch(rules, plant)
        events = feed(watch, rows[:cut])
        watch = Watch.restore(rules, plant, watch.snapshot())
        assert events + feed(watch, rows[cut:], first=cut) == together


def test_a_shared_event_goes_on_when_one_of_its_rules_is_gone() -> None:
    rules, plant = two_patterns(), pumps()
    watch = Watch(rules, plant)
    assert feed(watch, [NOTHING, HOT]) == []
    watch = Watch.restore(rules[:1], plant, watch.snapshot())
    assert seen(feed(watch, [HOT, SHAKY], first=2)) == [("p0", "firing", 1, 3)]
