"""A gateway's minute: what is collected, and that nothing of it is lost."""

import numpy as np
import pytest
from hypothesis import given

from tests.udfs.archive.chunks import (
    MINUTE_MS,
    batch,
    batches,
    chunk_of,
    contents,
    slots,
)
from udfs.archive.chunk import MAX_BATCHES, Chunk, collect, decode, encode
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total


def minute_of_walks(jitter: bool = False) -> list[Batch]:
    """Sixty batches of 5,000 random walks in steps of 0.01."""
    random = np.random.default_rng(1)
    steps = np.rint(random.normal(size=(60, 5000)) * random.choice([0.5, 1, 2, 3, 5, 8], 5000))
    steps[0] = random.integers(0, 10_000, 5000)
    offsets = random.integers(0, 20, (60, 5000)).astype(np.int32)
    return [
        batch(k, row, offset_ms=offsets[k] if jitter else None)
        for k, row in enumerate(np.cumsum(steps, axis=0) / 100)
    ]


def test_batches_with_the_same_sensors_are_transposed():
    chunk = chunk_of(
        [
            batch(7, [1.5, 2.5], offset_ms=np.array([0, 3], np.int32)),
            batch(8, [1.6, 2.6], quality=np.array([2, 0], np.uint8)),
        ]
    )
    assert chunk.sensor.tolist() == [0, 0, 1, 1]
    assert chunk.batch.tolist() == [0, 1, 0, 1]
    assert chunk.value.tolist() == [1.5, 1.6, 2.5, 2.6]
    assert chunk.offset_ms.tolist() == [0, 0, 3, 0]
    assert chunk.quality.tolist() == [0, 2, 0, 0]
    assert (chunk.times_ms() - MINUTE_MS).tolist() == [7000, 8000, 7003, 8000]


def test_batches_with_other_sensors_keep_their_order_within_each_sensor():
    chunk = chunk_of(
        [
            batch(1, [10, 11, 12], sensor=slots(4, 4, 70_000)),
            batch(2, []),
            batch(3, [20, 21, 22, 23, 24]),
            batch(4, [30, 31], sensor=slots(4, 4)),
        ]
    )
    assert chunk.sensor.tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4, 70_000]
    assert chunk.batch.tolist() == [2, 2, 2, 2, 0, 0, 2, 3, 3, 0]
    assert chunk.value.tolist() == [20, 21, 22, 23, 10, 11, 24, 30, 31, 12]


def test_two_readings_of_a_sensor_in_each_batch_are_not_transposed():
    chunk = chunk_of([batch(k, [k, k + 0.5], sensor=slots(3, 3)) for k in (1, 2)])
    assert chunk.value.tolist() == [1, 1.5, 2, 2.5]
    assert chunk.batch.tolist() == [0, 0, 1, 1]


def test_as_many_readings_of_other_sensors_are_not_transposed():
    chunk = chunk_of([batch(1, [1, 2]), batch(2, [3, 4], sensor=slots(0, 2))])
    assert (chunk.sensor.tolist(), chunk.value.tolist()) == ([0, 0, 1, 2], [1, 3, 2, 4])


def test_offsets_and_qualities_that_say_nothing_are_not_kept():
    nothing = {"offset_ms": np.zeros(2, np.int32), "quality": np.zeros(2, np.uint8)}
    chunk = chunk_of([batch(1, [1, 2], **nothing), batch(2, [1, 2])])
    assert (chunk.offset_ms, chunk.quality) == (None, None)


def test_the_batches_are_in_the_chunk():
    parts = [
        batch(41, [1.0], sent_ms=5, traceparent="00-ab-cd-01"),
        batch(43, [1.0], sent_ms=9, lane="backlog", catalogue=2),
    ]
    table = decode(encode(collect("f", "g", MINUTE_MS, 3, False, 2, parts))).batches
    assert (table.epoch.tolist(), table.sequence.tolist()) == ([1, 1], [41, 43])
    assert (table.time_ms - MINUTE_MS).tolist() == [41_000, 43_000]
    assert (table.sent_ms.tolist(), table.catalogue.tolist()) == ([5, 9], [1, 2])
    assert table.backlog.tolist() == [False, True]
    assert table.traceparent == ("00-ab-cd-01", "")


def test_the_head_comes_back():
    chunk = decode(encode(collect("f", "g", MINUTE_MS, 3, False, 2, [])))
    assert (chunk.facility, chunk.gateway, chunk.minute_ms) == ("f", "g", MINUTE_MS)
    assert (chunk.revision, chunk.complete, chunk.missing, len(chunk)) == (3, False, 2, 0)


@given(batches())
def test_nothing_is_lost(parts):
    chunk = chunk_of(parts)
    back = decode(encode(chunk))
    assert contents(back) == contents(chunk)
    assert encode(back) == encode(chunk)
    assert back.fingerprint() == total(*map(fingerprint, parts))


@given(batches())
def test_the_readings_are_those_of_the_batches_one_by_one(parts):
    slow = [
        (slot, row, place, value.tobytes(), part.time_ms + offset, quality)
        for row, part in enumerate(parts)
        for place, (slot, value, offset, quality) in enumerate(
            zip(
                part.slots().tolist(),
                part.value,
                [0] * len(part) if part.offset_ms is None else part.offset_ms.tolist(),
                [0] * len(part) if part.quality is None else part.quality.tolist(),
                strict=True,
            )
        )
    ]
    chunk = chunk_of(parts)
    found = zip(
        chunk.sensor.tolist(),
        chunk.batch.tolist(),
        [value.tobytes() for value in chunk.value],
        chunk.times_ms().tolist(),
        [0] * len(chunk) if chunk.quality is None else chunk.quality.tolist(),
        strict=True,
    )
    assert list(found) == [(s, r, v, t, q) for s, r, _, v, t, q in sorted(slow)]


def test_a_minute_of_steady_sensors_is_half_a_byte_a_reading():
    parts = minute_of_walks()
    data = encode(chunk_of(parts))
    assert len(data) < 0.5 * 300_000
    assert decode(data).fingerprint() == total(*map(fingerprint, parts))


def test_jitter_of_times_costs_what_its_bits_are():
    parts = minute_of_walks(jitter=True)
    data = encode(chunk_of(parts))
    # log2(20) bits are 0.54 bytes
    assert len(data) < (0.5 + 0.6) * 300_000
    assert decode(data).fingerprint() == total(*map(fingerprint, parts))


def test_what_is_regular_costs_nothing():
    parts = [batch(k, np.full(5000, 21.5), sent_ms=50 + 1000 * k) for k in range(60)]
    assert len(encode(chunk_of(parts))) < 400


def test_too_many_batches():
    with pytest.raises(ValueError, match="65537 batches; a chunk holds at most 65536"):
        chunk_of([batch(1, [])] * (MAX_BATCHES + 1))


@pytest.mark.parametrize(
    ("sensor", "row"), [((1, 0), (0, 0)), ((0, 1, 0), (0, 0, 0)), ((5, 5), (1, 0))]
)
def test_readings_out_of_order_are_not_encoded(sensor, row):
    whole = chunk_of([batch(1, []), batch(2, [])])
    rows = np.array(row, np.uint16)
    wrong = Chunk(
        "f", "g", 0, 1, True, 0, whole.batches, slots(*sensor), rows, np.zeros(len(row)), None, None
    )
    with pytest.raises(ValueError, match="must ascend by slot, then batch"):
        encode(wrong)
