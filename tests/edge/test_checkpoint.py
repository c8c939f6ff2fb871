"""A checkpoint comes back as it was, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import checkpoint
from udfs.state import BadState

FIELDS = {"last_ms": np.arange(5, dtype=np.int64), "watch": b"\x00\x01", "none": None}


def test_it_comes_back(tmp_path: Path):
    assert checkpoint.load(tmp_path) is None
    checkpoint.save(tmp_path, 41, FIELDS)
    checkpoint.save(tmp_path, 42, FIELDS)
    index, fields = checkpoint.load(tmp_path) or (0, {})
    assert index == 42
    assert fields["watch"] == b"\x00\x01"
    np.testing.assert_array_equal(fields["last_ms"], FIELDS["last_ms"])


def test_any_flipped_or_missing_byte_is_noticed(tmp_path: Path):
    checkpoint.save(tmp_path, 42, FIELDS)
    path = tmp_path / checkpoint.FILE
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(BadState):
            checkpoint.load(tmp_path)
        path.write_bytes(whole[:at])
        with pytest.raises(BadState):
            checkpoint.load(tmp_path)
