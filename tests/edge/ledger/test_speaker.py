"""The gateway's words: ranges of what Kafka acknowledged, and that the cloud believes them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import ledger
from edge.ledger import MAX_NUMBERS, MAX_RANGES, Speaker
from udfs.accounts import STALLED_MS, Accounts
from udfs.batch import Batch
from udfs.coverage import Coverage
from udfs.fingerprint import fingerprint
from udfs.ledger import Word, decode_word, encode_word

T0 = 1_700_000_000_000


def speaker_of(*sequences: int, epoch: int = 1) -> Speaker:
    speaker = Speaker("plant-1", "gw-1")
    acknowledge(speaker, *sequences, epoch=epoch)
    return speaker


def acknowledge(speaker: Speaker, *sequences: int, epoch: int = 1) -> None:
    for sequence in sequences:
        speaker.acknowledged(epoch, sequence, 5, 2**63 + sequence)


def ranges(speaker: Speaker, epoch: int = 1) -> list[tuple[int, int]]:
    return [told[:2] for told in speaker.word(epoch, 99, 500).ranges]


def test_a_word_says_what_the_spool_knows() -> None:
    speaker = speaker_of(0, 1)
    word = speaker.word(1, 9, 50, [(3, 4)], [(0, 7)], 2, acknowledged_through=1, now_ms=17)
    told = ((0, 1, 10, 1),)
    assert word == Word("plant-1", "gw-1", 1, 9, 50, ((3, 4),), ((0, 7),), 17, told, 1, 2)
    assert decode_word(encode_word(word)) == word


def test_neighbours_are_one_range_in_whatever_order_they_came() -> None:
    assert ranges(speaker_of(7, 3, 2, 4, 9, 8, 0, 3)) == [(0, 0), (2, 4), (7, 9)]


def test_a_range_is_in_two_words_running_and_never_changes() -> None:
    speaker = speaker_of(0, 1, 2)
    assert ranges(speaker) == [(0, 2)]
    acknowledge(speaker, 3, 4)
    assert ranges(speaker) == [(0, 2), (3, 4)]
    assert ranges(speaker) == [(3, 4)]
    assert ranges(speaker) == [] and speaker.epochs() == []


def test_a_long_run_is_several_ranges() -> None:
    assert ranges(speaker_of(*range(150))) == [(0, 63), (64, 127), (128, 149)]
    assert MAX_NUMBERS == 64


def test_the_rest_follows_in_the_next_words() -> None:
    speaker = speaker_of(*range(0, 500, 2))
    told = [ranges(speaker) for _ in range(5)]
    assert [len(word) for word in told] == [100, MAX_RANGES, 150, 50, 0]
    assert [first for first, _ in told[1]] == list(range(0, 400, 2))


def test_each_epoch_has_its_own_words() -> None:
    speaker = speaker_of(5, 6, epoch=2)
    acknowledge(speaker, 99, epoch=1)
    assert speaker.epochs() == [1, 2]
    assert (ranges(speaker, 2), ranges(speaker, 1)) == ([(5, 6)], [(99, 99)])
    assert (ranges(speaker, 1), ranges(speaker, 2)) == ([(99, 99)], [(5, 6)])
    assert speaker.epochs() == []


def test_what_nobody_asks_for_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_UNTOLD", 10)
    speaker = speaker_of(*range(8))
    acknowledge(speaker, *range(6), epoch=2)
    assert ranges(speaker) == [(4, 7)] and ranges(speaker, 2) == [(0, 5)]
    acknowledge(speaker, *range(50, 62))  # what was told makes room
    assert ranges(speaker) == [(4, 7), (52, 61)]


def batch(sequence: int) -> Batch:
    value = np.array([1.5, sequence / 10])
    return Batch("plant-1", "gw-1", 1, sequence, T0, value, sent_ms=T0)


@given(st.integers(0, 2**32))
def test_the_cloud_verifies_what_it_is_told(seed: int) -> None:
    """Words get lost, the gateway is killed, batches come in any order and twice: nothing is ever
    called different or unaccounted; without kills, and with no two words lost running, all numbers
    are verified.
    """
    rnd = random.Random(seed)
    kills = rnd.random() < 0.5
    accounts, coverage, speaker = Accounts(), Coverage(), Speaker("plant-1", "gw-1")
    waiting = list(range(rnd.randrange(1, 200)))
    lost_word = False
    for now_ms in range(T0, T0 + 10**9, 10_000):
        sent = [waiting.pop(rnd.randrange(min(len(waiting), 5))) for _ in waiting[:20]]
        for sequence in sent + rnd.sample(sent, len(sent) // 4):
            each = batch(sequence)
            verdict = coverage.admit(1, sequence, each.time_ms, now_ms)
            accounts.count(each, verdict, now_ms)
            speaker.acknowledged(1, sequence, len(each), fingerprint(each))
        if kills and rnd.random() < 0.2:
            speaker = Speaker("plant-1", "gw-1")
        word = speaker.word(1, 0, 0, now_ms=now_ms)
        lost_word = not lost_word and rnd.random() < 0.3
        if not lost_word:
            accounts.take(word, coverage, now_ms)
        if not waiting and not speaker.epochs():
            break
    accounts.settle(coverage, now_ms + STALLED_MS)
    assert (accounts.different, accounts.unaccounted()) == ([], [])
    (everything,) = coverage.ranges
    counted, verified = everything.last.sequence + 1, accounts.verified_readings // 2
    assert verified <= counted if kills else verified == counted
