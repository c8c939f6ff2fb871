"""Fair shares and tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.shares import Grant, decode_grant, divide, encode_grant

CAPS = st.lists(st.floats(0, 1e6), max_size=20).map(np.array)


@pytest.mark.parametrize(
    ("budget", "caps", "shares"),
    [
        (90, [100, 100, 100], [30, 30, 30]),
        (90, [10, 100, 100], [10, 40, 40]),
        (90, [100, 10, 50], [40, 10, 40]),
        (1000, [10, 100, 50], [10, 100, 50]),
        (0, [10, 20], [0, 0]),
        (-5, [10, 20], [0, 0]),
        (50, [], []),
        (50, [0, 80], [0, 50]),
    ],
)
def test_shares(budget: float, caps: list[float], shares: list[float]) -> None:
    assert divide(budget, np.array(caps, float)).tolist() == pytest.approx(shares)


@given(st.floats(0, 1e7), CAPS)
def test_shares_are_max_min_fair(budget: float, caps: np.ndarray) -> None:
    shares = divide(budget, caps)
    assert shares.sum() <= min(budget, caps.sum()) * (1 + 1e-9) + 1e-6
    assert shares.sum() == pytest.approx(min(budget, caps.sum()), rel=1e-6, abs=1e-6)
    assert (shares <= caps).all() and (shares >= 0).all()
    # whoever gets less than its cap gets as much as anybody
    held_back = shares[shares < caps * (1 - 1e-9)]
    assert not len(held_back) or held_back.min() >= shares.max() - 1e-6


def test_a_token_as_bytes() -> None:
    grant = Grant("plant-07", "gw-1", 12.5, 1_015_000, 1_000_000)
    assert decode_grant(encode_grant(grant)) == grant
    with_more = json.loads(encode_grant(grant)) | {"later": 1}
    assert decode_grant(json.dumps(with_more).encode()) == grant


@pytest.mark.parametrize(
    "change",
    [
        {"contract": "hardiot.admission.v2"},
        {"readings_per_s": -1},
        {"readings_per_s": "7"},
        {"readings_per_s": True},
        {"readings_per_s": 10**400},
        {"expires_ms": 1.5},
        {"expires_ms": 999_999},
        {"given_ms": None},
    ],
)
def test_what_is_no_token(change: dict[str, object]) -> None:
    fields = json.loads(encode_grant(Grant("plant-07", "gw-1", 1.0, 1_015_000, 1_000_000)))
    with pytest.raises(ValueError, match="not a token"):
        decode_grant(json.dumps(fields | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{}", b"NaN", b"[" * 100_000])
def test_bytes_that_are_no_token(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a token"):
        decode_grant(data)


def test_a_rate_that_is_not_a_number() -> None:
    data = encode_grant(Grant("a", "b", float("nan"), 2, 1))
    with pytest.raises(ValueError, match="not a token"):
        decode_grant(data)
