"""What a gateway is doing, as one value: page, health checks and metrics are made of it.

The gateway fills it anew whenever somebody looks. Times are wall clock, UTC epoch milliseconds;
numbers count since the process started unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.alarms import Alarms
from edge.timings import NONE, Durations

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Connection:
    """The way to a peer. since_ms: of the last change. detail: what the last error said."""

    name: str
    connected: bool
    since_ms: int
    detail: str = ""
    certificate_expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class InputStatus:
    """An input: an MQTT broker, an OPC UA server, or the direct one.

    readings: taken in; per_s: mean of the last minute. rebirths: asked for. sequence_gaps:
    Sparkplug messages that were missing. acks: from a message's arrival to its PUBACK.
    """

    connection: Connection
    readings: int = 0
    readings_per_s: float = 0.0
    rebirths: int = 0
    sequence_gaps: int = 0
    acks: Durations = NONE


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """The store on disk.

    hours_left: until it is full at the present rate, None when nothing comes. stored: readings that
    were committed in this epoch. pending: records of each log that nobody acknowledged yet;
    oldest_ms: time of the oldest of them. damaged: segments found damaged since the process
    started, while starting included. lost: batches declared lost in this epoch, by reason.
    unkept: readings of these, since the process started, of which not even a rollup could be kept.
    commits: how long writing and syncing took. failed: why the disk is given up, empty while it
    works.
    """

    used_bytes: int
    max_bytes: int
    hours_left: float | None = None
    stored: int = 0
    pending: Counts = field(default_factory=dict)
    oldest_ms: int | None = None
    epoch: int = 0
    damaged: int = 0
    lost: Counts = field(default_factory=dict)
    unkept: int = 0
    commits: Durations = NONE
    failed: str = ""


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """The way to Kafka. sent, acknowledged: records by lane. live_ack: from sent to acknowledged.

    backlog_per_s: readings a second that the backlog may send now.
    """

    connection: Connection
    sent: Counts = field(default_factory=dict)
    acknowledged: Counts = field(default_factory=dict)
    live_ack: Durations = NONE
    backlog_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RulesStatus:
    """The rules that run, and the topic that brings others.

    revision: of their rulebook, 0 for those of the folder. count: how many. author, reason,
    pushed_ms: of the rulebook. following: whether rulebooks are followed. offered: the highest
    revision that was seen. refused: rulebooks that could not be used; why: the last of them, empty
    once a newer one is good. failed: batches that the rules could not judge. trouble: why the topic
    cannot be read until a person acts (no_topic, not_allowed), empty while it can; unreadable: how
    often that was said.
    """

    revision: int = 0
    count: int = 0
    author: str = ""
    reason: str = ""
    pushed_ms: int = 0
    following: bool = False
    offered: int = 0
    refused: int = 0
    why: str = ""
    failed: int = 0
    trouble: str = ""
    unreadable: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """One gateway.

    recovered: whether what the spool held at start has been taken in. idle_s: seconds since the
    last turn of each thread (pipeline, uplink). dropped: readings, by reason; flagged: kept with
    another quality, by reason; refused: messages, by reason. passed_over: late ticks that the rules
    here did not judge. clock_offset_ms: how far each source's clock is ahead.
    """

    facility: str
    gateway: str
    now_ms: int
    started_ms: int
    spool: SpoolStatus
    uplink: UplinkStatus
    inputs: tuple[InputStatus, ...] = ()
    rules: RulesStatus = field(default_factory=RulesStatus)
    recovered: bool = True
    idle_s: Mapping[str, float] = field(default_factory=dict)
    batches: int = 0
    dropped: Counts = field(default_factory=dict)
    flagged: Counts = field(default_factory=dict)
    refused: Counts = field(default_factory=dict)
    passed_over: int = 0
    clock_offset_ms: Mapping[str, float] = field(default_factory=dict)
    alarms: Alarms = field(default_factory=Alarms)
