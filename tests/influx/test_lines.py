"""Lines: literals, names that need escapes, numbers that cannot be written, nothing copied."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.influx.lines import body, minute_line, sensor_lines
from jobs.influx.series import series_of
from tests.influx.plant import catalogue, policy, rollup, stored
from tests.influx.protocol import parse
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup

ALL = policy()


def text_of(of: Catalogue, item: MinuteRollup, under=ALL) -> str:
    series = series_of(of, under)
    rows = np.flatnonzero(series.plan[np.arange(len(item.count))] >= 0)
    lines = sensor_lines("rollup", item, series, rows, under)
    both = pa.concat_arrays([lines, minute_line("minute", item, series)])
    assert bytes(body(both)).decode() == "".join(both.to_pylist())
    return "".join(both.to_pylist())


def test_a_minute_in_full() -> None:
    found = text_of(catalogue(sensors=2), rollup(catalogue(sensors=2), minute=1))
    tags = "facility=plant-1,gateway=gw-1"
    assert found == (
        f"rollup,asset=pump-0,{tags},sensor=pump-0.temperature mean=20.140625,min=19.140625,"
        "max=21.140625,first=19.640625,last=20.640625,sum=1208.4375,stddev=0.5,count=60i,bad=1i "
        "1790000100\n"
        f"rollup,asset=pump-0,{tags},sensor=pump-0.flow mean=21.140625,min=20.140625,"
        "max=22.140625,first=20.640625,last=21.640625,sum=1268.4375,stddev=0.5,count=60i,bad=1i "
        "1790000100\n"
        f"minute,{tags} revision=1i,complete=true,missing=0i,batches=60i,sensors=2i,readings=122i "
        "1790000100\n"
    )


def test_entries_of_the_policy_have_their_own_fields() -> None:
    under = policy("[{kind: [flow], fields: [max]}, {kind: [temp*], fields: [count, last]}]")
    found = parse(text_of(catalogue(), rollup(catalogue()), under))
    points = [fields for (name, _, _), fields in found.items() if name == "rollup"]
    assert points == [
        {"max": 22.015625},
        {"max": 24.015625},
        {"count": 60, "last": 20.515625},
        {"count": 60, "last": 22.515625},
    ]


def test_what_is_not_finite_is_left_out_and_a_point_without_fields_too() -> None:
    of = catalogue(sensors=3)
    item = rollup(of)
    item = replace(
        item,
        count=np.array([0, 60, 60], np.uint32),
        sum=np.array([0.0, math.inf, 1200.0]),
        sum_sq=np.array([0.0, math.inf, 0.0]),
        min=np.array([math.nan, -math.inf, 1.0]),
        max=np.array([math.nan, 2.0, 1.0]),
    )
    found = parse(text_of(of, item, policy("[{fields: [mean, min, max, stddev]}]")))
    points = [fields for (name, _, _), fields in found.items() if name == "rollup"]
    assert points == [{"max": 2.0}, {"mean": 20.0, "min": 1.0, "max": 1.0, "stddev": 0.0}]


NUMBERS = st.floats(width=64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_numbers_come_back_to_the_bit(values: list[tuple[float, float]]) -> None:
    of = catalogue(sensors=len(values))
    first, last = np.array(values).T
    item = replace(rollup(of), first=first, last=last)
    assert parse(text_of(of, item)) == stored(of, [item])


# what a line can hold as it is: backslashes only before what they do not escape
NAMES = st.text(st.characters(exclude_categories=["C"], exclude_characters="\\"), min_size=1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4, unique=True))
def test_names_come_back(names: list[tuple[str, str]]) -> None:
    sensors, assets = zip(*names, strict=True)
    of = catalogue(sensors=len(names), name=sensors, asset=assets)
    assert parse(text_of(of, rollup(of))) == stored(of, [rollup(of)])


ANY = st.text(st.sampled_from("ab\\ ,=\n\t\r\0\"'é"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=6))
def test_no_name_breaks_a_line_or_meets_another_series(names: list[tuple[str, str]]) -> None:
    """Also the same name twice, and none at all: `parse` refuses two points in one place."""
    sensors, assets = zip(*names, strict=True)
    of = catalogue(sensors=len(names), name=sensors, asset=assets)
    found = parse(text_of(of, rollup(of)))
    assert len(found) == len(names) + 1
    for _, tags, _ in found:
        assert all(value for _, value in tags)
        assert [key for key, _ in tags] == sorted(key for key, _ in tags)


def test_the_second_of_equal_names_has_its_slot() -> None:
    of = catalogue(sensors=3, name=("flow", "flow", "flow"), asset=("a", "b", "a"))
    tags = [dict(tags) for name, tags, _ in parse(text_of(of, rollup(of))) if name == "rollup"]
    assert [item.get("slot") for item in tags] == [None, None, "2"]


def test_a_part_of_the_lines_is_a_part_of_the_text() -> None:
    lines = pa.array(["a 1\n", "bb 2\n", "ccc 3\n"])
    assert bytes(body(lines.slice(1, 1))) == b"bb 2\n"
    assert bytes(body(lines.slice(1))) == b"bb 2\nccc 3\n"
    assert bytes(body(lines.slice(3))) == b""
