"""The gate: good records through, every bad one refused with its own reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tests.udfs.bad_batches import SENSORS, bad_records, good_batch
from tests.udfs.plant import catalogue
from udfs.admission import Gate, Refusal
from udfs.batch import Batch, Lane, Reason, encode
from udfs.catalogue import Catalogue
from udfs.ledger import Word, encode_word
from udfs.records import DEAD_LETTERS, Record, dead_letter

NOW_MS = 1_700_000_000_000
BAD = bad_records("plant-1", "gw-1", NOW_MS)


@dataclass(frozen=True)
class Shelf:
    """Catalogues by their key."""

    known: dict[str, Catalogue]

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return self.known.get(f"{facility}/{gateway}/{version}")

    def knows(self, facility: str, gateway: str) -> bool:
        return any(key.startswith(f"{facility}/{gateway}/") for key in self.known)


GATE = Gate(Shelf({"plant-1/gw-1/1": catalogue(["level"] * SENSORS)}))


def record(data: bytes, topic: str = "readings.plant-1", key: str = "plant-1/gw-1") -> Record:
    return Record(key, topic, 3, 17, data)


def batch(**changes: object) -> bytes:
    good = good_batch("plant-1", str(changes.pop("gateway", "gw-1")), NOW_MS, **changes)
    return encode(good)


def test_a_good_batch_is_let_through() -> None:
    admitted = GATE.admit(record(batch()), NOW_MS)
    assert isinstance(admitted, Batch) and admitted.value[0] == 20.25
    backlog = record(batch(lane=Lane.BACKLOG), "backlog.plant-1")
    assert isinstance(GATE.admit(backlog, NOW_MS), Batch)


@pytest.mark.parametrize("name", BAD)
def test_every_bad_record_is_refused_with_its_reason(name: str) -> None:
    reason, data = BAD[name]
    bad = record(data)
    refusal = GATE.admit(bad, NOW_MS)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.record) == (reason, bad)
    assert 0 < len(refusal.detail) < 300


def test_every_reason_is_met() -> None:
    words = {Reason.BAD_LEDGER, Reason.LATE}  # by the tests below, and by windows
    assert {reason for reason, _ in BAD.values()} | words == set(Reason)


@pytest.mark.parametrize(
    ("reason", "changes", "where"),
    [
        (Reason.BAD_HEADER, {}, {"topic": "backlog.plant-1"}),
        (Reason.UNKNOWN_GATEWAY, {}, {"key": "plant-1/gw-2"}),
        (Reason.UNKNOWN_GATEWAY, {}, {"key": "plant-1/"}),
        (Reason.UNKNOWN_GATEWAY, {"gateway": "gw-9"}, {"key": "plant-1/gw-9"}),
        (Reason.WRONG_FACILITY, {}, {"topic": "readings.plant-2", "key": "plant-2/gw-1"}),
        (Reason.UNKNOWN_CATALOGUE, {"catalogue": 2}, {}),
        (Reason.FUTURE_TIME, {"time_ms": NOW_MS + 300_001}, {}),
    ],
)
def test_what_is_out_of_place(
    reason: Reason, changes: dict[str, object], where: dict[str, str]
) -> None:
    refusal = GATE.admit(record(batch(**changes), **where), NOW_MS)
    assert isinstance(refusal, Refusal) and refusal.reason is reason


def test_the_clock_of_the_reader_decides_what_is_the_future() -> None:
    early = record(batch(time_ms=NOW_MS + 300_001))
    assert isinstance(GATE.admit(early, NOW_MS + 1), Batch)


def test_a_batch_without_readings_is_let_through() -> None:
    admitted = GATE.admit(record(batch(value=np.zeros(0))), NOW_MS)
    assert isinstance(admitted, Batch) and len(admitted) == 0


WORD = Word("plant-1", "gw-1", 1, 41, 5000)


def test_a_word_is_let_through() -> None:
    assert GATE.admit(record(encode_word(WORD), "ledger.plant-1"), NOW_MS) == WORD


@pytest.mark.parametrize(
    "data",
    [
        b"",
        batch(),
        encode_word(replace(WORD, facility="plant-2")),
        encode_word(replace(WORD, gateway="gw-2")),
        encode_word(WORD).replace(b"41", b"1e999"),
    ],
)
def test_a_bad_word_is_refused(data: bytes) -> None:
    refusal = GATE.admit(record(data, "ledger.plant-1"), NOW_MS)
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.BAD_LEDGER


def test_a_word_among_the_readings_is_no_batch() -> None:
    refusal = GATE.admit(record(encode_word(WORD)), NOW_MS)
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.NOT_ARROW


def test_a_dead_letter_says_where_it_is_from_and_keeps_the_bytes() -> None:
    letter = dead_letter(record(b"\0\xff"), "rollup_readings", "not_arrow", "what", NOW_MS)
    assert (letter.topic, letter.key, letter.value) == (DEAD_LETTERS, "plant-1/gw-1", b"\0\xff")
    assert letter.headers == {
        "reason": "not_arrow",
        "detail": "what",
        "topic": "readings.plant-1",
        "partition": "3",
        "offset": "17",
        "job": "rollup_readings",
        "refused_ms": "1700000000000",
    }
