"""Time that goes by between the batches of history."""

from __future__ import annotations

from tests.udfs.plant import T0, batch, catalogue, rule, seen
from udfs.trial.replay import Replay

SHORT, LONG = (
    rule(f"no_data: {{for_s: {limit}, of: gateway}}", name=f"r{limit}") for limit in (5, 8)
)


def test_each_rule_wakes_at_its_own_limit() -> None:
    replay = Replay([SHORT, LONG], catalogue())
    replay.take(catalogue(), batch([1], 0))
    events = replay.take(catalogue(), batch([1], 20, sequence=1))
    assert seen(events) == [
        ("gateway", "firing", 0, 5), ("gateway", "firing", 0, 8),
        ("gateway", "resolved", 0, 20), ("gateway", "resolved", 0, 20),
    ]  # fmt: skip
    assert [event.created_ms - T0 for event in events] == [5000, 8000, 20_000, 20_000]


def test_a_batch_at_the_limit_is_in_time() -> None:
    for second, found in ((5.0, 0), (5.001, 2)):
        replay = Replay([SHORT], catalogue())
        replay.take(catalogue(), batch([1], 0))
        assert len(replay.take(catalogue(), batch([1], second, sequence=1))) == found


def test_what_arrived_late_was_waited_for() -> None:
    replay = Replay([SHORT], catalogue())
    late = batch([1], 1)
    late.sent_ms = T0 + 9000
    replay.take(catalogue(), batch([1], 0))
    assert seen(replay.take(catalogue(), late))[0] == ("gateway", "firing", 0, 5)
    # and from there on the clock goes on
    assert replay.take(catalogue(), batch([1], 2)) == []
