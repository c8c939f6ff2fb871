"""A reading is a repeat only if exactly its slot and time were taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import repeats as module
from edge.repeats import Repeats
from udfs.batch import Batch
from udfs.state import pack, unpack

T0 = 1_700_000_000_000


def ask(repeats: Repeats, *pairs: tuple[int, int]) -> list[bool]:
    """Which of (slot, ms after T0) are new."""
    slot = np.array([s for s, _ in pairs], np.uint32)
    return repeats.fresh(slot, np.array([T0 + t for _, t in pairs], np.int64)).tolist()


def test_the_same_message_twice():
    repeats = Repeats()
    assert ask(repeats, (0, 10), (1, 10), (5, 20)) == [True] * 3
    assert ask(repeats, (0, 10), (1, 10), (5, 20)) == [False] * 3


def test_an_older_reading_that_was_never_taken_is_new():
    repeats = Repeats()
    ask(repeats, (0, 1000), (3, 2000))
    assert ask(repeats, (0, 500), (1, 1000), (3, 1000), (3, 1999), (3, 2000)) == [
        True, True, True, True, False,
    ]  # fmt: skip
    assert ask(repeats, (3, 1000), (3, 1001), (3, 1999)) == [False, True, False]


def test_several_of_a_sensor_at_once():
    repeats = Repeats()
    assert ask(repeats, (0, 1), (0, 2), (0, 3), (1, 1)) == [True] * 4
    assert ask(repeats, (0, 0), (0, 2), (0, 4), (1, 2)) == [True, False, True, True]


def test_pairs_are_forgotten_when_event_time_has_gone_on_and_kept_until_then(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "LEAST_READINGS", 1)
    repeats = Repeats(repeat_s=120)
    ask(repeats, (0, 0), (1, 0))
    ask(repeats, (0, 1000))
    ask(repeats, (0, 120_000))
    assert ask(repeats, (0, 0), (1, 0)) == [False, False]
    ask(repeats, (0, 120_001))
    # slot 1 has nothing newer: that this was the last one taken is known for ever
    assert ask(repeats, (0, 0), (1, 0)) == [True, False]


def test_the_last_million_is_known_however_much_time_has_gone_on():
    """Ten minutes that a broker had kept are taken in at once; no PUBACK gets through to it."""
    repeats = Repeats(repeat_s=120)
    for second in range(600):
        ask(repeats, (0, second * 1000), (1, second * 1000))
    again = Repeats(repeat_s=120)
    again.from_fields(repeats.to_fields())
    for known in (repeats, again):
        for second in range(600):
            assert ask(known, (0, second * 1000), (1, second * 1000)) == [False, False]


def test_late_readings_are_known_as_long_as_others():
    """What a device had buffered for a day comes twice, because the gateway was killed."""
    repeats = Repeats(repeat_s=120)
    day = 86_400_000
    ask(repeats, (0, day), (1, day))
    assert ask(repeats, (0, 5), (0, 1005)) == [True, True]
    ask(repeats, (0, day + 60_000))
    assert ask(repeats, (0, 5), (0, 1005)) == [False, False]


def test_batches_that_were_sent_are_known():
    repeats = Repeats()
    repeats.take(Batch("f", "g", 1, 1, T0, np.zeros(3)))
    repeats.take(
        Batch(
            "f", "g", 1, 2, T0 + 1000, np.zeros(2),
            sensor=np.array([0, 4], np.uint32), offset_ms=np.array([7, 999], np.int32),
        )
    )  # fmt: skip
    repeats.take(Batch("f", "g", 1, 3, T0 + 2000, np.zeros(0)))
    assert ask(repeats, (0, 0), (1, 0), (2, 0), (2, 1)) == [False, False, False, True]
    assert ask(repeats, (0, 1007), (3, 1000), (4, 1998), (4, 1999)) == [False, True, True, False]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_PAIRS", 100)
    monkeypatch.setattr(module, "MAX_CHUNKS", 50)
    repeats = Repeats(repeat_s=3600)
    ask(repeats, (9, 10_000_000))
    for number in range(300):
        ask(repeats, *[(slot, number * 10) for slot in range(1, 6)])
    state = repeats.to_fields()
    assert len(state["slots"]) <= 100
    assert len(state["chunks"]) <= 50
    assert ask(repeats, (1, 2980), (1, 2990)) == [False, False]


Looks = st.lists(st.sets(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=6), max_size=30)


@settings(max_examples=80, deadline=None)
@given(Looks, st.integers(0, 30))
def test_exact_also_across_a_checkpoint(looks: list[set[tuple[int, int]]], saved_at: int):
    repeats, taken = Repeats(repeat_s=120), set()
    for number, look in enumerate(looks):
        if number == saved_at:
            data = pack("repeats", 1, repeats.to_fields())
            repeats = Repeats(repeat_s=120)
            repeats.from_fields(unpack(data, "repeats")[1])
        pairs = sorted(look)
        if pairs:
            assert ask(repeats, *pairs) == [pair not in taken for pair in pairs]
        taken |= look
