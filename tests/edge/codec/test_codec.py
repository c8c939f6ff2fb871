"""Bodies of spool records: bit for bit, small, and harmless when they are damaged."""

from __future__ import annotations

import contextlib
import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.codec import MAX_READINGS, Encoder, decode, encode
from edge.simulator.build import FleetBuilder
from edge.simulator.settings import SimulatorSettings
from udfs.batch import Batch, Lane

OLD = Path(__file__).parents[2] / "cases" / "spool" / "body-v1.bin"
T0 = 1_700_000_000_000
COLUMNS = ("value", "sensor", "offset_ms", "quality")

bits = hnp.arrays(np.uint64, st.integers(0, 30), elements=st.integers(0, 2**64 - 1))
decimals = st.builds(lambda k, d: k / 10.0**d, st.integers(-(10**9), 10**9), st.integers(0, 9))
odd = st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.8e308, 2.0**53, -(2.0**53)])
single = st.floats(width=32, allow_nan=False)
mixed = st.lists(decimals | odd | single | st.floats(), max_size=40).map(np.array)
values = bits.map(lambda b: b.view(np.float64)) | mixed.map(lambda v: v.astype(np.float64))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    value = draw(values)
    shape = len(value)
    slot = st.integers(0, 5000) | st.integers(0, 2**32 - 1)
    sensor = hnp.arrays(np.uint32, shape, elements=slot).map(np.sort)
    offset_ms = hnp.arrays(np.int32, shape, elements=st.integers(0, 9999))
    quality = hnp.arrays(np.uint8, shape, elements=st.integers(0, 255))
    return Batch(
        "plant-1", "gw-1", draw(st.integers(0, 9)), draw(st.integers(0, 10**18 - 1)),
        draw(st.integers(0, 10**18 - 1)), value, draw(st.none() | sensor),
        draw(st.none() | offset_ms), draw(st.none() | quality),
        catalogue=draw(st.integers(0, 10**18 - 1)), traceparent=draw(st.text(max_size=9)),
        extra=draw(st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3)),
    )  # fmt: skip


def content(batch: Batch) -> list[Any]:
    """All that must come back: columns as dtype and bytes."""
    columns = [getattr(batch, name) for name in COLUMNS]
    rest = (batch.facility, batch.gateway, batch.epoch, batch.sequence, batch.time_ms)
    texts = (batch.catalogue, batch.traceparent, batch.extra)
    return [None if c is None else (c.dtype.str, c.tobytes()) for c in columns] + [rest, texts]


def again(body: bytes, batch: Batch) -> Batch:
    return decode(body, batch.epoch, batch.sequence, batch.facility, batch.gateway)


@given(batches())
def test_there_and_back_bit_for_bit(batch: Batch) -> None:
    assert content(again(encode(batch), batch)) == content(batch)


@settings(max_examples=30)
@given(st.lists(batches(), max_size=6))
def test_what_an_encoder_remembers_changes_no_bit(several: list[Batch]) -> None:
    encoder = Encoder()
    for batch in several:
        assert content(again(encoder.encode(batch), batch)) == content(batch)


def test_lane_and_sending_time_are_those_of_a_batch_that_was_not_sent() -> None:
    sent = Batch("p", "g", 1, 2, T0, np.array([1.5]), lane=Lane.BACKLOG, sent_ms=7)
    found = again(encode(sent), sent)
    assert (found.lane, found.sent_ms, found.value.tolist()) == ("live", 0, [1.5])


def test_columns_that_are_no_arrays_of_their_own() -> None:
    table = np.arange(20.0).reshape(5, 4) / 10
    batch = Batch("p", "g", 1, 2, T0, table[:, 1], np.arange(10, dtype=np.uint32)[::2])
    assert content(again(encode(batch), batch)) == content(batch)


def plant(sensors: int, count: int) -> list[Batch]:
    chosen = SimulatorSettings(facilities=1, sensors=sensors, start_ms=T0, batches=count)
    gateway = FleetBuilder(chosen).gateway(0, T0)
    return [gateway.batch(sequence) for sequence in range(count)]


def bytes_a_reading(several: list[Batch], encoder: Encoder | None = None) -> float:
    """Mean size, each with `encode` alone or all with one encoder."""
    bodies = [encoder.encode(batch) if encoder else encode(batch) for batch in several]
    assert [content(again(*pair)) for pair in zip(bodies, several, strict=True)] == [
        content(batch) for batch in several
    ]
    return sum(map(len, bodies)) / sum(map(len, several))


def test_a_plant_takes_less_than_two_bytes_a_reading() -> None:
    several = plant(sensors=5000, count=20)
    assert bytes_a_reading(several) < 1.7
    assert bytes_a_reading(several, Encoder()) < 1.4


