"""Timers of a slow gateway: what they find, what they must not find, and that a crash before or
after one changes nothing."""

from __future__ import annotations

import json
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.plant import T0
from tests.udfs.slow_gateway import FLOW, HEAT, LEVEL, RULES, Slow, sample, story
from tests.udfs.steps import Call, assert_deterministic, call, is_due
from udfs.batch import Batch
from udfs.detect_step import DetectStep
from udfs.records import ALERTS, Output

CALM = {HEAT: 20.0, FLOW: 0.0, LEVEL: 1.0}
HOT = CALM | {HEAT: 90.0}
NO_LEVEL = {HEAT: 20.0, FLOW: 0.0}
Seen = tuple[str, str, float]


def new() -> DetectStep:
    return DetectStep("plant-1", "gw-1", RULES, Slow())


def restore(data: bytes) -> DetectStep:
    return DetectStep.restore(data, RULES, Slow())


def arrive(step: DetectStep, *batches: Batch) -> list[Output]:
    """Each is there 50 ms after its tick."""
    return [out for each in batches for out in call(step, each.time_ms + 1050, each)]


def alerts(outputs: list[Output]) -> list[Seen]:
    """Rule, status and event time in seconds."""
    found = [json.loads(output.value) for output in outputs if output.topic == ALERTS]
    return [(one["rule"], one["status"], (one["event_ms"] - T0) / 1000) for one in found]


def wake_s(step: DetectStep) -> float | None:
    wake_ms = step.wake_at()
    return None if wake_ms is None else (wake_ms - T0) / 1000


def on_timer(step: DetectStep, second: float) -> list[Output]:
    return step.on_timer(T0 + round(second * 1000))


def test_an_absence_is_found_between_two_batches() -> None:
    step = new()
    assert alerts(arrive(step, sample(0, 0, CALM), sample(1, 1, HOT))) == []
    assert wake_s(step) == 6.05  # a batch of second 5 would be there: nothing came before 6
    assert on_timer(step, 6.049) == []
    assert alerts(on_timer(step, 6.05)) == [("unanswered", "firing", 6.0)]
    # 7 s after it fired it escalates, which is later than the next batch is due
    assert wake_s(step) == 1 + 1.05 + 45
    assert alerts(arrive(step, sample(11, 2, CALM), sample(12, 3, CALM))) == [
        ("unanswered", "updated", 13.0)
    ]


def test_a_timer_that_comes_too_late_is_told_by_the_next_batch() -> None:
    """The gateway is overdue by then: what happened may lie in its spool. Nor is it woken again
    and again for what it cannot say."""
    step = new()
    arrive(step, sample(0, 0, CALM), sample(1, 1, HOT))
    assert wake_s(step) == 6.05
    assert on_timer(step, 30) == [] and wake_s(step) == 1 + 1.05 + 45
    assert restore(step.snapshot()).wake_at() == step.wake_at()
    assert alerts(arrive(step, sample(31, 2, CALM))) == [
        ("unanswered", "firing", 6.0),
        ("unanswered", "updated", 13.0),
    ]


def test_no_timer_is_set_for_a_time_that_the_schedule_leaves_out() -> None:
    """T0 is 22:13:20, so the schedule of "mute" ends at second 400."""

    def last_heard(second: int) -> DetectStep:
        """p.level is heard until then, the rest for 21 s more."""
        step = new()
        times = [second - 10, second - 9, second, second + 10, second + 21]
        for sequence, each in enumerate(times):
            arrive(step, sample(each, sequence, CALM if each <= second else NO_LEVEL))
        return step

    open_ = last_heard(368)
    assert wake_s(open_) == 399.05
    assert alerts(on_timer(open_, 399.05)) == [("mute", "firing", 399.0)]
    closed = last_heard(369)  # 31 s later it is 22:20
    assert wake_s(closed) == 390 + 1.05 + 45
    assert on_timer(closed, 400.05) == []


def test_a_match_of_a_timer_that_goes_on_with_an_alert_says_nothing_and_counts() -> None:
    """So an engine must keep every timer that was due, not only those that said something."""
    step = new()
    arrive(step, sample(0, 0, CALM), sample(1, 1, HOT))
    assert len(alerts(on_timer(step, 6.05))) == 1
    arrive(step, sample(11, 2, CALM), sample(21, 3, HOT))
    before, wake_ms = step.snapshot(), step.wake_at()
    assert wake_ms == T0 + 26_050 and is_due(step, wake_ms)
    assert step.on_timer(wake_ms) == [] and step.snapshot() != before


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_interruptions_change_nothing(seed: int) -> None:
    rnd = random.Random(seed)
    calls = with_timers(story(rnd, 30))
    assert_deterministic(new, restore, calls, rnd)


def with_timers(calls: list[Call]) -> list[Call]:
    """With every timer at its very time, too."""
    step, made = new(), list[Call]()
    for now_ms, what in calls:
        while (wake_ms := step.wake_at()) is not None and wake_ms < now_ms and now_ms % 3:
            at_ms = max(wake_ms, made[-1][0])
            call(step, at_ms, None)
            made.append((at_ms, None))
        call(step, now_ms, what)
        made.append((now_ms, what))
    return made


def test_the_random_plants_have_all_of_it() -> None:
    by_timer, found, silent_but_due = set[Seen](), set[str](), 0
    for seed in range(10):
        step, rnd = new(), random.Random(seed)
        for now_ms, what in with_timers(story(rnd, 60)):
            due = what is None and is_due(step, now_ms)
            outputs = call(step, now_ms, what)
            silent_but_due += due and not outputs
            found |= {f"{rule} {status}" for rule, status, _ in alerts(outputs)}
            by_timer |= {each[:2] for each in alerts(outputs) if what is None}  # type: ignore
    assert found == {
        f"{rule} {status}"
        for rule in ("unanswered", "mute", "mute-then-hot", "silent")
        for status in ("firing", "resolved")
    } | {"unanswered updated"}
    assert {("unanswered", "firing"), ("mute", "firing"), ("silent", "firing")} <= by_timer
    assert silent_but_due > 10
