"""What overlaps is read together: data files, row groups and chunks, in slices of time.

Slices do not overlap, so the readings of a sensor come in the order of time, however many files
they are in. A day that is merged is a slice; before that an hour is one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import NamedTuple, TypeVar

from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType

from jobs.common.history import EVER_MS

T = TypeVar("T")
R = TypeVar("R")


class Span(NamedTuple):
    """The first and the last time of what is in something of one facility, both included."""

    facility: str
    low_ms: int
    high_ms: int


def span_of(table: Table, file: DataFile, time: str) -> Span:
    """Facility and times of a data file, by its partition and its bounds; "" where it has many."""
    column = table.schema().find_field(time)
    sources = [field.source_id for field in table.specs()[file.spec_id].fields]
    site = table.schema().find_field("facility").field_id
    facility = file.partition[sources.index(site)] if site in sources else ""
    low = (file.lower_bounds or {}).get(column.field_id)
    high = (file.upper_bounds or {}).get(column.field_id)
    if low is None or high is None:
        return Span(facility, -EVER_MS, EVER_MS)
    low_us, high_us = (int(from_bytes(TimestamptzType(), bound)) for bound in (low, high))
    return Span(facility, low_us // 1000, high_us // 1000)


def overlapping(items: Iterable[tuple[Span, T]]) -> Iterator[tuple[Span, list[T]]]:
    """Items put together with all that they overlap, by facility, then time."""
    found: list[T] = []
    span = Span("", 0, 0)
    for each, item in sorted(items, key=lambda pair: pair[0]):
        if found and each.facility == span.facility and each.low_ms <= span.high_ms:
            span = span._replace(high_ms=max(span.high_ms, each.high_ms))
        else:
            if found:
                yield span, found
            span, found = each, []
        found.append(item)
    if found:
        yield span, found


def ahead(pool: Executor, work: Callable[[T], R], items: Iterable[T], depth: int) -> Iterator[R]:
    """Results in the order of the items; the next `depth` are worked on meanwhile."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
