"""Lines on their way to a bucket, with their records and the offsets that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from jobs.influx.erasure import Erasure
from udfs.records import Record

MAX_RECORD_BYTES = 16 * 2**20

Partition = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Part:
    """Lines of one record. appended_ms: when Kafka got it."""

    record: Record
    lines: pa.StringArray
    appended_ms: int


@dataclass(eq=False)
class Batch:
    """What is written by one request. offsets: where to go on, by partition, once it is written.

    erasure: what is deleted before.
    """

    parts: list[Part] = field(default_factory=list)
    offsets: dict[Partition, int] = field(default_factory=dict)
    erasure: Erasure | None = None
    size: int = 0
    record_bytes: int = 0

    def oldest_ms(self) -> int | None:
        """When Kafka got the oldest of its records."""
        return min((part.appended_ms for part in self.parts), default=None)


class Batcher:
    """Puts records together to batches of as many lines as wanted, and cuts large records.

    A batch keeps its records, for they may have to go to the dead letters; where few of their lines
    are published it ends by their size.
    """

    def __init__(self, lines: int) -> None:
        self._lines = lines
        self._full: list[Batch] = []
        self._open = Batch()

    def add(
        self,
        record: Record,
        lines: pa.StringArray,
        appended_ms: int,
        erasure: Erasure | None = None,
    ) -> None:
        """A record's lines; none: only its offset has to be noted, in its place.

        erasure: what is deleted before its first line, and so after all lines that came before.
        """
        if erasure is not None:
            if not self.empty:
                self._close()
            self._open.erasure = erasure
        at = 0
        while at < len(lines):
            some = lines.slice(at, self._lines - self._open.size)
            self._open.parts.append(Part(record, some, appended_ms))
            self._open.size += len(some)
            at += len(some)
            if self._open.size >= self._lines and at < len(lines):
                self._close()
        self._open.offsets[record.topic, record.partition] = record.offset + 1
        self._open.record_bytes += len(record.value) if len(lines) else 0
        if self._open.size >= self._lines or self._open.record_bytes >= MAX_RECORD_BYTES:
            self._close()

    def take(self, all_of_it: bool) -> Batch | None:
        """The oldest batch that is full; with `all_of_it`, also one that is not."""
        if not self._full and all_of_it and not self.empty:
            self._close()
        return self._full.pop(0) if self._full else None

    def clear(self) -> None:
        """Forget everything."""
        self._full, self._open = [], Batch()

    @property
    def empty(self) -> bool:
        """Whether there is nothing that waits for more."""
        return not (self._open.offsets or self._open.parts)

    def __iter__(self) -> Iterator[Batch]:
        yield from self._full
        yield self._open

    def _close(self) -> None:
        self._full.append(self._open)
        self._open = Batch()
