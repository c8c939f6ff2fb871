"""Conditions fused into one find what each finds alone, and keep the same state, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udfs.conditions.band import Band
from udfs.conditions.base import Condition
from udfs.conditions.fuse import fuse
from udfs.conditions.latch import Found, Readings, State
from udfs.conditions.no_data import NoData
from udfs.conditions.quality import QualityIs
from udfs.conditions.rate_of_change import RateOfChange
from udfs.conditions.stuck import Stuck
from udfs.conditions.threshold import Threshold
from udfs.detectors.baseline import Baseline
from udfs.detectors.ewma import Ewma

T0 = 1_700_000_000_000

Make = Callable[[Random, int], Condition]


def lasts(random: Random) -> dict[str, int]:
    return {"for_ms": random.choice((0, 1000, 2500))}


def counts(random: Random) -> dict[str, int]:
    return {"at_least": 2, "of": random.choice((2, 3, 5, 64))}


def periods(random: Random, entries: int) -> np.ndarray:
    return np.array(random.choices((500.0, 1000.0, 60_000.0), k=entries))


def memory(random: Random, entries: int) -> dict[str, object]:
    return {
        "half_life_ms": random.choice((2000, 8000)),
        "period_ms": periods(random, entries),
        "warm_up": random.choice((2, 6)),
    }


def slow(random: Random, entries: int) -> np.ndarray:
    return np.array(random.choices((2000, 4000), k=entries))


FORMS: dict[str, Make] = {
    "above": lambda r, n: Threshold(r.choice((3.0, 4.0)), True, r.choice((None, 2.0)), **lasts(r)),
    "below": lambda r, n: Threshold(3.0, False, r.choice((None, 4.0)), **lasts(r)),
    "above, times": lambda r, n: Threshold(r.choice((3.0, 4.0)), True, **counts(r)),
    "band": lambda r, n: Band(2.0, r.choice((3.0, 4.0)), r.choice((0.0, 0.5)), **lasts(r)),
    "band, times": lambda r, n: Band(2.0, r.choice((3.0, 4.0)), **counts(r)),
    "rate": lambda r, n: RateOfChange(
        r.choice((0.5, 1.0)),
        r.choice((1000, 4000, 4003, 9000)),
        clear_per_s=r.choice((None, 0.3)),
        **lasts(r),
    ),
    "rate, times": lambda r, n: RateOfChange(0.5, r.choice((1000, 4000)), "up", **counts(r)),
    "stuck": lambda r, n: Stuck(slow(r, n), r.choice((0.0, 1.0))),
    "no data": lambda r, n: NoData(slow(r, n)),
    "quality": lambda r, n: QualityIs(codes=r.choice((2, 6, 16)), **lasts(r)),
    "quality, times": lambda r, n: QualityIs(codes=r.choice((2, 6, 16)), **counts(r)),
    "ewma": lambda r, n: Ewma(
        z=r.choice((1.0, 2.0)),
        min_sigma=r.choice((0.1, 0.5)),
        clear_z=r.choice((None, 0.5)),
        **memory(r, n),
        **lasts(r),
    ),
    "ewma, times": lambda r, n: Ewma(z=1.0, min_sigma=0.3, **memory(r, n), **counts(r)),
    "baseline": lambda r, n: Baseline(
        by=r.choice((0.0, 1.0)),
        share=r.choice((0.2, 0.5)),
        clear_by=r.choice((None, 0.5)),
        **memory(r, n),
        **lasts(r),
    ),
    "baseline, times": lambda r, n: Baseline(by=1.0, **memory(r, n), **counts(r)),
}


def draw(random: Random, entries: int, time: int) -> Readings:
    """Readings of all or of some entries, at one time or at several, some of them after a gap."""
    chosen = np.flatnonzero([random.random() < 0.7 for _ in range(entries)])
    at = chosen if random.random() < 0.5 else np.arange(entries)
    value = np.array([random.choice((0.0, 1.0, 2.5, 2.5, 3.0, 3.5, 4.0)) for _ in at])
    times = time if random.random() < 0.5 else time + np.array([random.randrange(900) for _ in at])
    after = at[[random.random() < 0.05 for _ in at]] if len(at) else at
    gaps = np.array([random.choice((4000, 60_000)) for _ in after], np.int64)
    some = slice(None) if len(at) == entries else at
    return Readings(some, value, times, after if len(after) else None, gaps if len(after) else None)


def part_of(readings: Readings, first: int, entries: int, total: int) -> Readings | None:
    """The readings of entries from `first` on, numbered from 0."""
    at = np.arange(total)[readings.at]
    mine = np.flatnonzero((at >= first) & (at < first + entries))
    if not len(mine):
        return None
    time = readings.time if isinstance(readings.time, int) else readings.time[mine]
    restart, gap_ms = readings.restart, readings.gap_ms
    if restart is not None and gap_ms is not None:
        own = (restart >= first) & (restart < first + entries)
        restart, gap_ms = (restart[own] - first, gap_ms[own]) if own.any() else (None, None)
    some = slice(None) if len(mine) == entries else at[mine] - first
    return Readings(some, readings.value[mine], time, restart, gap_ms)


def step(condition: Condition, state: State, readings: Readings | None, time: int) -> list[Found]:
    found = [] if readings is None else condition.step(state, readings)
    if isinstance(condition, NoData):
        if time % 7 == 0:
            condition.resume(state, time, 3000)
        found += condition.tick(state, time)
    return found


def compare(form: str, random: Random) -> int:
    """Hold a fused condition against its parts. Returns: how many findings both gave."""
    sizes = [random.choice((1, 1, 2, 4)) for _ in range(random.choice((1, 2, 4)))]
    firsts = [sum(sizes[:i]) for i in range(len(sizes))]
    parts = [FORMS[form](random, size) for size in sizes]
    whole = fuse(list(zip(parts, sizes, strict=True)))
    state, states = whole.start(sum(sizes)), [p.start(n) for p, n in zip(parts, sizes, strict=True)]
    assert whole.form == parts[0].form
    time, count = T0, 0
    for _ in range(40):
        time += random.choice((1000, 1000, 1000, 2000, 9000))
        readings = draw(random, sum(sizes), time)
        expected = []
        for part, first, size, own in zip(parts, firsts, sizes, states, strict=True):
            mine = part_of(readings, first, size, sum(sizes))
            found = step(part, own, mine, time)
            expected += [each._replace(slot=each.slot + first) for each in found]
        found = step(whole, state, readings, time)
        assert sorted(map(repr, found)) == sorted(map(repr, expected))
        count += len(found)
        for first, size, own in zip(firsts, sizes, states, strict=True):
            for name, array in own.items():
                np.testing.assert_array_equal(state[name][..., first : first + size], array)
    return count


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(FORMS)))
def test_a_fused_condition_is_its_parts(random: Random, form: str) -> None:
    compare(form, random)


@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_finds_something_to_compare(form: str) -> None:
    assert sum(compare(form, Random(seed)) for seed in range(10)) > 20


def test_what_differs_in_more_than_numbers_is_not_fused() -> None:
    made = [make(Random(0), 1) for make in FORMS.values()]
    assert len({condition.form for condition in made}) == len(made)
    with pytest.raises(ValueError, match="2 forms"):
        fuse([(made[0], 1), (made[1], 1)])


@pytest.mark.parametrize(
    ("form", "most"),
    [
        ("above", 9),
        ("above, times", 34),
        ("band", 9),
        ("rate", 113),
        ("stuck", 25),
        ("no data", 9),
        ("quality", 9),
        ("ewma", 29),
        ("baseline", 21),
    ],
)
def test_bytes_of_state_an_entry(form: str, most: int) -> None:
    state = FORMS[form](Random(0), 1000).start(1000)
    used = sum(array.nbytes for array in state.values()) / 1000
    assert used == most
