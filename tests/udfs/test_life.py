"""The life of alerts: escalation, coming down, clearing of patterns, lanes, state."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs import slow_life
from udfs.conditions.latch import Found
from udfs.rules.model import Rule
from udfs.rules.rulebook import parse
from udfs.state import BadState
from udfs.watch.course import Told, lives
from udfs.watch.life import Life

S = 1000
STEPS = [(300, "warning", None), (900, "critical", "{sensor} for {duration_s:.0f} s!")]
OVER = "threshold: {above: 80}"


def rule(
    escalate: Sequence[tuple[float, str, str | None]] = (),
    down_s: float | None = None,
    within_s: float | None = None,
    clear: str | None = None,
    name: str = "hot",
) -> Rule:
    lines = [f"  - name: {name}", "    severity: info", "    text: it is hot"]
    if within_s is None:
        lines.append(f"    condition: {{{OVER}}}")
    else:
        lines.append(f"    events: {{a: {{condition: {{{OVER}}}}}, b: {{condition: {{{OVER}}}}}}}")
        lines.append(f"    pattern: {{sequence: [a], within_s: {within_s}}}")
    lines += [f"    clear: {clear}"] if clear else []
    lines += [f"    de_escalate: {{after_s: {down_s}}}"] if down_s else []
    lines += ["    escalate:"] if escalate else []
    for after_s, severity, text in escalate:
        more = f", text: '{text}'" if text else ""
        lines.append(f"      - {{after_s: {after_s}, severity: {severity}{more}}}")
    (made,) = parse("\n".join(["rules:", *lines]), "x.yaml")
    return made


def life(*rules: Rule) -> Life:
    return Life({each.key: each for each in rules})


def found(firing: bool, at_s: float, onset_s: float | None = None, value: float = 90.0) -> Found:
    onset_s = at_s if onset_s is None else onset_s
    return Found(7, firing, round(onset_s * S), round(at_s * S), value, 80.0)


def short(told: Sequence[Told]) -> list[tuple[str, str, float]]:
    return [(each.status, each.severity, each.event_ms / S) for each in told]


def firing(some: Life) -> list[tuple[int, int]]:
    """Subject and onset of what fires and this lane tells of."""
    alerts = some.to_plain()["alerts"]
    return [(subject, onset_ms) for _, subject, onset_ms, *_, mine in alerts if mine]


def due(some: Life, horizon_s: float) -> list[tuple[str, str, float]]:
    return short([told for _, _, told in some.advance(round(horizon_s * S))])


# -- escalation


def test_an_alert_that_lasts_escalates_from_when_it_fired() -> None:
    some = life(rule(STEPS))
    (began,) = some.found("hot@1", 7, found(True, 10, onset_s=5))
    assert began == Told("firing", "info", "it is hot", 5000, 10_000, 90.0, 80.0, 0)
    assert due(some, 309.999) == []
    assert some.due_ms() == 310 * S
    assert some.advance(310 * S) == [
        ("hot@1", 7, Told("updated", "warning", "it is hot", 5000, 310_000, 90.0, 80.0, 0))
    ]
    assert due(some, 2000) == [("updated", "critical", 910)]
    assert some.due_ms() is None
    (ended,) = some.found("hot@1", 7, found(False, 2001, onset_s=5, value=79))
    assert ended == Told("resolved", "critical", "", 5000, 2_001_000, 79.0, 80.0, 0)


def test_a_step_may_have_a_text_of_its_own() -> None:
    some = life(rule(STEPS))
    some.found("hot@1", 7, found(True, 0))
    texts = [told.text for _, _, told in some.advance(900 * S)]
    assert texts == ["it is hot", "{sensor} for {duration_s:.0f} s!"]


def test_what_ends_in_time_does_not_escalate() -> None:
    some = life(rule(STEPS))
    some.found("hot@1", 7, found(True, 0))
    assert short(some.found("hot@1", 7, found(False, 299, 0))) == [("resolved", "info", 299)]
    assert due(some, 10_000) == []


def test_an_end_that_comes_with_a_late_batch_is_told_after_the_steps_before_it() -> None:
    some = life(rule(STEPS))
    some.found("hot@1", 7, found(True, 0))
    assert short(some.found("hot@1", 7, found(False, 5000, 0))) == [
        ("updated", "warning", 300),
        ("updated", "critical", 900),
        ("resolved", "critical", 5000),
    ]


def test_a_finding_that_begins_and_ends_in_one_batch() -> None:
    some = life(rule(STEPS, down_s=60))
    assert short(some.found("hot@1", 7, found(True, 10.1))) == [("firing", "info", 10.1)]
    assert some.found("hot@1", 7, found(False, 10.4, 10.1)) == []
    assert due(some, 70.3) == []
    assert due(some, 80) == [("resolved", "info", 70.4)]


def test_the_same_finding_twice_changes_nothing() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 10))
    before = some.to_plain()
    assert some.found("hot@1", 7, found(True, 10)) == []
    assert some.to_plain() == before
    some.found("hot@1", 7, found(False, 20, 10))
    before = some.to_plain()
    assert some.found("hot@1", 7, found(False, 30, 10)) == []
    assert some.to_plain() == before


def test_numbers_that_json_does_not_know_are_none() -> None:
    some = life(rule(STEPS))
    (began,) = some.found("hot@1", 7, found(True, 10, value=math.nan))
    assert began.value is None
    json.dumps(some.to_plain(), allow_nan=False)


# -- coming down


def test_quiet_brings_it_down_level_by_level() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    assert due(some, 1000) == [("updated", "warning", 300), ("updated", "critical", 900)]
    assert some.found("hot@1", 7, found(False, 1000, 0)) == []
    assert firing(some) == [(7, 0)]
    down = [told for _, _, told in some.advance(1120 * S)]
    assert short(down) == [("updated", "warning", 1060), ("updated", "info", 1120)]
    assert [told.text for told in down] == ["", ""]
    assert due(some, 5000) == [("resolved", "critical", 1180)]  # the highest that it had


def test_without_steps_quiet_only_delays_the_end() -> None:
    some = life(rule(down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.found("hot@1", 7, found(False, 10, 0))
    assert some.found("hot@1", 7, found(True, 69.9)) == []  # goes on under its id
    some.found("hot@1", 7, found(False, 71, 69.9))
    (_, _, ended), = some.advance(131 * S)  # fmt: skip
    assert (ended.status, ended.onset_ms, ended.event_ms) == ("resolved", 0, 131_000)


def test_what_fires_at_the_end_of_the_quiet_or_later_is_a_new_alert() -> None:
    some = life(rule(down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.found("hot@1", 7, found(False, 10, 0))
    told = some.found("hot@1", 7, found(True, 70))
    assert [(t.status, t.onset_ms) for t in told] == [("resolved", 0), ("firing", 70_000)]


def test_a_short_quiet_only_stops_the_clock() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.found("hot@1", 7, found(False, 200, 0))
    some.found("hot@1", 7, found(True, 250))
    assert due(some, 349.9) == []
    assert due(some, 350) == [("updated", "warning", 350)]  # 200 s and 100 s


def test_who_came_down_begins_that_level_anew() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.advance(1500 * S)
    some.found("hot@1", 7, found(False, 1500, 0))
    assert due(some, 1570) == [("updated", "warning", 1560)]
    assert some.found("hot@1", 7, found(True, 1570)) == []  # still warning
    assert due(some, 5000) == [("updated", "critical", 2170)]  # 900 - 300 s from when it fired


# -- patterns


def matched(some: Life, onset_s: float, at_s: float, count: int = 2) -> list[Told]:
    return some.matched("hot@1", 3, round(onset_s * S), round(at_s * S), count)


def test_a_pattern_is_over_when_it_did_not_match_for_its_time() -> None:
    some = life(rule(within_s=60))
    assert matched(some, 5, 8) == [Told("firing", "info", "it is hot", 5000, 8000, None, None, 2)]
    assert matched(some, 50, 60, count=3) == []
    assert due(some, 119.9) == []
    assert some.advance(120 * S) == [
        ("hot@1", 3, Told("resolved", "info", "", 5000, 120_000, None, None, 3))
    ]
    assert [t.onset_ms for t in matched(some, 121, 122)] == [121_000]


def test_clear_says_after_which_time() -> None:
    some = life(rule(within_s=60, clear="{after_s: 10}"))
    matched(some, 5, 8)
    assert due(some, 100) == [("resolved", "info", 18)]


def test_clear_by_an_event() -> None:
    some = life(rule(within_s=60, clear="{event: b}"))
    matched(some, 5, 8)
    assert due(some, 10_000) == []
    assert short(some.cleared("hot@1", 3, 10_001 * S)) == [("resolved", "info", 10_001)]
    assert some.cleared("hot@1", 3, 10_002 * S) == []
    assert some.cleared("hot@1", 4, 10_002 * S) == []


def test_a_match_at_the_end_of_the_time_is_a_new_alert() -> None:
    some = life(rule(within_s=60))
    matched(some, 0, 0)
    assert short(matched(some, 60, 60)) == [("resolved", "info", 60), ("firing", "info", 60)]


def test_an_older_match_does_not_shorten_the_time() -> None:
    some = life(rule(within_s=60))
    matched(some, 0, 50)
    assert matched(some, 0, 40) == []
    assert some.due_ms() == 110 * S


def test_the_end_of_a_pattern_comes_before_a_step_of_the_same_time() -> None:
    some = life(rule([(60, "critical", None)], within_s=60))
    matched(some, 0, 0)
    assert due(some, 60) == [("resolved", "info", 60)]


def test_a_pattern_escalates_and_comes_down() -> None:
    some = life(rule([(90, "critical", None)], down_s=20, within_s=60))
    matched(some, 0, 0)
    matched(some, 50, 50)
    assert due(some, 100) == [("updated", "critical", 90)]
    assert due(some, 200) == [("updated", "info", 130), ("resolved", "critical", 150)]


# -- against the model

KIND = st.sampled_from([
    rule([(4, "warning", None), (9, "critical", None)]),
    rule([(4, "warning", None), (9, "critical", None)], down_s=3),
    rule([(1, "warning", None)], down_s=7),
    rule(down_s=2),
    rule(within_s=6),
    rule([(5, "critical", None)], within_s=6, clear="{event: b}"),
    rule([(3, "warning", None), (8, "critical", None)], down_s=2, within_s=5),
    rule([(3, "warning", None), (8, "critical", None)], down_s=4, within_s=5, clear="{event: b}"),
])  # fmt: skip


def give(some: Life, what: str, at: int, subject: int = 7) -> list[Told]:
    if what in ("begin", "end"):
        return some.found("hot@1", subject, found(what == "begin", at))
    if what == "match":
        return some.matched("hot@1", subject, at * S, at * S, 1)
    return some.cleared("hot@1", subject, at * S)


def flips(seconds: Sequence[int], of_pattern: bool, pick: Sequence[bool]) -> list[tuple[int, str]]:
    """Begin and end by turns, or matches and clears as `pick` says."""
    if of_pattern:
        kinds = ["match" if one else "clear" for one in pick]
    else:
        kinds = ["begin" if number % 2 == 0 else "end" for number in range(len(seconds))]
    return list(zip(seconds, kinds, strict=False))


@settings(max_examples=150, deadline=None)
@given(
    made=KIND,
    seconds=st.lists(st.integers(0, 50), max_size=12).map(sorted),
    pick=st.lists(st.booleans(), min_size=12, max_size=12),
    horizons=st.sets(st.integers(0, 60)),
    restart=st.integers(0, 60),
)
def test_against_a_clock_that_ticks(
    made: Rule, seconds: list[int], pick: list[bool], horizons: set[int], restart: int
) -> None:
    """Whenever the horizon moves, and whenever the state goes through JSON: the same is told."""
    inputs = flips(seconds, made.pattern is not None, pick)
    rules = {made.key: made}
    some, told = Life(rules), []
    for now in range(61):
        if now in horizons:
            told += [each for _, _, each in some.advance(now * S)]
        if now == restart:
            plain = json.loads(json.dumps(some.to_plain()))
            some = Life.from_plain(rules, plain)
            assert some.to_plain() == plain
        for _, what in [each for each in inputs if each[0] == now]:
            told += give(some, what, now)
    told += [each for _, _, each in some.advance(60 * S)]
    events = [(t.status, t.severity, t.onset_ms // S, t.event_ms // S) for t in told]
    assert events == slow_life.run(made, inputs, 60)


@settings(max_examples=60, deadline=None)
@given(
    made=KIND,
    inputs=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 2), st.booleans()),
        max_size=30,
        unique_by=lambda each: each[0],
    ).map(sorted),
    fork=st.integers(0, 60),
)
def test_a_silent_copy_tells_of_what_began_after_the_fork(
    made: Rule, inputs: list[tuple[int, int, bool]], fork: int
) -> None:
    """And of nothing else, although it knows when the older ones end, and whether new ones do."""
    some, beside = life(made), None
    begun: set[tuple[int, int]] = set()
    for now, subject, pick in inputs:
        if beside is None and now >= fork:
            beside = some.copy()
            beside.inherit()
        what = what_next(made, subject, pick, some)
        told = [(subject, each) for each in give(some, what, now, subject)]
        told += [(other, each) for _, other, each in some.advance(now * S)]
        if beside is None:
            continue
        begun |= {(who, t.onset_ms) for who, t in told if t.status == "firing"}
        heard = [(subject, each) for each in give(beside, what, now, subject)]
        heard += [(other, each) for _, other, each in beside.advance(now * S)]
        assert heard == [(who, t) for who, t in told if (who, t.onset_ms) in begun]


def what_next(made: Rule, subject: int, pick: bool, some: Life) -> str:
    """A match or a clear; of conditions begin and end by turns, the latches see to that."""
    if made.pattern is not None:
        return "match" if pick else "clear"
    alert = some._alerts.get(("hot@1", subject))
    return "begin" if alert is None or alert.quiet else "end"


# -- lanes, rules, state


def test_what_was_inherited_is_silent_and_what_comes_then_is_not() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    lane = some.copy()
    lane.inherit()
    assert firing(lane) == []
    assert due(lane, 300) == [] and due(some, 300) == [("updated", "warning", 300)]
    assert lane.found("hot@1", 7, found(False, 310, 0)) == []
    assert due(lane, 430) == []  # came down and was over, in silence
    assert short(lane.found("hot@1", 7, found(True, 440))) == [("firing", "info", 440)]
    assert firing(some) == [(7, 0)]


def test_an_inherited_alert_whose_end_nobody_told_makes_room() -> None:
    lane = life(rule(STEPS))
    lane.found("hot@1", 7, found(True, 0))
    lane.inherit()
    (began,) = lane.found("hot@1", 7, found(True, 100))
    assert (began.status, began.onset_ms) == ("firing", 100_000)


def test_a_lane_that_comes_to_its_end_resolves_what_it_raised() -> None:
    lane = life(rule(STEPS, down_s=60))
    lane.found("hot@1", 1, found(True, 0))
    lane.inherit()
    lane.found("hot@1", 2, found(True, 10))
    lane.found("hot@1", 3, found(True, 20))
    lane.found("hot@1", 3, found(False, 30, 20))
    assert [(s, t.status, t.event_ms) for _, s, t in lane.finish(320 * S)] == [
        (3, "resolved", 90_000), (2, "updated", 310_000), (2, "resolved", 320_000),
    ]  # fmt: skip
    assert lane.finish(400 * S) == []


def test_a_lane_that_is_released_knows_of_no_alert() -> None:
    lane = life(rule(STEPS))
    lane.found("hot@1", 7, found(True, 0))
    lane.release()
    assert (firing(lane), lane.due_ms(), due(lane, 9999)) == ([], None, [])


def test_a_copy_is_a_life_of_its_own() -> None:
    some = life(rule(STEPS))
    some.found("hot@1", 7, found(True, 0))
    other = some.copy()
    assert due(some, 300) == due(other, 300) != []
    some.found("hot@1", 7, found(False, 310, 0))
    assert firing(other) == [(7, 0)]


def test_a_rule_that_is_gone_is_resolved_by_whoever_asks() -> None:
    some = life(rule(STEPS), rule(STEPS, name="wet"))
    some.found("hot@1", 9, found(True, 0))
    some.found("hot@1", 7, found(True, 1))
    some.found("wet@1", 7, found(True, 1))
    some.advance(300 * S)
    left = Life.from_plain({"wet@1": rule(STEPS, name="wet")}, some.to_plain())
    assert left.rules() == ["hot@1", "wet@1"] and not left.takes("hot@1")
    assert [key for key, _, _ in left.advance(2000 * S)] == ["wet@1", "wet@1"]
    assert [(s, *each) for s, told in left.drop("hot@1", 400 * S) for each in short([told])] == [
        (7, "resolved", "info", 400), (9, "resolved", "warning", 400),
    ]  # fmt: skip
    assert left.rules() == ["wet@1"]


def test_a_rule_that_lost_its_steps_under_the_same_version_ends_what_it_began() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.found("hot@1", 8, found(True, 0))
    some.advance(1000 * S)
    some.found("hot@1", 8, found(False, 1000, 0))
    plain = rule()
    assert not lives(plain) and not life(plain).takes("hot@1")
    after = Life.from_plain({"hot@1": plain}, some.to_plain())
    assert after.takes("hot@1")
    assert due(after, 1001) == [("resolved", "critical", 1000)]
    ended = after.found("hot@1", 7, found(False, 1100, 0))
    assert short(ended) == [("resolved", "critical", 1100)]


def test_a_rule_that_lost_some_of_its_life_under_the_same_version() -> None:
    some = life(rule(STEPS, down_s=60))
    some.found("hot@1", 7, found(True, 0))
    some.advance(1000 * S)
    some.found("hot@1", 7, found(False, 1000, 0))
    fewer = Life.from_plain({"hot@1": rule(STEPS[:1], down_s=60)}, some.to_plain())
    assert due(fewer, 2000) == [("updated", "info", 1060), ("resolved", "critical", 1120)]
    at_once = Life.from_plain({"hot@1": rule(STEPS)}, some.to_plain())
    assert due(at_once, 2000) == [("resolved", "critical", 1000)]


def test_a_rule_that_got_steps_under_the_same_version_ends_what_began_before() -> None:
    (ended,) = life(rule(STEPS)).found("hot@1", 7, found(False, 20, 10))
    assert ended == Told("resolved", "info", "", 10_000, 20_000, 90.0, 80.0, 0)


def test_which_rules_have_a_life() -> None:
    assert [lives(each) for each in (rule(), rule(STEPS), rule(down_s=5), rule(within_s=5))] == [
        False, True, True, True,
    ]  # fmt: skip


def test_an_old_state_is_read_and_one_of_a_later_version_refused() -> None:
    plain = {
        "version": 1, "horizon_ms": 305_000,
        "alerts": [["hot@1", 7, 5000, "warning", 10_000, 10_000, 90.0, None, 0, 1, 0, False, True]],
    }  # fmt: skip
    some = Life.from_plain({"hot@1": rule(STEPS)}, plain)
    assert some.to_plain() == plain
    assert due(some, 910) == [("updated", "critical", 910)]
    with pytest.raises(BadState, match="state version 2; this code knows up to 1"):
        Life.from_plain({}, plain | {"version": 2})


def test_a_clock_that_was_set_far_back_does_not_stop_the_timers() -> None:
    some = life(rule(STEPS, down_s=60))
    year_s = 365 * 86_400
    some.found("hot@1", 7, found(True, year_s))
    some.found("hot@1", 8, found(True, year_s))
    some.found("hot@1", 8, found(False, year_s, year_s))
    some.advance(year_s * S)
    assert due(some, 1000) == []
    assert due(some, 1000 + 300 + 60) == [("resolved", "info", 1360)]
    assert due(some, 1000 + 300 + 300) == [("updated", "warning", 1600)]


# -- storms


def test_five_thousand_alerts_escalate_at_once() -> None:
    some, count = life(rule(STEPS, down_s=60)), 5000
    begin = time.perf_counter()
    for subject in range(count):
        some.found("hot@1", subject, found(True, 10 + subject / 10_000))
    fired = time.perf_counter()
    idle = some.advance(300 * S)
    told = some.advance(311 * S)
    escalated = time.perf_counter()
    assert idle == [] and len(told) == count
    assert [subject for _, subject, _ in told] == list(range(count))
    print(  # noqa: T201 - how long it took, for whoever asks with -s
        f"{count} alerts: fired in {(fired - begin) * 1000:.0f} ms, "
        f"escalated in {(escalated - fired) * 1000:.0f} ms"
    )


def test_an_alert_that_flaps_for_a_day_costs_no_memory() -> None:
    some = life(rule([(86_400, "critical", None)], down_s=3600))
    for at in range(0, 4000, 2):
        some.found("hot@1", 7, found(True, at))
        some.found("hot@1", 7, found(False, at + 1, at))
    assert len(some._due._heap) <= 66
