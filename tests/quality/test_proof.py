"""Ranges of a gateway against seconds of the table: what is proven, what differs for certain."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.quality.proof import Difference, prove
from udfs.book import Range


def batches(count: int, seed: int = 1) -> list[tuple[int, int]]:
    """(readings, fingerprint) of batches, one a second."""
    random = np.random.default_rng(seed)
    prints = random.integers(0, 2**64, count, np.uint64, endpoint=False).tolist()
    return [(int(n), p) for n, p in zip(random.integers(1, 9, count), prints, strict=True)]


def ranges(found: list[tuple[int, int]], size: int) -> list[Range]:
    """Told `size` at a time."""
    made = []
    for first in range(0, len(found), size):
        some = found[first : first + size]
        count, total = (sum(column) for column in zip(*some, strict=True))
        made.append(Range(1, first, first + len(some) - 1, count, total % 2**64))
    return made


def seconds(found: dict[int, list[tuple[int, int]]], length: int):
    counts, prints = np.zeros(length, np.uint64), np.zeros(length, np.uint64)
    for second, parts in found.items():
        counts[second] = sum(count for count, _ in parts)
        prints[second] = sum(print_ for _, print_ in parts) % 2**64
    return counts, prints


def test_all_is_proven_wherever_it_begins() -> None:
    found = batches(100)
    table = seconds({second + 40: [one] for second, one in enumerate(found)}, 200)
    assert prove(*table, ranges(found, 10)).proven == [True] * 10
    assert prove(*table, ranges(found, 10)).differences == []


def test_ranges_of_before_and_after_are_unproven_and_nothing_else() -> None:
    found = batches(100)
    inside = {second: [one] for second, one in enumerate(found[35:75])}
    proof = prove(*seconds(inside, 40), ranges(found, 10))
    assert proof.proven == [False] * 4 + [True] * 3 + [False] * 3
    assert proof.differences == []


def test_readings_that_are_gone_are_named_with_their_time() -> None:
    found = batches(100)
    table = {second: [one] for second, one in enumerate(found)}
    del table[42]
    told = ranges(found, 10)
    proof = prove(*seconds(table, 100), told)
    assert proof.proven == [True] * 4 + [False] + [True] * 5
    gone = told[4].readings - found[42][0]
    assert proof.differences == [Difference(1, 40, 49, told[4].readings, gone, 40, 50)]


def test_an_hour_that_is_gone_is_one_difference() -> None:
    found = batches(6000)
    table = {second: [one] for second, one in enumerate(found) if not 1000 <= second < 4600}
    told = ranges(found, 10)
    proof = prove(*seconds(table, 6000), told)
    (difference,) = proof.differences
    assert (difference.first, difference.last, difference.archived) == (1000, 4599, 0)
    assert difference.told == sum(count for count, _ in found[1000:4600])
    assert proof.proven.count(False) == 360


def test_a_reading_that_changed_or_is_there_twice_differs() -> None:
    found = batches(60)
    table = {second: [one] for second, one in enumerate(found)}
    table[25] = [(found[25][0], found[25][1] ^ 1)]
    (changed,) = prove(*seconds(table, 60), ranges(found, 10)).differences
    assert (changed.first, changed.told - changed.archived) == (20, 0)
    table[25] = [found[25], found[25]]
    (twice,) = prove(*seconds(table, 60), ranges(found, 10)).differences
    assert (twice.first, twice.archived - twice.told) == (20, found[25][0])


def test_what_nobody_told_between_two_ranges_is_a_difference() -> None:
    found = batches(40)
    table = {second + 5 * (second >= 20): [one] for second, one in enumerate(found)}
    table[22] = [(3, 12345)]
    proof = prove(*seconds(table, 45), ranges(found, 10))
    assert proof.proven == [True] * 4
    assert proof.differences == [Difference(1, 20, 29, 0, 3, 20, 23)]


def test_a_late_batch_of_an_older_second_is_proven_with_the_ranges_until_then() -> None:
    found = batches(60)
    table = {second: [one] for second, one in enumerate(found)}
    table[12] = [found[12], found[47]]  # the readings of batch 47 are of second 12
    del table[47]
    proof = prove(*seconds(table, 60), ranges(found, 10))
    assert proof.proven == [True] * 6
    assert proof.differences == []


def test_nothing_told_and_nothing_there() -> None:
    assert prove(*seconds({}, 10), []).proven == []
    assert prove(*seconds({}, 10), ranges(batches(20), 10)).proven == [False, False]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.sets(st.integers(0, 119), max_size=3), st.integers(0, 30))
def test_what_is_called_proven_is_there(size: int, gone: set[int], shift: int) -> None:
    found = batches(120)
    table = {at + shift: [one] for at, one in enumerate(found) if at not in gone}
    told = ranges(found, size)
    proof = prove(*seconds(table, 160), told)
    whole = [not gone & set(range(r.first, r.last + 1)) for r in told]
    assert all(fine or not proven for proven, fine in zip(proof.proven, whole, strict=True))
    for difference in proof.differences:
        numbers = set(range(difference.first, difference.last + 1))
        assert difference.told - difference.archived == sum(found[at][0] for at in gone & numbers)
        assert gone & numbers
