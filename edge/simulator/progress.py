"""What a simulation has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Tally:
    """One gateway's count; a message sent twice is one message and one duplicate.

    messages: records of Kafka, one a batch, or messages of MQTT, one a device of the tick.
    sent_through: the highest sequence number sent, in whatever lane; -1 before the first.
    backlog: batches sent in lane backlog, out of `batches`.
    """

    batches: int = 0
    readings: int = 0
    messages: int = 0
    duplicates: int = 0
    backlog: int = 0
    sent_through: int = -1


@dataclass(frozen=True, slots=True)
class Progress:
    """The whole fleet, once a second. behind_ms: of the schedule, at the moment."""

    seconds: float
    batches: int
    readings: int
    messages: int
    duplicates: int
    backlog: int
    readings_per_s: float
    behind_ms: float


@dataclass(frozen=True, slots=True)
class GatewaySummary:
    """One gateway's run. lost: batches never sent, up to `sent_through`."""

    facility: str
    gateway: str
    epoch: int
    batches: int
    readings: int
    messages: int
    duplicates: int
    backlog: int
    lost: int
    sent_through: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A run. start_ms: event time of the first tick. seconds: by the clock.

    behind_ms: furthest behind the schedule. unacknowledged: records that Kafka, or
    messages that the MQTT broker, never confirmed. stopped: it was told to stop before the end.
    """

    start_ms: int
    seconds: float
    batches: int
    readings: int
    messages: int
    duplicates: int
    behind_ms: float
    unacknowledged: int
    stopped: bool
    gateways: tuple[GatewaySummary, ...]
