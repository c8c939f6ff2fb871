"""The batches that readings came in, as far as chunks still say it: until they are compacted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.lake.query import waiting as chunk_rows
from jobs.lake.query.scope import Scope
from jobs.lake.query.view import View
from udfs.archive.chunk import Chunk


@dataclass(frozen=True)
class BatchOf:
    """One batch of a gateway. time_ms, sent_ms: UTC epoch ms. backlog: whether it came late."""

    epoch: int
    sequence: int
    time_ms: int
    sent_ms: int
    catalogue: int
    backlog: bool
    traceparent: str


def read_batches(view: View, scope: Scope) -> Iterator[BatchOf]:
    """The batches of the chunks of a facility, gateway and time, by minute."""
    waiting = chunk_rows.find(view, scope)
    for chunk in chunk_rows.chunks(view, Scope(scope.facility), waiting):
        yield from _batches(chunk)


def _batches(chunk: Chunk) -> Iterator[BatchOf]:
    of = chunk.batches
    columns = (of.epoch, of.sequence, of.time_ms, of.sent_ms, of.catalogue, of.backlog)
    numbers = (column.tolist() for column in columns)
    for row in zip(*numbers, of.traceparent, strict=True):
        yield BatchOf(*row)
