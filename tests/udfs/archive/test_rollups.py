"""Rollups of what is stored are those that rollup_readings published, to the bit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.archive.plant import (
    HOUR,
    MINUTE,
    SENSORS,
    batch,
    batches,
    catalogue,
    chunks_of,
)
from tests.udfs.steps import call
from udfs import rollup
from udfs.archive.chunk import Chunk, collect, decode, encode
from udfs.archive.hours import sensor_hours
from udfs.archive.rollups import roll_up, roll_up_readings
from udfs.archive.rows import unpack
from udfs.batch import Batch
from udfs.rollup import MinuteRollup
from udfs.rollup_step import RollupStep

# sums of these depend on the order
ROUGH = st.floats(-1e6, 1e6) | st.sampled_from([0.0, -0.0, 1e150, float("nan"), float("-inf")])


def published(parts: Sequence[Batch]) -> list[MinuteRollup]:
    """What the step publishes of these batches, in the order of arrival, and one that ends all."""
    step, items = RollupStep("plant-1", "gw-1"), []
    last = batch(len(parts), 6 * MINUTE, [])
    for part in [*parts, last]:
        items += [o for o in call(step, part.time_ms, part) if o.topic == "rollups"]
    return sorted((rollup.decode(o.value) for o in items), key=lambda item: item.minute_ms)


def plain(item: MinuteRollup) -> MinuteRollup:
    """Without what the readings alone do not tell."""
    return replace(item, batches=0, epoch=0, catalogue=0, traceparent="")


@settings(max_examples=50, deadline=None)
@given(batches(ROUGH), st.randoms(use_true_random=False))
def test_a_chunk_gives_what_was_published(parts: list[Batch], rnd: random.Random) -> None:
    made = [roll_up([decode(encode(chunk))]) for chunk in chunks_of(parts)]
    known = published(rnd.sample(parts, len(parts)))
    assert len(made) == len(known)
    assert all(mine.same_as(theirs) for mine, theirs in zip(made, known, strict=True))


@settings(max_examples=40, deadline=None)
@given(batches(ROUGH), st.integers(0, 6))
def test_revisions_give_what_one_chunk_would(parts: list[Batch], first: int) -> None:
    """Batches that came late are folded where their numbers say."""
    early, late = parts[first:], parts[:first]
    for minute in {part.time_ms // MINUTE for part in parts}:
        whole, some, rest = (
            [part for part in which if part.time_ms // MINUTE == minute]
            for which in (parts, early, late)
        )
        chunks = chunks_of(rest, 2) + chunks_of(some)
        # the strategy may draw one reading in two batches
        if sum(len(c) for c in chunks) == len(distinct(chunks)):
            revision = max(chunk.revision for chunk in chunks)
            assert roll_up(chunks).same_as(replace(roll_up(chunks_of(whole)), revision=revision))


def distinct(chunks: Sequence[Chunk]) -> set[tuple[int, ...]]:
    columns = [(c.sensor, c.times_ms(), c.value.view(np.int64)) for c in chunks]
    return {row for each in columns for row in zip(*(c.tolist() for c in each), strict=True)}


def test_a_literal_rollup() -> None:
    parts = [
        batch(0, 0, [1.0, 10.0, 2.0], [1, 3, 3], quality=[0, 2, 4]),
        batch(1, 1000, [float("nan"), 4.0], [1, 3], version=2),
        batch(2, 2000, [], []),
    ]
    (chunk,) = chunks_of(parts)
    item = roll_up([replace(chunk, revision=4, complete=False, missing=2)])
    assert (item.key, item.minute_ms, item.revision) == ("plant-1/gw-1", HOUR, 4)
    assert (item.complete, item.missing, item.batches, item.epoch) == (False, 2, 3, 1)
    assert (item.catalogue, item.traceparent) == (2, "00-2")
    assert item.sensor is not None and item.sensor.tolist() == [1, 3]
    assert item.count.tolist() == [1, 2] and item.bad.tolist() == [1, 1]
    assert item.sum.tolist() == [1.0, 6.0] and item.sum_sq.tolist() == [1.0, 20.0]
    assert item.min.tolist() == [1.0, 2.0] and item.max.tolist() == [1.0, 4.0]
    assert item.first.tolist() == [1.0, 2.0] and item.last.tolist() == [1.0, 4.0]


def test_the_highest_revision_tells_of_the_minute() -> None:
    (first,) = chunks_of([batch(0, 0, [1.0]), batch(2, 2000, [3.0])])
    (late,) = chunks_of([batch(1, 1000, [2.0])], 2)
    first = replace(first, complete=False, missing=1)
    item = roll_up([late, first])
    assert (item.revision, item.complete, item.missing, item.batches) == (2, True, 0, 3)
    assert (item.sum.tolist(), item.last.tolist()) == ([6.0], [3.0])
    assert (roll_up([first]).revision, roll_up([first]).missing) == (1, 1)


def test_what_a_later_revision_repeats_is_not_added() -> None:
    twice = batch(0, 0, [1.0, 1.0, 5.0], [0, 0, 1])
    (first,) = chunks_of([twice])
    (late,) = chunks_of([batch(0, 0, [1.0, 5.0, 6.0], [0, 1, 1]), batch(1, 1000, [1.0], [0])], 2)
    item = roll_up([first, late])
    assert item.count.tolist() == [3, 2] and item.sum.tolist() == [3.0, 11.0]


def test_a_minute_without_readings() -> None:
    (chunk,) = chunks_of([batch(0, 0, [])])
    item = roll_up([chunk])
    assert (item.readings(), item.batches, len(item.count)) == (0, 1, 0)
    lost = collect("plant-1", "gw-1", HOUR, 1, False, 60, [])
    assert (roll_up([lost]).batches, roll_up([lost]).missing) == (0, 60)


def test_chunks_of_two_minutes_are_refused() -> None:
    chunks = chunks_of([batch(0, 0, [1.0]), batch(1, MINUTE, [1.0])])
    for wrong in (chunks, []):
        with pytest.raises(ValueError, match="one gateway minute"):
            roll_up(wrong)


@st.composite
def ticking(draw: st.DrawFn) -> list[Batch]:
    """A gateway with a batch a second, some of all sensors, whole seconds or not."""
    parts = []
    for second in range(draw(st.integers(1, 5))):
        rows = range(SENSORS) if draw(st.booleans()) else sorted(draw(st.sets(st.integers(0, 4))))
        rows = [slot for slot in rows for _ in range(draw(st.sampled_from([1, 1, 3])))]
        values = draw(st.lists(ROUGH, min_size=len(rows), max_size=len(rows)))
        offsets = draw(st.lists(st.integers(0, 999), min_size=len(rows), max_size=len(rows)))
        order = sorted(zip(rows, offsets, strict=True))
        parts.append(batch(second, second * 1000, values, rows, [offset for _, offset in order]))
    return parts


@settings(max_examples=40, deadline=None)
@given(ticking())
def test_readings_without_batches_give_the_same(parts: list[Batch]) -> None:
    (chunk,) = chunks_of(parts)
    hours = unpack(sensor_hours([chunk], catalogue))
    if len(hours):
        item = roll_up_readings(hours, HOUR, 1, True, 0)
        assert item.same_as(replace(plain(roll_up([chunk])), batches=item.batches))


def test_a_dense_minute_of_readings() -> None:
    values = np.random.default_rng(1).uniform(-1e6, 1e6, (120, SENSORS))
    parts = [batch(n, n * 1000, list(values[n])) for n in range(120)]
    chunks = chunks_of(parts)
    hours = unpack(sensor_hours(chunks, catalogue))
    for chunk in chunks:
        item = roll_up_readings(hours, chunk.minute_ms, 3, False, 2, catalogue=7)
        known = replace(roll_up([chunk]), revision=3, complete=False, missing=2)
        assert (item.batches, item.catalogue, item.sensor) == (60, 7, None)
        assert plain(item).same_as(plain(known))


def test_only_the_minute_that_was_asked_for() -> None:
    parts = [batch(0, MINUTE - 1, [1.0]), batch(1, MINUTE, [2.0]), batch(2, 2 * MINUTE, [4.0])]
    hours = unpack(sensor_hours(chunks_of(parts), catalogue))
    sums = [roll_up_readings(hours, HOUR + n * MINUTE, 2, True, 0).sum.tolist() for n in range(4)]
    assert sums == [[1.0], [2.0], [4.0], []]


def test_hours_that_are_not_one_are_refused() -> None:
    rows = sensor_hours(chunks_of([batch(0, 0, [1.0])]), catalogue)
    other = sensor_hours(chunks_of([batch(0, 3_600_000, [1.0])]), catalogue)
    for wrong, why in ((rows[:0], "not from 0"), (pa.concat_tables([rows, other]), "not from 2")):
        with pytest.raises(ValueError, match=why):
            roll_up_readings(unpack(wrong), HOUR, 2, True, 0)
    with pytest.raises(ValueError, match="one part a sensor hour"):
        roll_up_readings(unpack(pa.concat_tables([rows, rows])), HOUR, 2, True, 0)
