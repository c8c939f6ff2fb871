"""The rollup record: there and back to the bit, and `ValueError` for anything else."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tests.udfs.bad_batches import stream
from tests.udfs.test_batch import mutated
from udfs.rollup import COLUMNS, FINAL, MinuteRollup, decode, encode

ROLLUP = MinuteRollup(
    "plant-1", "gw-1", 1_700_000_040_000, FINAL, False, 2, 58, 3, 1, "00-ab-cd-01",
    sensor=np.array([1, 4], np.uint32),
    count=np.array([58, 0], np.uint32),
    sum=np.array([116.0, 0.0]),
    sum_sq=np.array([232.0, 0.0]),
    min=np.array([1.5, np.nan]),
    max=np.array([2.5, np.nan]),
    first=np.array([2.0, np.nan]),
    last=np.array([2.0, np.nan]),
    bad=np.array([0, 58], np.uint32),
)  # fmt: skip


@st.composite
def rollups(draw: st.DrawFn) -> MinuteRollup:
    """All bit patterns of all columns, with and without slots."""
    n = draw(st.integers(0, 6))
    columns = {
        name: draw(nps.arrays(np.uint8, n * np.dtype(dtype).itemsize)).view(dtype)
        for name, dtype in COLUMNS.items()
    }
    if draw(st.booleans()):
        columns["sensor"] = None
    numbers = draw(st.lists(st.integers(0, 2**62), min_size=6, max_size=6))
    return MinuteRollup(
        "plant-1", "gw-1", *numbers[:2], draw(st.booleans()), *numbers[2:], "", **columns
    )


@settings(max_examples=60, deadline=None)
@given(rollups())
def test_there_and_back_to_the_bit(item: MinuteRollup) -> None:
    got = decode(encode(item))
    assert got.same_as(item) and item.same_as(got)


def test_a_literal_rollup() -> None:
    got = decode(encode(ROLLUP))
    assert (got.key, got.minute_ms, got.revision) == ("plant-1/gw-1", 1_700_000_040_000, 1)
    assert (got.complete, got.missing, got.batches, got.epoch) == (False, 2, 58, 3)
    assert (got.catalogue, got.traceparent, got.readings()) == (1, "00-ab-cd-01", 116)
    assert got.sensor is not None and got.sensor.tolist() == [1, 4]
    assert got.sum.tolist() == [116.0, 0.0] and got.min[0] == 1.5 and np.isnan(got.min[1])


@pytest.mark.parametrize("name", [f.name for f in fields(MinuteRollup)])
def test_two_that_differ_in_one_field_are_not_the_same(name: str) -> None:
    value = getattr(ROLLUP, name)
    other = value[:1] if isinstance(value, np.ndarray) else (f"{value}x" if name in TEXTS else 99)
    assert ROLLUP.same_as(replace(ROLLUP)) and not ROLLUP.same_as(replace(ROLLUP, **{name: other}))


TEXTS = ("facility", "gateway", "traceparent")


def test_minus_zero_is_not_zero() -> None:
    assert not ROLLUP.same_as(replace(ROLLUP, sum=np.array([116.0, -0.0])))


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("not a rollup", b""),
        ("not a rollup", encode(ROLLUP)[:-100]),
        ("not a rollup", stream([], {"contract": "hardiot.rollup.v1"}, batches=0)),
        ("minute_ms", stream([], {"contract": "hardiot.rollup.v1"})),
        ("contract 'hardiot.rollup.v2'", stream([], {"contract": "hardiot.rollup.v2"})),
        ("contract None", stream([], {})),
    ],
)
def test_what_is_no_rollup_is_refused(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        decode(data)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_mutations_are_read_or_refused(seed: int) -> None:
    rnd, good = random.Random(seed), encode(ROLLUP)
    for _ in range(50):
        try:
            decode(mutated(good, rnd))
        except ValueError as error:
            assert str(error)
