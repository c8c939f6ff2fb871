"""State as bytes: there and back for every type, and `BadState` for damaged bytes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from udfs.state import BadState, pack, unpack

DTYPES = ["|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"]

shapes = nps.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
arrays = st.sampled_from(DTYPES).flatmap(lambda dtype: nps.arrays(dtype, shapes))
plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=20)


def bits(value: Any) -> object:
    """What must be the same: type, shape and every bit; of a plain NaN only that it is one."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return type(value), repr(value)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(max_size=8), arrays | plain, max_size=6), st.integers(0, 99))
def test_there_and_back(fields: dict[str, Any], version: int) -> None:
    got_version, got = unpack(pack("step", version, fields), "step")
    assert got_version == version and list(got) == list(fields)
    assert [bits(got[name]) for name in fields] == [bits(fields[name]) for name in fields]


def test_the_layout_of_version_1() -> None:
    """Golden bytes: a state that was written stays readable."""
    array = np.array([1, 2, 3], "<u2")
    data = pack("k", 1, {"n": 7, "a": array, "b": b"xy"})
    head = (
        b'{"kind":"k","version":1,"fields":{"n":{"type":"plain","value":7},'
        b'"a":{"type":"<u2","shape":[3],"at":0,"bytes":6},"b":{"type":"bytes","at":8,"bytes":2}}}'
    )
    padding = b" " * (-(8 + len(head)) % 8)
    length = struct.pack("<I", len(head + padding))
    body = b"\1\0\2\0\3\0\0\0" + b"xy\0\0\0\0\0\0"
    assert data == b"HIoT" + length + head + padding + body


def test_arrays_are_writable_copies_on_boundaries_of_eight() -> None:
    data = pack("k", 1, {"a": np.arange(3, dtype=np.uint8), "b": np.arange(2.0)})
    _, fields = unpack(data, "k")
    fields["b"][0] = 9.0
    assert unpack(data, "k")[1]["b"].tolist() == [0.0, 1.0]
    assert len(data) % 8 == 0 and data.index(struct.pack("<d", 1.0)) % 8 == 0


def test_an_array_that_lies_otherwise_in_memory_keeps_its_values() -> None:
    across = np.arange(6, dtype=np.int32).reshape(2, 3).T
    _, fields = unpack(pack("k", 1, {"a": across, "every second": np.arange(9)[::2]}), "k")
    assert fields["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert fields["every second"].tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (np.array([None]), "x: dtype object"),
        (np.array(["a"]), "x: dtype <U1"),
        (np.zeros(1, ">f8"), "x: dtype >f8"),
        (np.zeros(1, "datetime64[ms]"), "x: dtype datetime64"),
        ([1], "x: list"),
        ({}, "x: dict"),
        (np.int64(1), "x: int64"),
    ],
)
def test_what_cannot_be_kept_is_said(value: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        pack("k", 1, {"x": value})


GOOD = pack("step", 1, {"a": np.arange(5.0), "b": b"bytes", "n": 3, "c": np.zeros((2, 3), "<i4")})


def test_another_kind_is_refused() -> None:
    with pytest.raises(BadState, match='kind "step" where "watch" was asked for'):
        unpack(GOOD, "watch")


@pytest.mark.parametrize("length", [*range(0, len(GOOD) - 8, 7), len(GOOD) - 1])
def test_a_state_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(BadState):
        unpack(GOOD[:length], "step")


USUAL = {"type": "<f8", "shape": [1], "at": 0, "bytes": 8}


def head(**changes: Any) -> dict[str, Any]:
    """A good head of one array, with one field of it or of its entry changed."""
    entry = {name: changes.pop(name, value) for name, value in USUAL.items()}
    return {"kind": "k", "version": 1, "fields": {"a": entry}} | changes


def with_head(data: bytes) -> bytes:
    return struct.pack("<4sI", b"HIoT", len(data)) + data + bytes(8)


def test_the_usual_head_is_good() -> None:
    assert unpack(with_head(json.dumps(head()).encode()), "k")[1]["a"].tolist() == [0.0]


@pytest.mark.parametrize(
    "bad",
    [
        7, None, [], "x", {}, {"kind": "k"}, {"kind": "k", "version": 1},
        head(version="new"), head(version=[]), head(version=float("inf")),
        head(fields=[1]), head(fields={"a": 1}), head(fields={"a": "x"}), head(fields={"a": {}}),
        head(type=["<f8"]), head(type="O"), head(type=">f8"), head(type=None),
        head(shape=[2]), head(shape=[10**30]), head(shape="x"),
        head(at=-8), head(at=8), head(at=0.5), head(at=None), head(at="0"),
        head(bytes=-8), head(bytes=16), head(bytes=7), head(bytes=2**70),
    ],
    ids=repr,
)  # fmt: skip
def test_a_head_of_another_shape_is_refused(bad: Any) -> None:
    with pytest.raises(BadState):
        unpack(with_head(json.dumps(bad).encode()), "k")


def test_a_head_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(BadState, match="damaged state"):
        unpack(with_head(b"[" * 100_000), "k")


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.binary(max_size=40))
def test_damaged_bytes_raise_nothing_else(at: int, byte: int, junk: bytes) -> None:
    damaged = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    for data in (damaged, junk, GOOD[:at] + junk):
        try:
            unpack(data, "step")
        except BadState as error:
            assert str(error)
