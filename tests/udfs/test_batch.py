"""The batch contract: there and back to the bit, and nothing but `Refused` for bad bytes."""

from __future__ import annotations

import random
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tests.udfs.bad_batches import bad_records, good_batch, header_of, stream
from udfs.batch import (
    MAX_BATCH_BYTES,
    MAX_FUTURE_MS,
    MAX_OFFSET_MS,
    Batch,
    Lane,
    Quality,
    Reason,
    Refused,
    check,
    decode,
    encode,
)

NOW_MS = 1_700_000_000_000
BAD = bad_records("plant-1", "gw-1", NOW_MS)
# what the bytes alone do not show
FOR_THE_GATE = {
    "a negative offset", "an offset out of the tick", "the least offset", "the largest offset",
    "another facility", "another gateway", "an unknown catalogue", "in an hour",
    "in a million years", "a backlog on the live topic", "more values than slots",
    "a slot past the last", "the largest slot", "unsorted slots", "unsorted times of a sensor",
}  # fmt: skip

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
numbers = st.integers(0, 10**18 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def column(dtype: str, n: int) -> st.SearchStrategy[Any]:
    """A column of all bit patterns, NaN payloads among them, or none."""
    raw = nps.arrays(np.uint8, n * np.dtype(dtype).itemsize)
    return st.none() | raw.map(lambda array: array.view(dtype))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Batches of every set of columns, empty ones too."""
    n = draw(st.integers(0, 12))
    value = draw(nps.arrays(np.uint8, n * 8)).view("<f8")
    numbered = {name: draw(numbers) for name in ("epoch", "sequence", "time_ms", "sent_ms")}
    strange = {"contract", *(f.name for f in fields(Batch))}
    extra = draw(st.dictionaries(texts.filter(lambda key: key not in strange), texts, max_size=2))
    return Batch(
        draw(names), draw(names), **numbered, value=value, sensor=draw(column("<u4", n)),
        offset_ms=draw(column("<i4", n)), quality=draw(column("u1", n)),
        lane=draw(st.sampled_from(Lane)), catalogue=draw(numbers), traceparent=draw(texts),
        extra=extra,
    )  # fmt: skip


def bits(batch: Batch) -> dict[str, object]:
    """All fields, arrays as dtype and bytes, so that one NaN is not another."""
    found = {f.name: getattr(batch, f.name) for f in fields(Batch)}
    return {
        name: (item.dtype.str, item.tobytes()) if isinstance(item, np.ndarray) else item
        for name, item in found.items()
    }


def reason_of(data: bytes) -> Reason | None:
    try:
        decode(data)
    except Refused as refused:
        assert str(refused)
        return refused.reason
    return None


@settings(max_examples=100, deadline=None)
@given(batches())
def test_there_and_back_to_the_bit(batch: Batch) -> None:
    assert bits(decode(encode(batch))) == bits(batch)


def test_the_usual_batch_is_eight_bytes_a_reading() -> None:
    data = encode(Batch("plant-1", "gw-1", 1, 42, NOW_MS, np.arange(5000.0)))
    assert 40_000 < len(data) < 41_000


def test_columns_are_views_of_the_bytes() -> None:
    data = encode(good_batch("plant-1", "gw-1", NOW_MS))
    value = decode(data).value
    assert np.shares_memory(value, np.frombuffer(data, np.uint8)) and not value.flags.writeable


def test_unknown_columns_and_keys_are_no_matter() -> None:
    good = good_batch("plant-1", "gw-1", NOW_MS)
    more = [("tag", pa.array(["a"] * 7)), ("value", pa.array(good.value)), ("x", pa.nulls(7))]
    batch = decode(stream(more, header_of(good) | {"site": "north"}))
    assert batch.extra == {"site": "north"} and batch.value.tolist() == good.value.tolist()


def test_nulls_among_the_values_are_not_a_number() -> None:
    header = header_of(good_batch("plant-1", "gw-1", NOW_MS))
    batch = decode(stream([("value", pa.array([1.0, None, 3.0]))], header))
    assert np.isnan(batch.value).tolist() == [False, True, False]
    assert batch.good() is not None and batch.good().tolist() == [True, False, True]


def test_a_stream_without_its_end_mark_is_whole() -> None:
    data = encode(good_batch("plant-1", "gw-1", NOW_MS))
    assert data.endswith(b"\xff\xff\xff\xff\0\0\0\0")
    assert len(decode(data[:-8])) == 7


@pytest.mark.parametrize("name", BAD)
def test_bad_bytes_are_refused_with_their_reason(name: str) -> None:
    reason, data = BAD[name]
    assert reason_of(data) is (None if name in FOR_THE_GATE else reason)


def test_the_size_limit_is_the_last_size_allowed() -> None:
    data = encode(good_batch("plant-1", "gw-1", NOW_MS))
    assert len(decode(data, max_bytes=len(data))) == 7
    with pytest.raises(Refused, match=f"{len(data)} bytes; at most {len(data) - 1} are allowed"):
        decode(data, max_bytes=len(data) - 1)
    assert MAX_BATCH_BYTES == 2_097_152


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_are_refused(data: bytes, framed: bool) -> None:
    head = b"\xff\xff\xff\xff" + len(data).to_bytes(4, "little") if framed else b""
    assert reason_of(head + data) is Reason.NOT_ARROW


HEADER = header_of(good_batch("plant-1", "gw-1", NOW_MS))
BASES = [
    encode(good_batch("plant-1", "gw-1", NOW_MS)),
    encode(good_batch("plant-1", "gw-1", NOW_MS, sensor=np.arange(7, dtype=np.uint32),
                      offset_ms=np.zeros(7, np.int32), quality=np.zeros(7, np.uint8))),
    stream([("value", pa.array([None, *range(9)], pa.float64()))], HEADER),
    stream([("value", pa.array([1.0, 2.0])), ("tag", pa.array(["a", None])),
            ("list", pa.array([[1], [2, 3]])), ("struct", pa.array([{"a": 1}, None]))], HEADER),
]  # fmt: skip


def mutated(data: bytes, rnd: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rnd.randint(1, 4)):
        at, width = rnd.randrange(len(changed)), rnd.choice([1, 2, 4, 8])
        if rnd.random() < 0.2:
            del changed[at : at + width]
            continue
        # whole words: lengths and offsets are what hurts
        word = rnd.choice([0, 1, 2**31 - 1, 2**36, 2**62, -1, rnd.getrandbits(63)])
        at = at // width * width
        changed[at : at + width] = (word % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(changed)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_mutations_of_good_bytes_are_read_or_refused(seed: int) -> None:
    """Never another exception, and never the end of the process."""
    rnd = random.Random(seed)
    for _ in range(50):
        data = mutated(rnd.choice(BASES), rnd)
        if reason_of(data) is None:
            _use(decode(data))


def _use(batch: Batch) -> None:
    """Touch every value, as a job will."""
    batch.good()
    batch.slots().sum()
    try:
        check(batch, batch.facility, 10, NOW_MS)
    except Refused:
        return


def refused_by_check(facility: str = "plant-1", **changes: Any) -> str:
    try:
        check(good_batch("plant-1", "gw-1", NOW_MS, **changes), facility, 7, NOW_MS)
    except Refused as refused:
        return str(refused.reason)
    return ""


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("", {}),
        ("", {"value": np.zeros(0)}),
        ("", {"value": np.zeros(0), "sensor": np.zeros(0, np.uint32)}),
        ("", {"time_ms": 0}),
        ("", {"time_ms": NOW_MS + MAX_FUTURE_MS}),
        ("future_time", {"time_ms": NOW_MS + MAX_FUTURE_MS + 1}),
        ("", {"sensor": np.array([0, 0, 1, 1, 2, 6, 6], np.uint32)}),
        ("slots_not_ascending", {"sensor": np.array([0, 0, 1, 1, 2, 6, 5], np.uint32)}),
        ("slot_out_of_range", {"sensor": np.array([0, 1, 2, 3, 4, 5, 7], np.uint32)}),
        ("slot_out_of_range", {"value": np.zeros(8)}),
        ("", {"offset_ms": np.array([0, 9, 8, 7, 6, 5, MAX_OFFSET_MS - 1], np.int32)}),
        ("bad_columns", {"offset_ms": np.array([0, 0, 0, 0, 0, 0, MAX_OFFSET_MS], np.int32)}),
        ("bad_columns", {"offset_ms": np.array([0, 0, 0, 0, 0, 0, -1], np.int32)}),
        (
            "future_time",
            {"time_ms": NOW_MS + MAX_FUTURE_MS, "offset_ms": np.array([0] * 6 + [1], np.int32)},
        ),
    ],
)
def test_check_at_its_limits(reason: str, changes: dict[str, Any]) -> None:
    assert refused_by_check(**changes) == reason


def test_a_batch_of_another_facility_is_refused() -> None:
    assert refused_by_check(facility="plant-10") == "wrong_facility"


def test_times_of_one_sensor_ascend() -> None:
    slots = np.array([0, 1, 1, 2, 3, 3, 4], np.uint32)
    rising = np.array([9, 1, 2, 0, 5, 5, 0], np.int32)
    assert refused_by_check(sensor=slots, offset_ms=rising) == ""
    rising[2] = 0
    assert refused_by_check(sensor=slots, offset_ms=rising) == "slots_not_ascending"


def test_which_readings_may_enter_a_sum() -> None:
    def good(value: list[float], quality: list[int] | None) -> list[bool] | None:
        codes = None if quality is None else np.array(quality, np.uint8)
        found = good_batch("f", "g", 0, value=np.array(value), quality=codes).good()
        return None if found is None else found.tolist()

    assert good([1.0, 2.0], None) is None
    assert good([1.0, np.nan, np.inf, -np.inf], None) == [True, False, False, False]
    assert good([1.0, 2.0], [Quality.GOOD, Quality.CLOCK_REPAIRED]) is None
    assert good([1.0] * 6, [0, 1, 2, 3, 4, 250]) == [True, False, False, False, True, False]
    assert good([np.nan, 1.0, 2.0], [0, 0, 2]) == [False, True, False]
    # the sum overflows although every value is finite
    assert good([1.7e308, 1.7e308], None) is None
    assert good([], None) is None
