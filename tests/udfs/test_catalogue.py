"""A gateway's catalogue: there and back, and `ValueError` for anything else."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from tests.udfs.bad_batches import Columns, stream
from tests.udfs.plant import catalogue
from tests.udfs.test_batch import mutated
from udfs.catalogue import (
    CONTRACT,
    MAX_TAGS,
    Catalogue,
    decode,
    encode,
    join_tags,
    label_of,
    split_tags,
)

HEADER = {"contract": CONTRACT, "facility": "plant-1", "gateway": "gw-1", "version": "3"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def columns(**changes: pa.Array) -> Columns:
    text = pa.array(["a", "b"])
    usual = dict.fromkeys(("name", "unit", "kind", "asset"), text)
    usual |= {"low": pa.array([0.0, 1.0]), "high": pa.array([9.0, 9.0])}
    usual |= {"period_ms": pa.array([1000, 500], pa.int32())}
    return [(name, array) for name, array in (usual | changes).items() if array is not None]


def plain(item: Catalogue) -> list[object]:
    values = [getattr(item, f.name) for f in fields(Catalogue)]
    return [v.tobytes() if isinstance(v, np.ndarray) else v for v in values]


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    n = draw(st.integers(0, 6))
    words = [tuple(draw(st.lists(texts, min_size=n, max_size=n))) for _ in range(6)]
    numbers = [draw(nps.arrays(dtype, n)) for dtype in (np.float64, np.float64, np.int32)]
    version = draw(st.integers(0, 10**9))
    return Catalogue("plant-1", "gw-1", version, *words[:4], *numbers, *words[4:])


@settings(max_examples=60, deadline=None)
@given(catalogues())
def test_there_and_back(item: Catalogue) -> None:
    assert plain(decode(encode(item))) == plain(item)


def test_what_a_catalogue_tells() -> None:
    item = replace(catalogue(["temperature", "flow", "temperature"]), version=3)
    assert len(item) == 3 and item.key == "plant-1/gw-1/3"
    assert item.slots_of_kind("temperature").tolist() == [0, 2]
    assert item.slots_of_kind("pressure").tolist() == []


def test_unknown_columns_are_no_matter() -> None:
    item = decode(stream(columns(site=pa.array(["x", None])), HEADER | {"more": "1"}))
    assert item.name == ("a", "b") and item.period_ms.tolist() == [1000, 500]


def test_a_catalogue_of_before_has_no_types_and_no_tags() -> None:
    item = decode(stream(columns(), HEADER))
    assert (item.asset_type, item.tags) == (("", ""), ("", ""))
    assert plain(decode(encode(item))) == plain(item)


def test_types_and_tags_that_are_there() -> None:
    later = columns(asset_type=pa.array(["pump", ""]), tags=pa.array(["a,b", ""]))
    item = decode(stream(later, HEADER))
    assert (item.asset_type, item.tags) == (("pump", ""), ("a,b", ""))


def test_tags_are_one_text() -> None:
    assert join_tags(["line-2", "critical", "line-2"]) == "critical,line-2"
    assert join_tags(["", "two words", "a,b", "Big", "-x", "x" * 64]) == ""
    assert len(split_tags(join_tags(f"t{i}" for i in range(100)))) == MAX_TAGS
    assert split_tags(" a, b,,c ") == ["a", "b", "c"]
    assert split_tags("") == []
    assert [label_of(text) for text in ("Pump", "two words", "")] == ["pump", "", ""]


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("not a catalogue", b""),
        ("not a catalogue", bytes(50)),
        ("not a catalogue", stream(columns(), HEADER)[:-40]),
        ("not a catalogue", stream(columns(), HEADER, batches=0)[:-8]),
        ("more than one", stream(columns(), HEADER, batches=2)),
        ("compressed", stream(columns(), HEADER, compression="zstd")),
        (
            "contract 'hardiot.catalogue.v2'",
            stream(columns(), HEADER | {"contract": CONTRACT[:-1] + "2"}),
        ),
        ("contract None", stream(columns(), {})),
        ("gateway", stream(columns(), {k: v for k, v in HEADER.items() if k != "gateway"})),
        ("invalid literal", stream(columns(), HEADER | {"version": "new"})),
        ("unit", stream(columns(unit=None), HEADER)),
        ("low is string, not double", stream(columns(low=pa.array(["1", "2"])), HEADER)),
        ("period_ms is int64", stream(columns(period_ms=pa.array([1, 2])), HEADER)),
        ("nulls", stream(columns(kind=pa.array(["a", None])), HEADER)),
        ("nulls", stream(columns(tags=pa.array(["a", None])), HEADER)),
        ("tags is int64, not string", stream(columns(tags=pa.array([1, 2])), HEADER)),
        ("nulls", stream(columns(low=pa.array([None, 1.0])), HEADER)),
    ],
)
def test_what_is_no_catalogue_is_refused(message: str, data: bytes) -> None:
    with pytest.raises(ValueError, match=message):
        decode(data)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_mutations_are_read_or_refused(seed: int) -> None:
    rnd, good = random.Random(seed), stream(columns(), HEADER)
    for _ in range(50):
        try:
            decode(mutated(good, rnd))
        except ValueError as error:
            assert str(error)
