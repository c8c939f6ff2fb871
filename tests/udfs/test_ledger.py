"""The two sides of the ledger: their form, and what they say together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.batch import Reason, Refused
from udfs.ledger import Verdict, Word, compare, decode_word, encode_word

WORD = Word("plant-1", "gw-1", 2, 99, 5000, ((10, 12), (40, 40)), ((1, 604799), (0, None)), 17)

whole = st.integers(0, 2**62 - 1)
ranges = st.tuples(whole, whole).map(lambda pair: (min(pair), max(pair)))
counted_ranges = st.tuples(ranges, whole, st.integers(0, 2**64 - 1)).map(
    lambda item: (*item[0], *item[1:])
)
words = st.builds(
    Word, st.text(max_size=5), st.text(max_size=5), whole, st.integers(-1, 2**62 - 1), whole,
    st.lists(ranges, max_size=3).map(tuple),
    st.lists(st.tuples(whole, st.none() | whole), max_size=3).map(tuple), whole,
    st.lists(counted_ranges, max_size=3).map(tuple), st.integers(-1, 2**62 - 1), st.none() | whole,
)  # fmt: skip


@given(words)
def test_there_and_back(word: Word) -> None:
    assert decode_word(encode_word(word)) == word


def test_a_literal_line() -> None:
    assert json.loads(encode_word(WORD)) == {
        "contract": "hardiot.ledger.v1",
        "facility": "plant-1",
        "gateway": "gw-1",
        "epoch": 2,
        "sent_through": 99,
        "readings": 5000,
        "lost": [[10, 12], [40, 40]],
        "ended": [[1, 604799], [0, None]],
        "sent_ms": 17,
    }


def test_what_kafka_acknowledged_is_said_where_it_is_known() -> None:
    word = replace(WORD, ranges=((0, 63, 320, 255), (70, 70, 5, 2**64 - 1)))
    word = replace(word, acknowledged_through=69, pending=12)
    fields = json.loads(encode_word(word))
    assert fields["ranges"] == [[0, 63, 320, "00000000000000ff"], [70, 70, 5, "f" * 16]]
    assert (fields["acknowledged_through"], fields["pending"]) == (69, 12)
    assert decode_word(encode_word(word)) == word


def changed(**changes: Any) -> bytes:
    fields = json.loads(encode_word(WORD)) | changes
    return json.dumps({k: v for k, v in fields.items() if v != "absent"}).encode()


def test_what_may_be_absent_and_what_nobody_knows() -> None:
    word = decode_word(changed(lost="absent", ended="absent", sent_ms="absent", mood="good"))
    assert word == Word("plant-1", "gw-1", 2, 99, 5000)


@pytest.mark.parametrize(
    "changes",
    [
        {"contract": "hardiot.ledger.v2"},
        {"contract": "absent"},
        {"facility": "absent"},
        {"epoch": "absent"},
        {"epoch": -1},
        {"epoch": 2**62},
        {"epoch": True},
        {"epoch": 1.0},
        {"epoch": "1"},
        {"sent_through": -2},
        {"sent_through": 1e400},
        {"sent_through": float("nan")},
        {"sent_through": 2**62},
        {"readings": None},
        {"readings": -1},
        {"lost": 7},
        {"lost": [[1]]},
        {"lost": [[3, 2]]},
        {"lost": [[-1, 2]]},
        {"lost": [[1, 2, 3]]},
        {"lost": ["12"]},
        {"lost": {"1": 2}},
        {"ended": [[1]]},
        {"ended": [[1, -1]]},
        {"ended": [[1, 2**62]]},
        {"ended": [[1, 1e400]]},
        {"ended": [[1, "x"]]},
        {"ended": [7]},
        {"sent_ms": "now"},
        {"ranges": 7},
        {"ranges": [[1, 2, 3]]},
        {"ranges": [[2, 1, 3, "00000000000000ff"]]},
        {"ranges": [[1, 2, -1, "00000000000000ff"]]},
        {"ranges": [[1, 2, 3, 255]]},
        {"ranges": [[1, 2, 3, "ff"]]},
        {"ranges": [[1, 2, 3, "0000000000000FFF"]]},
        {"ranges": [[1, 2, 3, "0x00000000000fff"]]},
        {"acknowledged_through": -2},
        {"acknowledged_through": None},
        {"pending": -1},
        {"pending": None},
    ],
    ids=repr,
)
def test_a_line_that_is_wrong_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        decode_word(changed(**changes))
    assert refused.value.reason is Reason.BAD_LEDGER and len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff\xfe", b"{}", b"[" * 10**5, b"9" * 5000]
)
def test_what_is_no_line_is_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        decode_word(data)
    assert refused.value.reason is Reason.BAD_LEDGER


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_json_in_any_field_is_read_or_refused(value: Any) -> None:
    for name in json.loads(encode_word(WORD)):
        try:
            decode_word(changed(**{name: value}))
        except Refused as refused:
            assert refused.reason is Reason.BAD_LEDGER


LINE = {
    "facility": "plant-1", "gateway": "gw-1", "epoch": 2, "readings": 9000, "epoch_readings": 5000,
    "missing": 0, "declared_lost": 4, "contiguous_through": 99, "highest": 99, "gaps": [],
    "duplicates": 3, "late": 2, "refused": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "changes"),
    [
        ("equal", {}),
        ("equal", {"readings": 5000, "epoch_readings": 5000}),
        ("different", {"epoch_readings": 4999}),
        ("different", {"epoch_readings": 5001}),
        ("behind", {"contiguous_through": 98, "highest": 98, "epoch_readings": 4900}),
        ("behind", {"epoch": 1, "contiguous_through": 5000}),
        ("missing", {"missing": 2, "gaps": [[97, 98]], "contiguous_through": 96}),
        # while it flows
        ("missing", {"unaccounted": [[2, 3, 4]], "contiguous_through": 98, "highest": 120}),
        ("different", {"different": [[2, 3, 4]], "contiguous_through": 98, "highest": 120}),
        ("different", {"different": [[1, 3, 4]], "unaccounted": [[2, 3, 4]], "missing": 2}),
        # the line is newer than the word
        ("equal", {"contiguous_through": 120, "highest": 120, "epoch_readings": 6000}),
        ("equal", {"epoch": 3, "contiguous_through": 5, "highest": 5, "epoch_readings": 10}),
        # a newer epoch, and nobody has said how far the one before it went
        ("behind", {"epoch": 3, "contiguous_through": -1, "highest": 5, "epoch_readings": 10}),
    ],
)
def test_verdicts(verdict: str, changes: dict[str, Any]) -> None:
    assert compare(WORD, LINE | changes).verdict == verdict


def test_losses_at_the_end_are_part_of_what_the_word_speaks_of() -> None:
    word = Word("plant-1", "gw-1", 2, 97, 5000, lost=((98, 99),))
    assert compare(word, LINE).verdict is Verdict.EQUAL
    assert compare(word, LINE | {"epoch_readings": 4000}).verdict is Verdict.DIFFERENT
    assert compare(word, LINE | {"contiguous_through": 97}).verdict is Verdict.BEHIND


def test_a_balance_holds_both_sides() -> None:
    balance = compare(WORD, LINE | {"missing": 2, "gaps": [[97, 98]], "contiguous_through": 96})
    assert (balance.facility, balance.gateway) == ("plant-1", "gw-1")
    assert (balance.sent_readings, balance.counted_readings) == (5000, 5000)
    assert (balance.sent_through, balance.counted_through) == (99, 99)
    assert (balance.missing, balance.gaps, balance.declared_lost) == (2, ((97, 98),), 4)
    assert (balance.duplicates, balance.late, balance.refused) == (3, 2, 1)


def test_a_balance_holds_what_was_compared() -> None:
    more = {"verified_through": 90, "verified_readings": 4000, "unaccounted_batches": 2}
    named = {"unaccounted": [[2, 97, 98]], "different": [[1, 3, 4]]}
    balance = compare(replace(WORD, pending=7), LINE | more | named)
    assert (balance.pending, balance.verified_through, balance.verified_readings) == (7, 90, 4000)
    assert (balance.unaccounted_batches, balance.unaccounted) == (2, ((2, 97, 98),))
    assert balance.different == ((1, 3, 4),)
    bare = compare(WORD, LINE)
    assert (bare.pending, bare.verified_through, bare.unaccounted, bare.different) == (
        -1, -1, (), (),
    )  # fmt: skip


def test_one_side_alone_is_unheard() -> None:
    gateway, cloud = compare(WORD, None), compare(None, LINE)
    assert gateway.verdict is cloud.verdict is Verdict.UNHEARD
    assert (gateway.sent_readings, gateway.counted_readings) == (5000, -1)
    assert (cloud.sent_readings, cloud.counted_readings) == (-1, 5000)
    with pytest.raises(ValueError, match="neither side"):
        compare(None, None)