rng = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("at_most", "value"),
    [
        (0.03, np.full(5000, 21.5)),
        (1.8, np.round(rng.normal(60, 5, 5000), 2)),
        (1.8, -np.round(rng.normal(60, 5, 5000), 2)),
        (1.8, np.round(rng.normal(60, 5, 5000), 2).astype(np.float32).astype(np.float64)),
        (4.1, rng.normal(60, 5, 5000).astype(np.float32).astype(np.float64)),
        (8.1, rng.normal(60, 5, 5000)),
        (8.1, rng.integers(0, 2**64, 5000, np.uint64).view(np.float64)),
    ],
    ids=["constant", "decimals", "negative", "plc", "floats", "doubles", "noise"],
)
def test_sizes(at_most: float, value: npt.NDArray[np.float64]) -> None:
    assert bytes_a_reading([Batch("p", "g", 1, 2, T0, value)]) < at_most


def test_few_odd_values_cost_little() -> None:
    value = np.round(rng.normal(60, 5, 5000), 2)
    value[[7, 4000]], value[99], value[5] = np.nan, np.pi, -0.0
    assert bytes_a_reading([Batch("p", "g", 1, 2, T0, value)]) < 1.8


def small() -> Batch:
    value = np.array([1.5, -0.0, np.nan, np.pi, 21.299999237060547, 7.0])
    return Batch(
        "plant-1", "gw-1", 3, 42, T0, value, np.array([0, 1, 2, 2, 9, 4000], np.uint32),
        np.array([0, 1, 0, 999, 9999, 5], np.int32), np.array([0, 1, 2, 0, 3, 4], np.uint8),
        catalogue=2, traceparent="00-a-b-01", extra={"shift": "späť"},
    )  # fmt: skip


def test_a_body_of_version_1_is_read() -> None:
    assert content(again(OLD.read_bytes(), small())) == content(small())


def test_a_newer_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2; this gateway reads 1"):
        decode(b"\2" + encode(small())[1:], 1, 1, "p", "g")


@pytest.mark.parametrize("length", range(len(encode(small()))))
def test_a_body_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"ends early|damaged"):
        decode(encode(small())[:length], 1, 1, "p", "g")


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes too many"):
        decode(encode(small()) + b"end", 1, 1, "p", "g")


@pytest.mark.parametrize("make", [small, lambda: plant(sensors=300, count=1)[0]])
def test_flipped_bytes_raise_nothing_but_value_errors(make: Any) -> None:
    body, rnd = encode(make()), random.Random(5)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(body)
        for _ in range(rnd.choice([1, 1, 2, 8])):
            damaged[rnd.randrange(len(damaged))] = rnd.randrange(256)
        try:
            decode(bytes(damaged), 1, 1, "p", "g")
        except ValueError:
            refused += 1
    assert refused > 300  # the others are other values: the record's CRC finds those


@given(st.binary(max_size=80))
def test_any_bytes_are_a_batch_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        decode(b"\1" + data, 1, 1, "p", "g")


def test_lengths_are_not_trusted() -> None:
    body = bytearray(encode(small()))
    for at, size in ((2, "<I"), (22, "<I")):  # readings, length of the text
        for number in (2**32 - 1, MAX_READINGS + 1, MAX_READINGS):
            lied = body.copy()
            struct.pack_into(size, lied, at, number)
            with pytest.raises(ValueError, match=r"are not those|ends early|damaged|are due"):
                decode(bytes(lied), 1, 1, "p", "g")
    with pytest.raises(ValueError, match="262145 readings"):
        encode(Batch("p", "g", 1, 2, T0, np.zeros(MAX_READINGS + 1)))


@pytest.mark.parametrize("text", [b"{}", b"[1,{}]", b'["",[]]', b'["",{"a":1}]', b"[", b"[" * 9999])
def test_a_text_of_another_shape_is_refused(text: bytes) -> None:
    header = struct.pack("<BBIqqI", 1, 0, 0, 1, T0, len(text))
    with pytest.raises(ValueError, match="a damaged text"):
        decode(header + text, 1, 1, "p", "g")


def test_the_largest_batch() -> None:
    value = np.round(np.random.default_rng(1).normal(60, 5, MAX_READINGS), 1)
    batch = Batch("p", "g", 1, 2, T0, value, extra={"k": json.dumps("x" * 1000)})
    assert content(again(encode(batch), batch)) == content(batch)


if __name__ == "__main__":  # the stored body of the present version; a released one never changes
    OLD.write_bytes(encode(small()))
