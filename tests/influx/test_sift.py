"""Batches and their offsets; the lines that a server refuses, found by halves."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.influx import sift as module
from jobs.influx.batches import MAX_RECORD_BYTES, Batch, Batcher, Part
from jobs.influx.bucket import Answer
from jobs.influx.erasure import Erasure
from jobs.influx.sift import sift
from udfs.records import Record


def record(offset: int, partition: int = 0, value: bytes = b"r") -> Record:
    return Record("plant-1/gw-1", "rollups", partition, offset, value)


def text(*lines: str) -> pa.StringArray:
    return pa.array([f"{line}\n" for line in lines], pa.string())


class Server:
    """Refuses lines that begin with "bad": all of a request with 400, only those with 422."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.written: set[str] = set()
        self.requests = 0

    def write(self, lines: pa.StringArray) -> Answer:
        self.requests += 1
        found = [line.strip() for line in lines.to_pylist()]
        good = {line for line in found if not line.startswith("bad")}
        if self.status == 422 or len(good) == len(found):
            self.written |= good
        return Answer(204) if len(good) == len(found) else Answer(self.status, "no")


def parts_of(sizes: list[int], bad: set[int]) -> tuple[list[Part], list[str]]:
    names = [f"{'bad' if n in bad else 'good'}-{n}" for n in range(sum(sizes))]
    parts, begin = [], 0
    for offset, size in enumerate(sizes):
        parts.append(Part(record(offset), text(*names[begin : begin + size]), 0))
        begin += size
    return parts, names


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.sets(st.integers(0, 40), min_size=1, max_size=5),
    st.sampled_from([400, 422]),
)
def test_all_but_the_bad_lines_are_written(sizes: list[int], bad: set[int], status: int) -> None:
    parts, names = parts_of(sizes, bad)
    server = Server(status)
    first = server.write(pa.concat_arrays([part.lines for part in parts]))
    if first.status == 204:
        return
    rejected = sift(parts, first, server.write)
    assert rejected is not None
    assert server.written == {name for name in names if name.startswith("good")}
    found = {item.record.offset: item.lines for item in rejected}
    expected = {
        part.record.offset: count
        for part in parts
        if (count := sum(line.startswith("bad") for line in part.lines.to_pylist()))
    }
    assert found == expected


def test_what_is_said_of_a_record() -> None:
    parts, _ = parts_of([3, 2], {1, 2})
    server = Server(422)
    (found,) = sift(parts, Answer(422, "no"), server.write) or ()
    assert (found.record.offset, found.lines) == (0, 2)
    assert found.detail == "2 of 3 lines; 422: no; first: bad-1"


def test_ten_bad_lines_of_ten_thousand_are_found() -> None:
    bad = {n * 997 for n in range(10)}
    parts, names = parts_of([5_000, 5_000], bad)
    server = Server(400)
    rejected = sift(parts, Answer(400, "no"), server.write) or []
    assert sum(item.lines for item in rejected) == 10
    assert len(server.written) == len(names) - 10


def test_a_batch_that_is_bad_throughout_takes_so_many_requests_and_no_more() -> None:
    parts, _ = parts_of([2_000, 2_000], set(range(4_000)))
    server = Server(400)
    rejected = sift(parts, Answer(400, "no"), server.write) or []
    assert server.requests <= module.MAX_REQUESTS + 1
    assert [(item.record.offset, item.lines) for item in rejected] == [(0, 2_000), (1, 2_000)]


def test_giving_up_refuses_nothing() -> None:
    parts, _ = parts_of([4], {1})
    assert sift(parts, Answer(400), lambda lines: None) is None


# --- batches ------------------------------------------------------------------------------------


def taken(batcher: Batcher, all_of_it: bool = True) -> list[Batch]:
    found = []
    while (batch := batcher.take(all_of_it)) is not None:
        found.append(batch)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), max_size=20), st.integers(1, 5))
def test_every_line_once_and_no_offset_before_its_lines(
    records: list[tuple[int, int]], limit: int
) -> None:
    batcher = Batcher(limit)
    for offset, (lines, partition) in enumerate(records):
        names = [f"{offset}-{n}" for n in range(lines)]
        batcher.add(record(offset, partition), text(*names), offset)
    batches = taken(batcher)
    assert batcher.empty
    gone: list[str] = []
    for batch in batches:
        assert batch.size == sum(len(part.lines) for part in batch.parts) <= limit
        gone += [line.strip() for part in batch.parts for line in part.lines.to_pylist()]
        for (_, partition), after in batch.offsets.items():
            before = [
                f"{offset}-{n}"
                for offset, (lines, of) in enumerate(records)
                if of == partition and offset < after
                for n in range(lines)
            ]
            assert set(before) <= set(gone)
    assert gone == [f"{o}-{n}" for o, (lines, _) in enumerate(records) for n in range(lines)]
    last = {("rollups", of): offset + 1 for offset, (_, of) in enumerate(records)}
    done: dict[tuple[str, int], int] = {}
    for batch in batches:
        done |= batch.offsets
    assert done == last


def test_what_is_deleted_goes_between_the_lines_before_and_its_own() -> None:
    gone = Erasure("plant-1", "gw-1", 0, ("flow",))
    batcher = Batcher(10)
    batcher.add(record(0), text("a"), 0)
    batcher.add(record(1), text("b"), 0, gone)
    batcher.add(record(2), text("c"), 0)
    batcher.add(record(3), text("d"), 0, gone)
    assert [(batch.size, batch.erasure) for batch in taken(batcher)] == [
        (1, None),
        (2, gone),
        (1, gone),
    ]


def test_only_full_batches_unless_all_is_wanted() -> None:
    batcher = Batcher(3)
    batcher.add(record(0), text("a", "b", "c", "d"), 7)
    (full,) = taken(batcher, all_of_it=False)
    assert (full.size, full.offsets, full.oldest_ms()) == (3, {}, 7)
    (rest,) = taken(batcher)
    assert (rest.size, rest.offsets) == (1, {("rollups", 0): 1})


@pytest.mark.parametrize(("lines", "batches"), [(1, 2), (0, 1)])
def test_records_of_few_lines_end_a_batch_by_their_size(lines: int, batches: int) -> None:
    """Those of none are not kept."""
    batcher = Batcher(1_000)
    half = bytes(MAX_RECORD_BYTES // 2)
    for offset in range(4):
        batcher.add(record(offset, value=half), text(*["x"] * lines), 0)
    assert len(taken(batcher)) == batches
