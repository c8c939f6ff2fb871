"""A restored watch goes on as if nothing had been, with other rules and larger catalogues too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import HOT, T0, batch, catalogue, feed, live, replayed, rule, seen
from udfs.alerts import AlertEvent
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue
from udfs.rules.rulebook import Rule, parse
from udfs.state import BadState, pack, unpack
from udfs.watch.watch import Watch

OLD = Path(__file__).parents[1] / "cases" / "state" / "watch-1.bin"


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
    data, now_ms = each
    return watch.on_timer(now_ms) if data is None else watch.on_batch(data, now_ms)


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


def test_restored_with_a_hole_open_its_late_alarm_ends_in_the_same_place() -> None:
    watch = Watch([rule(HOT)], catalogue())
    feed(watch, live([70] * 2, 0) + live([70] * 2, 20) + replayed([85] * 16, 2))
    watch = Watch.restore([rule(HOT)], catalogue(), watch.snapshot())
    assert seen(feed(watch, replayed([85] * 2, 18))) == [("s0", "resolved", 2, 20)]


def test_state_of_version_1_is_still_read() -> None:
    # high and fast fire for s1 since 9 s, stuck for s0 and s2
    watch = Watch.restore(RULES, catalogue(["flow"] * 3), OLD.read_bytes())
    assert not watch.changed
    events = feed(watch, [batch([1, 1, 1], s) for s in range(12, 15)])
    assert [(e.rule, e.subject, e.status, e.onset_ms - T0) for e in events] == [
        ("high", "s1", "resolved", 9000),
        ("fast", "s1", "resolved", 9000),
        ("fast", "s1", "firing", 13_000),
    ]


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
    watch = Watch([rule("no_data: {for_s: 15, of: gateway}")], catalogue())
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


def lasting(condition: str, sensors: str = "{name: s0}") -> Rule:
    """A rule whose alerts escalate."""
    return made(f"sensors: {sensors}, condition: {{{condition}}}")


def pattern(sensors: str = "{name: s0}") -> Rule:
    """A rule that escalates what a pattern finds."""
    return made(
        f"sensors: {sensors}, events: {{a: {{condition: {{{HOT}}}}}}}, "
        "pattern: {sequence: [a], within_s: 60}"
    )


def made(found: str) -> Rule:
    more = "severity: info, text: t, escalate: [{after_s: 10, severity: critical}]"
    (one,) = parse(f"rules: [{{name: r, {found}, {more}}}]", "test.yaml")
    return one


@pytest.mark.parametrize(
    ("before", "changed"),
    [
        (lasting(HOT), lasting(HOT, "{name: s1}")),
        (lasting(HOT), lasting("stuck: {for_s: 5}")),
        (lasting(HOT), lasting(HOT, "{name: elsewhere}")),
        (lasting(HOT), rule(HOT, "{name: s1}")),
        (lasting(HOT), pattern()),
        (pattern(), lasting(HOT)),
        (pattern(), pattern("{name: elsewhere}")),
    ],
)
def test_alerts_that_escalate_end_where_their_rule_starts_fresh(
    before: Rule, changed: Rule
) -> None:
    site = catalogue(["flow", "flow"])
    watch = Watch([before], site)
    (first,) = feed(watch, [batch([85, 50], s) for s in range(4)])
    # a hole: the lane that waits for the backlog has the alert, too, but does not tell of it
    assert feed(watch, [batch([85, 50], 6)]) == []
    watch = Watch.restore([changed], site, watch.snapshot())
    assert watch.changed
    watch = Watch.restore([changed], site, watch.snapshot())
    (event,) = feed(watch, [batch([50 + s % 2, s], s) for s in range(7, 40)])
    assert (event.id, event.status, event.severity) == (first.id, "resolved", "info")
    assert event.event_ms == T0 + 7000


def test_alerts_that_escalate_go_on_where_their_rule_does() -> None:
    for before in (lasting(HOT), pattern()):
        watch = Watch([before], catalogue(["flow"]))
        (first,) = feed(watch, live([85] * 4, 0))
        watch = Watch.restore([before], catalogue(["flow"] * 2, version=2), watch.snapshot())
        assert not watch.changed
        (event,) = feed(watch, [batch([85, 50], s, version=2) for s in range(4, 14)])
        assert (event.id, event.status, event.severity) == (first.id, "updated", "critical")


def test_an_alert_of_which_a_state_says_no_more_is_forgotten() -> None:
    watch = Watch([lasting(HOT)], catalogue())
    feed(watch, live([85] * 4, 0))
    _, fields = unpack(watch.snapshot(), "watch")
    _, empty = unpack(Watch([], catalogue()).snapshot(), "watch")
    fields |= {name: empty[name] for name in ("description", "bank", "first", "entries", "sum")}
    watch = Watch.restore(
        [lasting(HOT, "{name: elsewhere}")], catalogue(), pack("watch", 2, fields)
    )
    assert feed(watch, live([85] * 20, 4)) == []


def test_state_that_does_not_fit_is_refused() -> None:
    site = catalogue(["flow", "flow"])
    data = Watch([rule(HOT)], site).snapshot()
    with pytest.raises(BadState, match="state of 2 sensors, the catalogue has 1"):
        Watch.restore([rule(HOT)], catalogue(["flow"]), data)
    with pytest.raises(BadState):
        Watch.restore([rule(HOT)], site, b"nonsense")
