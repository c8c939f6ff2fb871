"""What was counted against what Kafka acknowledged: verified, different, unaccounted."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs import accounts
from udfs.accounts import (
    MAX_DIFFERENT,
    MAX_RANGES,
    PATIENCE_MS,
    QUIET_BATCHES,
    STALLED_MS,
    TOLD_MS,
    Accounts,
)
from udfs.awaited import MAX_CLAIMS, Claim, Claims
from udfs.batch import Batch, Lane
from udfs.book import MAX_BATCHES, Book, Range
from udfs.coverage import Coverage
from udfs.fingerprint import fingerprint, total
from udfs.ledger import Word

T0 = 1_700_000_040_000
Told = tuple[int, int, int, int]


def batch(sequence: int, epoch: int = 1, **more: Any) -> Batch:
    value = np.array([1.5, sequence / 10])
    more = {"sent_ms": T0 + sequence * 1000} | more
    return Batch("plant-1", "gw-1", epoch, sequence, T0 + sequence * 1000, value, **more)


def told(first: int, last: int, epoch: int = 1) -> Told:
    """A true range."""
    prints = [fingerprint(batch(sequence, epoch)) for sequence in range(first, last + 1)]
    return first, last, 2 * len(prints), total(*prints)


class Cloud:
    """Accounts and the coverage that they belong to; the time is that of the last call."""

    def __init__(self) -> None:
        self.accounts, self.coverage, self.now_ms = Accounts(), Coverage(), T0

    def count(self, *sequences: int, epoch: int = 1, **more: Any) -> None:
        for sequence in sequences:
            each = batch(sequence, epoch, **more)
            verdict = self.coverage.admit(epoch, sequence, each.time_ms, self.now_ms)
            self.accounts.count(each, verdict, self.now_ms)

    def word(self, *ranges: Told, through: int = -1, sent_ms: int = 0, **more: Any) -> None:
        word = Word(
            "plant-1", "gw-1", more.pop("epoch", 1), 10**9, 0, **more, ranges=ranges,
            acknowledged_through=through, sent_ms=sent_ms,
        )  # fmt: skip
        for first, last in word.lost:
            self.coverage.declare_lost(word.epoch, first, last, self.now_ms)
        self.accounts.take(word, self.coverage, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.accounts.settle(self.coverage, self.now_ms)

    def said(self) -> tuple[int, int, list[tuple[int, int]], list[tuple[int, int]]]:
        """(verified through, verified readings, unaccounted, different)."""
        found = self.accounts
        claims = [(claim.first, claim.last) for claim in found.unaccounted()]
        different = [(first, last) for _, first, last, _ in found.different]
        return found.verified_through, found.verified_readings, claims, different


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def test_words_after_batches_and_before(cloud: Cloud) -> None:
    cloud.count(0, 1, 2)
    cloud.word(told(0, 2), told(3, 5))
    assert cloud.said() == (2, 6, [], [])
    cloud.count(3, 5)
    cloud.wait(1000)
    assert cloud.said() == (2, 6, [], []) and cloud.accounts.waits()
    cloud.count(4)
    cloud.wait(1000)
    assert cloud.said() == (5, 12, [], []) and not cloud.accounts.waits()
    assert len(cloud.accounts.book) == len(cloud.accounts.ranges) == 0


def test_each_range_comes_in_two_words_and_batches_come_twice(cloud: Cloud) -> None:
    cloud.count(0, 1, 2, 1)
    for _ in range(2):
        cloud.word(told(0, 1), told(2, 2))
        cloud.count(2)
    cloud.wait(10**6)
    assert cloud.said() == (2, 6, [], []) and not cloud.accounts.ranges


@pytest.mark.parametrize(
    "wrong", [(0, 2, 6, 1), (0, 2, 5, told(0, 2)[3]), (0, 2, 6, (told(0, 2)[3] + 2**63) % 2**64)]
)
def test_a_range_of_other_content_is_different(cloud: Cloud, wrong: Told) -> None:
    cloud.count(*range(5))
    for _ in range(2):
        cloud.word(wrong, told(3, 4))
    assert cloud.said() == (4, 4, [], [(0, 2)])
    assert cloud.accounts.gauges() == {"unaccounted_batches": 0, "different_ranges": 1}
    cloud.wait(TOLD_MS + 1)
    assert cloud.accounts.gauges()["different_ranges"] == 0
    assert cloud.said() == (4, 4, [], [(0, 2)])  # it stays named


def test_what_was_acknowledged_and_never_came_is_unaccounted(cloud: Cloud) -> None:
    cloud.count(0, 1, 5)
    cloud.word(told(0, 2), through=5)
    cloud.wait(PATIENCE_MS - 1)
    assert cloud.said() == (-1, 0, [], [])
    cloud.wait(1)
    assert cloud.said() == (-1, 0, [(2, 4)], [])
    assert cloud.accounts.gauges() == {"unaccounted_batches": 3, "different_ranges": 0}
    cloud.count(3)
    assert cloud.said()[2] == [(2, 2), (4, 4)]
    cloud.word(told(0, 2), through=5, lost=((4, 4),))
    cloud.count(2)
    cloud.wait(1)
    assert cloud.said() == (2, 6, [], [])


def test_ranges_alone_name_what_did_not_come(cloud: Cloud) -> None:
    cloud.count(0, 1, 9)
    cloud.word(told(3, 4), told(8, 9))  # an outage is under way: 2 and 5 to 7 are in the spool
    cloud.wait(PATIENCE_MS)
    assert cloud.said() == (-1, 0, [(3, 4), (8, 8)], [])


def test_a_neighbouring_loss_is_named_as_one(cloud: Cloud) -> None:
    cloud.count(0)
    for through in (4, 9, 30):
        cloud.word(through=through)
        cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == [(1, 30)]
    assert cloud.accounts.gauges()["unaccounted_batches"] == 30


def test_nobody_is_called_missing_while_the_topics_are_behind(cloud: Cloud) -> None:
    """After an outage of the job the words are read at once, and the batches for minutes."""
    said_ms = T0 + 100_000
    cloud.word(through=100, sent_ms=said_ms)
    for sequence in range(90):
        cloud.count(sequence)
        cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == []
    cloud.count(*range(90, 101))  # the last was sent when the word was: the topic is read past it
    cloud.word(through=101, sent_ms=said_ms)
    cloud.count(102, 200, sent_ms=said_ms + 1000)
    cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == [(101, 101)]


def test_a_backlog_that_still_comes_is_waited_for(cloud: Cloud) -> None:
    said_ms = T0 + 100_000
    cloud.count(50, sent_ms=said_ms)
    cloud.word(through=20, sent_ms=said_ms)
    for sequence in range(20):
        cloud.wait(PATIENCE_MS - 1)
        cloud.count(sequence, lane=Lane.BACKLOG, sent_ms=said_ms - 9000)
    assert cloud.said()[2] == []
    cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == [(20, 20)]


def test_a_lane_that_stopped_is_given_up_after_a_while(cloud: Cloud) -> None:
    cloud.count(0)
    cloud.word(through=3, sent_ms=T0 + 5000)
    cloud.wait(STALLED_MS - 1)
    assert cloud.said()[2] == []
    cloud.wait(1)
    assert cloud.said()[2] == [(1, 3)]


def test_a_late_batch_is_no_loss_and_is_not_compared(cloud: Cloud) -> None:
    cloud.count(0, 2)
    cloud.word(told(0, 2), through=2)
    cloud.coverage.give_up_oldest()
    cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == [(1, 1)]  # the cloud gave it up; the gateway did not say so
    cloud.count(1)
    cloud.wait(1)
    assert cloud.said() == (-1, 0, [], []) and len(cloud.accounts.book) == 2


def test_epochs_are_kept_apart(cloud: Cloud) -> None:
    cloud.count(0, 1)
    cloud.count(0, 1, epoch=2)
    cloud.word(told(0, 1, epoch=2), epoch=2, through=1)
    assert cloud.said() == (1, 4, [], []) and cloud.accounts.verified_epoch == 2
    cloud.word(told(0, 1), through=4)
    cloud.wait(PATIENCE_MS)
    assert cloud.said() == (1, 8, [(2, 4)], []) and cloud.accounts.verified_epoch == 2
    assert cloud.accounts.unaccounted()[0].epoch == 1


def test_a_gateway_without_ranges_costs_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Batch] = []

    def noted(batch: Batch) -> int:
        made.append(batch)
        return fingerprint(batch)

    monkeypatch.setattr(accounts, "fingerprint", noted)
    cloud.count(*range(1000))
    cloud.word()
    assert len(cloud.accounts.book) == len(made) == QUIET_BATCHES
    # the first range begins it; what has no fingerprint is not verified, and nothing is made of it
    cloud.word(told(0, 9), told(990, 999), through=999)
    cloud.count(1000, 1001)
    cloud.word(told(990, 999), told(1000, 1001), through=1001)
    cloud.wait(10**9)
    assert cloud.said() == (1001, 24, [], []) and not cloud.accounts.ranges


def test_everything_is_bounded() -> None:
    cloud = Cloud()
    cloud.word((10**9, 10**9, 1, 1))
    cloud.count(*range(0, 2 * MAX_BATCHES + 4000, 2))
    assert MAX_BATCHES // 2 < len(cloud.accounts.book) <= MAX_BATCHES
    cloud.word(*((n, n, 1, 1) for n in range(10**6, 10**6 + 3 * MAX_RANGES, 2)))
    assert len(cloud.accounts.ranges) == MAX_RANGES
    assert len(cloud.accounts.claims) == MAX_CLAIMS
    cloud.word(*((n, n, 1, 1) for n in range(15_000, 16_000, 2)))
    assert len(cloud.accounts.different) == MAX_DIFFERENT
    assert cloud.said()[3][-1] == (15_998, 15_998)


def test_a_word_on_absurd_numbers_costs_nothing(cloud: Cloud) -> None:
    cloud.count(0)
    cloud.word((0, 2**62 - 1, 2**62 - 1, 2**64 - 1), through=2**62 - 1)
    cloud.wait(PATIENCE_MS)
    assert cloud.said()[2] == [(1, 2**62 - 1)]


@given(st.integers(0, 2**32))
def test_order_does_not_matter_in_the_end(seed: int) -> None:
    """Whatever comes first: what is true is verified, what is not is named."""
    rnd, cloud = random.Random(seed), Cloud()
    lost, changed = {11, 23, 24}, (30, 33, 8, 5)
    cuts = [0, *sorted(rnd.sample(range(1, 29), 5)), 30]
    ranges = [told(a, b - 1) for a, b in pairwise(cuts)]
    calls: list[tuple[str, Any]] = [("batch", n) for n in range(36) if n not in lost]
    calls += [("word", [*ranges[i : i + 2], changed, told(34, 35)]) for i in range(len(ranges))]
    rnd.shuffle(calls)
    for kind, what in calls:
        if kind == "batch":
            cloud.count(what)
        else:
            cloud.word(*what)
        cloud.wait(rnd.choice([0, 1000]))
    cloud.word(through=35)
    cloud.wait(STALLED_MS)
    whole = [r for r in ranges if not lost & set(range(r[0], r[1] + 1))]
    assert cloud.said() == (35, sum(r[2] for r in whole) + 4, [(11, 11), (23, 24)], [(30, 33)])


def test_the_state_goes_on(cloud: Cloud) -> None:
    cloud.count(0, 1, 2, 4)
    cloud.word(told(0, 1), (2, 2, 2, 9), told(3, 4), through=5)
    cloud.wait(PATIENCE_MS)
    again = Accounts.from_fields(cloud.accounts.to_fields() | {"minute.0": b"of somebody else"})
    assert str(again.to_fields()) == str(cloud.accounts.to_fields())
    cloud.accounts = again
    cloud.count(3, 5)
    cloud.wait(1)
    assert cloud.said() == (4, 8, [], [(2, 2)])
    assert again.gauges() == {"unaccounted_batches": 0, "different_ranges": 1}


# -- numbers that are waited for, against a set of numbers

spans = st.tuples(st.integers(1, 2), st.integers(0, 30), st.integers(0, 9))


@given(st.lists(st.tuples(st.booleans(), spans), max_size=30))
def test_claims_are_as_a_set(steps: list[tuple[bool, tuple[int, int, int]]]) -> None:
    claims, model = Claims(), set()
    for add, (epoch, first, more) in steps:
        numbers = {(epoch, n) for n in range(first, first + more + 1)}
        if add:
            claims.add(Claim(epoch, first, first + more, 1, 2))
            model |= numbers
        else:
            claims.remove(epoch, first, first + more)
            model -= numbers
        found = [(c.epoch, n) for c in claims for n in range(c.first, c.last + 1)]
        assert found == sorted(model)
        assert sum(claim.count() for claim in claims) == len(model)
    assert [c.first for c in Claims(claims.rows())] == [c.first for c in claims]


def test_who_said_it_first_is_kept() -> None:
    claims = Claims()
    claims.add(Claim(1, 5, 9, 100, 200))
    claims.add(Claim(1, 0, 20, 300, 400))
    assert [(c.first, c.last, c.said_ms) for c in claims] == [
        (0, 4, 300), (5, 9, 100), (10, 20, 300),
    ]  # fmt: skip


# -- the book, against plain Python


def fill(book: Book, rows: Iterable[tuple[int, int]]) -> None:
    for epoch, sequence in rows:
        book.add(epoch, sequence, sequence + 1, 2**64 - 1 - sequence)


@given(st.sets(st.tuples(st.integers(1, 2), st.integers(0, 20)), max_size=30), st.randoms())
def test_the_book_compares_what_it_holds(rows: set[tuple[int, int]], rnd: Any) -> None:
    book = Book()
    fill(book, rnd.sample(sorted(rows), len(rows)))
    first = rnd.randrange(20)
    last = rnd.randrange(first, 21)
    held = [n for n in range(first, last + 1) if (1, n) in rows]
    true = Range(1, first, last, sum(n + 1 for n in held), sum(-1 - n for n in held) % 2**64)
    wrong = rnd.random() < 0.3
    (equal,) = book.compare([true._replace(fingerprint=7) if wrong else true])
    whole = len(held) == last - first + 1
    assert equal is ((not wrong) if whole else None)
    assert len(book) == len(rows) - (len(held) if whole else 0)


def test_the_book_forgets_the_oldest() -> None:
    book = Book()
    fill(book, ((1, n) for n in range(MAX_BATCHES + 1)))
    kept = book.rows[:, 1].tolist()
    assert kept == list(range(MAX_BATCHES + 1))[-len(kept) :] and len(kept) == 6145
