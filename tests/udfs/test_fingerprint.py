"""The fingerprint of readings: what counts in it, and what must not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udfs.batch import Batch, decode, encode
from udfs.fingerprint import MODULUS, fingerprint, total

T0 = 1_700_000_000_000
Reading = tuple[int, int, int, int]  # slot, offset, bits, quality

reading = st.tuples(
    st.integers(0, 2**32 - 1), st.integers(0, 9999), st.integers(0, 2**64 - 1), st.integers(0, 255)
)
several = st.lists(reading, max_size=20)


def batch_of(readings: list[Reading], time_ms: int = T0, **more: Any) -> Batch:
    """A batch with all columns."""
    slot, offset, bits, quality = zip(*readings, strict=True) if readings else ((), (), (), ())
    value = np.array(bits, np.uint64).view(np.float64)
    columns = np.array(slot, np.uint32), np.array(offset, np.int32), np.array(quality, np.uint8)
    return Batch("plant-1", "gw-1", 1, 2, time_ms, value, *columns, **more)


def slowly(readings: list[Reading], time_ms: int = T0) -> int:
    """The definition, one reading at a time, in plain whole numbers."""
    found = 0
    for slot, offset, bits, quality in readings:
        mixed = bits ^ slot * 0x9E3779B97F4A7C15 ^ (time_ms + offset) * 0xD1342543DE82EF95
        mixed = (mixed ^ quality * 0xAF251AF3B0F025B5) % MODULUS
        mixed = mixed * 0xBF58476D1CE4E5B9 % MODULUS
        mixed ^= mixed >> 32
        mixed = mixed * 0x94D049BB133111EB % MODULUS
        found += mixed ^ mixed >> 31
    return found % MODULUS


@given(several, st.integers(0, 10**18 - 1))
def test_it_is_what_its_definition_says(readings: list[Reading], time_ms: int) -> None:
    assert fingerprint(batch_of(readings, time_ms)) == slowly(readings, time_ms)


def test_literals() -> None:
    """A gateway in another language must find the same."""
    plain = Batch("p", "g", 1, 2, T0, np.array([21.5, -0.0, np.nan]))
    assert f"{fingerprint(plain):016x}" == "d203869d0c909da4"
    full = batch_of([(0, 0, 1, 0), (7, 999, 2**64 - 1, 4)])
    assert f"{fingerprint(full):016x}" == "0c93dceea6cdf2e3"
    assert fingerprint(batch_of([])) == 0


@given(several, st.randoms(), st.integers(0, 20))
def test_order_and_splitting_do_not_count(readings: list[Reading], rnd: Any, at: int) -> None:
    shuffled = rnd.sample(readings, len(readings))
    parts = [fingerprint(batch_of(part)) for part in (shuffled[:at], shuffled[at:])]
    assert total(*parts) == fingerprint(batch_of(readings))


@given(hnp.arrays(np.uint64, st.integers(0, 40), elements=st.integers(0, 2**64 - 1)))
def test_a_column_with_its_defaults_is_as_an_absent_one(bits: Any) -> None:
    value, n = bits.view(np.float64), len(bits)
    bare = fingerprint(Batch("p", "g", 1, 2, T0, value))
    slots, zeros = np.arange(n, dtype=np.uint32), np.zeros(n, np.int32)
    assert fingerprint(Batch("p", "g", 1, 2, T0, value, slots)) == bare
    assert fingerprint(Batch("p", "g", 1, 2, T0, value, None, zeros)) == bare
    assert fingerprint(Batch("p", "g", 1, 2, T0, value, None, None, zeros.astype(np.uint8))) == bare


def test_how_it_travelled_does_not_count() -> None:
    readings = [(3, 10, 5, 0), (4, 0, 6, 1)]
    one = batch_of(readings)
    other = batch_of(readings, sent_ms=9, lane="backlog", traceparent="00-a-b-01", catalogue=7)
    assert fingerprint(one) == fingerprint(other) == fingerprint(decode(encode(other)))
    # a tick that was cut at another millisecond
    assert fingerprint(batch_of([(3, 0, 5, 0)], T0 + 10)) == fingerprint(batch_of([readings[0]]))


@given(reading, reading)
def test_two_readings_that_differ_have_different_fingerprints(one: Reading, two: Reading) -> None:
    assert (fingerprint(batch_of([one])) == fingerprint(batch_of([two]))) is (one == two)


@given(st.lists(reading, min_size=1, max_size=9), st.integers(0, 63), st.integers(0, 8))
def test_each_bit_of_a_value_counts(readings: list[Reading], bit: int, at: int) -> None:
    slot, offset, bits, quality = readings[at % len(readings)]
    readings[at % len(readings)], before = (slot, offset, bits ^ 1 << bit, quality), list(readings)
    assert fingerprint(batch_of(readings)) != fingerprint(batch_of(before))


def test_faults_that_keep_the_sum_of_values_do_not_hide() -> None:
    value = np.round(np.random.default_rng(1).normal(60, 5, 1000), 1)
    whole = fingerprint(Batch("p", "g", 1, 2, T0, value))
    for fault in ("swapped", "shifted", "negated twice", "next second"):
        wrong, time_ms = value.copy(), T0
        if fault == "swapped":
            wrong[[3, 900]] = value[[900, 3]]
        elif fault == "shifted":
            wrong = np.roll(value, 1)
        elif fault == "negated twice":
            wrong[[5, 6]] *= -1
        else:
            time_ms += 1000
        assert fingerprint(Batch("p", "g", 1, 2, time_ms, wrong)) != whole, fault


def test_one_bit_in_changes_half_of_the_bits_out() -> None:
    rnd = np.random.default_rng(3)
    for bit in range(64):
        changed = []
        for bits in rnd.integers(0, 2**64, 200, np.uint64).tolist():
            pair = [fingerprint(batch_of([(9, 0, b, 0)])) for b in (bits, bits ^ 1 << bit)]
            changed.append((pair[0] ^ pair[1]).bit_count())
        assert 26 < np.mean(changed) < 38, bit


@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 5000])
def test_the_value_column_may_be_a_view(n: int) -> None:
    table = np.arange(2.0 * n).reshape(n, 2)
    table.flags.writeable = False
    copied = table[:, 0].copy()
    views = [fingerprint(Batch("p", "g", 1, 2, T0, v)) for v in (table[:, 0], copied)]
    assert views[0] == views[1] and copied.tolist() == table[:, 0].tolist()
