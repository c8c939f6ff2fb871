"""Wrong clocks are repaired; old readings are not mistaken for a wrong clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from edge.block import Block
from edge.filters import clocks as module
from edge.filters.clocks import Clocks
from edge.filters.settings import ClockSettings
from udfs.batch import Quality
from udfs.state import pack, unpack

T0 = 1_700_000_000_000
HOUR = 3_600_000


def block(*times: int, at: int, source: str = "line-1", historical: bool = False) -> Block:
    n = len(times)
    return Block(
        np.zeros(n, np.uint32),
        np.array(times, np.int64) + T0,
        np.zeros(n),
        np.zeros(n, np.uint8),
        source,
        T0 + at,
        historical,
    )


def run(clocks: Clocks, *blocks: Block) -> tuple[list[int], Counter[str]]:
    """Newest time of each block after repair, from T0."""
    counts: Counter[str] = Counter()
    return [int(clocks.repair(b, counts).time_ms.max()) - T0 for b in blocks], counts


def second_by_second(seconds: int, wrong_by: int, jitter: int = 7) -> list[Block]:
    """A device whose clock is wrong by so much tells a reading a second."""
    return [block(s * 1000 + wrong_by, at=s * 1000 + (s * jitter) % 50) for s in range(seconds)]


def test_a_right_clock_is_left_alone():
    clocks, blocks = Clocks(ClockSettings()), second_by_second(200, wrong_by=1500)
    assert all(clocks.repair(b, Counter()) is b for b in blocks)
    assert clocks.offsets == {}


def test_a_clock_that_is_ahead_is_repaired_at_once():
    clocks = Clocks(ClockSettings())
    first = clocks.repair(block(HOUR - 500, HOUR, at=20), Counter())
    assert (first.time_ms - T0).tolist() == [-480, 20]
    assert first.quality.tolist() == [Quality.CLOCK_REPAIRED] * 2
    times, counts = run(clocks, *second_by_second(100, wrong_by=HOUR))
    assert all(abs(time - s * 1000) <= 50 for s, time in enumerate(times))
    assert counts == {"flagged_clock_repaired": 100}
    assert clocks.offsets == {"line-1": 20 - HOUR}  # never changed: same message, same times


def test_a_clock_that_was_set_right_is_believed_again():
    clocks = Clocks(ClockSettings())
    run(clocks, block(HOUR, at=0))
    times, counts = run(clocks, block(1000, at=1010))
    assert (times, counts) == ([1000], {})
    assert clocks.offsets == {}


def test_a_clock_that_is_behind_is_repaired_after_two_windows():
    clocks = Clocks(ClockSettings(window_s=60))
    times, _ = run(clocks, *second_by_second(200, wrong_by=-HOUR))
    wrong = [s for s, time in enumerate(times) if time < s * 1000 - 60]
    assert wrong == list(range(120))
    assert all(abs(time - s * 1000) <= 50 for s, time in enumerate(times) if s >= 120)


def test_what_a_broker_kept_keeps_its_times():
    """Two hours of readings at 20 times their speed, then the present."""
    clocks = Clocks(ClockSettings(window_s=60))
    queue = [block(s * 1000, at=7_200_000 + s * 50) for s in range(7570)]
    times, counts = run(clocks, *queue)
    assert times == [s * 1000 for s in range(7570)]
    assert not counts


def test_what_a_device_had_buffered_keeps_its_times():
    clocks = Clocks(ClockSettings(window_s=10))
    blocks = [block(s * 1000 - HOUR, at=s * 1000, historical=True) for s in range(100)]
    assert run(clocks, *blocks) == ([s * 1000 - HOUR for s in range(100)], {})


@pytest.mark.parametrize("every", [HOUR, 40_000])
def test_a_few_slow_reports_prove_nothing(every: int):
    """A value now and then, ten minutes late each time: no clock."""
    clocks = Clocks(ClockSettings(window_s=60))
    blocks = [block(n * every, at=n * every + 600_000) for n in range(50)]
    assert run(clocks, *blocks) == ([n * every for n in range(50)], {})


def test_times_that_cannot_be_become_the_time_of_arrival():
    for settings in (ClockSettings(repair=False), ClockSettings()):
        clocks, counts = Clocks(settings), Counter()
        odd = block(0, at=0)
        odd = replace(odd, time_ms=np.array([2**63 - 1]), quality=np.array([Quality.BAD], np.uint8))
        repaired = clocks.repair(odd, counts)
        assert (repaired.time_ms.tolist(), repaired.quality.tolist()) == ([T0], [Quality.BAD])
        old = clocks.repair(replace(block(0, at=0), time_ms=np.array([-5])), counts)
        assert (old.time_ms.tolist(), old.quality.tolist()) == ([T0], [Quality.CLOCK_REPAIRED])
        future = clocks.repair(block(HOUR, 5, at=0, historical=True), counts)
        assert (future.time_ms - T0).tolist() == [0, 5]
        assert counts == {"flagged_impossible_time": 3}


def test_estimates_survive_a_restart_so_that_repeats_are_known():
    clocks = Clocks(ClockSettings())
    first = run(clocks, block(HOUR, at=20), block(HOUR + 1000, at=1100))[0]
    later = Clocks(ClockSettings())
    later.from_fields(unpack(pack("c", 1, clocks.to_fields()), "c")[1])
    again = run(later, block(HOUR, at=5_000), block(HOUR + 1000, at=5_001))[0]
    assert again == first == [20, 1020]
    assert later.offsets == clocks.offsets


def test_sources_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_SOURCES", 3)
    clocks = Clocks(ClockSettings())
    run(clocks, *[block(HOUR, at=0, source=f"s{n}") for n in range(5)])
    assert set(clocks.offsets) == {"s2", "s3", "s4"}
