"""When each batch is sent: on time, held back by an outage and replayed, sent twice, or never.

The order of sending is a plan that depends on the settings alone, never on how the receiver does.
Times are milliseconds of event time after the first tick; a batch is due at the end of its tick.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from edge.documents import Model
from edge.simulator.faults import Seconds
from edge.simulator.template import Fraction
from udfs.batch import Lane


class Outage(Model):
    """No link for a time. Afterwards live batches go first and the held ones follow as backlog."""

    facility: str = Field(default="*", description="Glob of facility names.")
    at_s: Seconds = Field(description="Begin, in seconds of event time after the first tick.")
    for_s: PositiveFloat = Field(description="Duration in seconds of event time.")
    replay: PositiveFloat = Field(default=5, description="Held batches sent in a tick afterwards.")


class Lost(Model):
    """Batches that are never sent."""

    facility: str = Field(default="*", description="Glob of facility names.")
    first: NonNegativeInt = Field(description="First sequence number lost.")
    last: NonNegativeInt = Field(description="Last sequence number lost.")
    declared: bool = Field(default=True, description="Whether the ledger says so.")

    @model_validator(mode="after")
    def _ordered(self) -> Lost:
        if self.last < self.first:
            raise ValueError(f"last {self.last} is before first {self.first}")
        return self


class LinkFaults(Model):
    """What the way from the gateways to Kafka does to batches."""

    outages: tuple[Outage, ...] = ()
    duplicates: Fraction = Field(default=0, description="Batches that are sent twice.")
    lost: tuple[Lost, ...] = ()


class Send(NamedTuple):
    """One sending of one batch: when, by which gateway (its index), and in which lane."""

    due_ms: float
    gateway: int
    sequence: int
    lane: Lane


class Window(NamedTuple):
    """An outage in whole milliseconds, so that held and not held are exact opposites."""

    begin_ms: int
    end_ms: int
    replay: float


class Link:
    """The way of one facility's batches."""

    def __init__(
        self, faults: LinkFaults, facility: str, tick_ms: int, late_ms: int, ticks: int | None
    ) -> None:
        """Args: late_ms: how long after its tick a batch is due. ticks: None means endless."""
        self.lost = [lost for lost in faults.lost if fnmatchcase(facility, lost.facility)]
        self._outages = sorted(
            Window(round(o.at_s * 1000), round((o.at_s + o.for_s) * 1000), o.replay)
            for o in faults.outages
            if fnmatchcase(facility, o.facility)
        )
        self._tick_ms = tick_ms
        self._late_ms = late_ms
        self._ticks = ticks

    def sends(self, gateway: int) -> Iterator[Send]:
        """Everything that the gateway sends, in the order of sending."""
        return heapq.merge(self._live(gateway), self._backlog(gateway))

    def sent(self) -> Iterator[int]:
        """The sequence numbers that are sent at all, ascending."""
        return (sequence for sequence in self._sequences() if not self.is_lost(sequence))

    def is_lost(self, sequence: int) -> bool:
        """Whether the batch is never sent."""
        return any(lost.first <= sequence <= lost.last for lost in self.lost)

    def lost_through(self, through: int) -> int:
        """How many of the numbers up to that one are never sent."""
        return (
            sum(1 for sequence in range(through + 1) if self.is_lost(sequence)) if self.lost else 0
        )

    def declared(self, through: int) -> list[list[int]]:
        """The declared losses that begin at or before a number, as [first, last], ascending."""
        pairs = ((lost.first, lost.last) for lost in self.lost if lost.declared)
        return [[first, min(last, through)] for first, last in sorted(pairs) if first <= through]

    def down(self, at_ms: float) -> Window | None:
        """The outage at that time, if there is one."""
        for outage in self._outages:
            if outage.begin_ms <= at_ms < outage.end_ms:
                return outage
        return None

    def _sequences(self) -> Iterator[int]:
        return iter(range(self._ticks)) if self._ticks is not None else itertools.count()

    def _due_ms(self, sequence: int) -> int:
        return (sequence + 1) * self._tick_ms + self._late_ms

    def _live(self, gateway: int) -> Iterator[Send]:
        for sequence in self.sent():
            due_ms = self._due_ms(sequence)
            if not self.down(due_ms):
                yield Send(due_ms, gateway, sequence, Lane.LIVE)

    def _backlog(self, gateway: int) -> Iterator[Send]:
        """The held batches in order; an outage during the replay holds the rest back again."""
        at_ms, last = 0.0, -1
        for outage in self._outages:
            for sequence in self._held(outage, last):
                last = sequence
                at_ms = max(at_ms, self._resumes_ms(outage)) + self._tick_ms / outage.replay
                while again := self.down(at_ms):
                    at_ms = self._resumes_ms(again) + self._tick_ms / again.replay
                yield Send(at_ms, gateway, sequence, Lane.BACKLOG)

    def _held(self, outage: Window, after: int) -> Iterator[int]:
        """Numbers that an outage holds back, past those of an overlapping one before it."""
        begin = max(self._first_due(outage.begin_ms), after + 1)
        end = self._first_due(outage.end_ms)
        if self._ticks is not None:
            end = min(end, self._ticks)
        return (sequence for sequence in range(begin, end) if not self.is_lost(sequence))

    def _resumes_ms(self, outage: Window) -> int:
        """When the first live batch after the outage is due; it goes before all held ones."""
        return self._due_ms(self._first_due(outage.end_ms))

    def _first_due(self, at_ms: int) -> int:
        """The first number that is due at or after that time."""
        return max(0, -(-(at_ms - self._late_ms) // self._tick_ms) - 1)
