"""Payloads that look like one before: read by a few gathers instead of metric by metric.

In the steady state a device says the same metrics each time, with fixed-width values and times of
the same length, so its payloads differ in known bytes only. A `Layout` is learned from one payload:
a mask of the bytes that must be the same (tags, lengths, aliases, qualities, the continuation bits
of varints) and the places of the others. What matches under the mask has the same structure, so it
means the same, field by field; anything else is read the general way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from edge.sparkplug.content import Content, find, quality
from edge.sparkplug.table import NO_SLOT, Entry, Table
from edge.sparkplug.values import Place, Values
from edge.sparkplug.wire import VALUES, Scan, Span, scan, varint
from udfs.batch import Quality

TIME_BYTES = 6  # of a varint: from 1971 to 2109 in milliseconds
_TIME_WEIGHTS = 1 << (7 * np.arange(TIME_BYTES))
_FIXED = ("double_value", "float_value")


class _Unlearnable(Exception):
    """Not of a kind that a layout can stand for."""


class _Row(NamedTuple):
    """One reading of the payload that is learned."""

    entry: Entry
    metric: Any
    time: Span
    place: Place


class Layout:
    """The layout of one payload of a device; made by `learn`."""

    def __init__(self, payload: bytes, found: Scan, rows: list[_Row]) -> None:
        mask = np.full(len(payload), 0xFF, np.uint8)
        for begin, end in _varints(found, rows):
            mask[begin:end] = 0x80
        for row in rows:
            if row.place.kind in _FIXED:
                mask[row.place.begin : row.place.end] = 0
        self._mask = mask
        self._expected = (np.frombuffer(payload, np.uint8) & mask).tobytes()
        self._seq = found.seq
        begins = np.array([row.time[0] for row in rows], np.intp)
        self._times = begins[:, None] + np.arange(TIME_BYTES)
        self._values = Values([row.place for row in rows])
        self._slot = np.array([row.entry.slot for row in rows], np.uint32)
        self._slot.flags.writeable = False  # all blocks share it
        self._quality = np.array([_quality(row.metric) for row in rows], np.uint8)
        historical = np.array([row.metric.is_historical for row in rows], np.bool_)
        self._historical = historical if historical.any() else None

    @classmethod
    def learn(cls, payload: bytes, parsed: Any, content: Content, table: Table) -> Self | None:
        """The layout of a payload; None when there is none that reads it as `content` does."""
        found = scan(payload)
        if found is None:
            return None
        try:
            layout = cls(payload, found, list(_rows(found, parsed, table)))
        except _Unlearnable:
            return None
        again = layout.read(payload)
        return layout if again is not None and _same(again, content) else None

    def read(self, payload: bytes) -> Content | None:
        """The readings of a payload of the same length; None when it has another structure."""
        buffer = np.frombuffer(payload, np.uint8)
        if np.bitwise_and(buffer, self._mask).tobytes() != self._expected:
            return None
        return Content(
            varint(payload, self._seq) if self._seq is not None else None,
            self._slot,
            (buffer.take(self._times) & 0x7F).dot(_TIME_WEIGHTS),
            self._values.read(buffer),
            self._quality.copy(),
            self._historical,
        )


def _rows(found: Scan, parsed: Any, table: Table) -> Iterator[_Row]:
    for spans, metric in zip(found.metrics, parsed.metrics, strict=True):
        entry = find(metric, table)
        if entry is None:
            raise _Unlearnable
        if entry.slot == NO_SLOT:
            continue
        time = spans.get("time", found.sent)
        if time is None or time[1] - time[0] != TIME_BYTES:
            raise _Unlearnable
        yield _Row(entry, metric, time, _place(spans, metric, metric.datatype or entry.datatype))


def _place(spans: dict[str, Span], metric: Any, datatype: int) -> Place:
    """Where the value is; nowhere for a null, whatever else is written."""
    kind = next((name for name in VALUES if name in spans), None)
    if metric.is_null:
        return Place("", 0, 0, datatype)
    if kind is None:
        raise _Unlearnable
    return Place(kind, *spans[kind], datatype)


def _varints(found: Scan, rows: list[_Row]) -> Iterator[Span]:
    """Numbers that may be any other one of as many bytes."""
    if found.seq is not None:
        yield found.seq
    if found.sent is not None:
        yield found.sent
    for row in rows:
        yield row.time
        if row.place.kind not in _FIXED:
            yield row.place.begin, row.place.end


def _quality(metric: Any) -> int:
    return Quality.BAD if metric.is_null else quality(metric)


def _same(one: Content, other: Content) -> bool:
    columns = ("slot", "time_ms", "value", "quality", "historical")
    return (
        all(
            np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "value")
            for name in columns
        )
        and one.seq == other.seq
        and not (other.waveforms or other.unknown or other.skipped)
    )
