"""What a stream says of itself before PyArrow acts on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.bad_batches import stream
from udfs.arrow import body_is_plain
from udfs.batch import Reason, Refused, decode

ZEROS = [("value", pa.array(np.zeros(1000)))]
OLD_KEY = {"ARROW:experimental_compression": "zstd"}
V4 = pa.ipc.MetadataVersion.V4


@pytest.mark.parametrize(
    ("plain", "options"),
    [
        (True, {}),
        (True, {"metadata_version": V4}),
        (True, {"custom": {"note": "a message may carry this"}}),
        (False, {"compression": "zstd"}),
        (False, {"compression": "lz4"}),
        (False, {"custom": OLD_KEY, "metadata_version": V4}),
    ],
)
def test_whether_a_body_is_plain(plain: bool, options: dict[str, Any]) -> None:
    assert body_is_plain(stream(ZEROS, {}, **options)) is plain


def test_a_value_that_looks_like_the_key_is_only_a_value() -> None:
    text = pa.array([next(iter(OLD_KEY))])
    assert body_is_plain(stream([("value", text)], {}))


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("ends early", b""),
        ("no encapsulated message", bytes(16)),
        ("ends early", stream(ZEROS, {})[:-1000]),
        ("ends early", stream(ZEROS, {}, batches=0)[:-8]),
        ("no encapsulated message", stream(ZEROS, {}, batches=0)),
        ("more than one", stream(ZEROS, {}, batches=2)),
        ("more than one", stream(ZEROS, {})[:-8] + stream(ZEROS, {}, batches=0)),
        ("no record batch after", stream([("t", pa.array(["a"]).dictionary_encode())], {})),
    ],
)
def test_what_is_not_one_record_batch(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        body_is_plain(data)


@given(st.binary(max_size=200))
def test_random_bytes_after_a_schema(data: bytes) -> None:
    schema = stream(ZEROS, {}, batches=0)[:-8]
    with pytest.raises(ValueError, match=r"ends early|no encapsulated|no record|more than"):
        body_is_plain(schema + data)


def test_what_would_inflate_is_refused_before_it_does() -> None:
    """A few kilobytes that would be 32 MB."""
    header = {"contract": "hardiot.readings.v1", "lane": "live", "facility": "f", "gateway": "g"}
    header |= dict.fromkeys(("epoch", "sequence", "time_ms", "sent_ms", "catalogue"), "1")
    bomb = stream([("value", pa.array(np.zeros(4_000_000)))], header, compression="zstd")
    assert len(bomb) < 10_000
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    try:
        with pytest.raises(Refused, match="compressed body") as refused:
            decode(bomb)
    finally:
        pa.set_memory_pool(usual)
    assert refused.value.reason is Reason.BAD_COLUMNS
    assert counting.max_memory() < 100_000
