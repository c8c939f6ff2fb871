"""A small spool under load, and what it has promised so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.settings import SpoolSettings
from edge.spool import Kind, Log, Spool, Stored
from edge.spool.disk import Disk

NOW_MS = 1_750_000_000_000
FOLDER = Path("/spool")


def small(max_bytes: int = 272 * 1024, segment_bytes: int = 16 * 1024) -> SpoolSettings:
    """Settings below what an operator may set: a few segments are a full spool."""
    return SpoolSettings.model_construct(
        folder=FOLDER, max_bytes=max_bytes, segment_bytes=segment_bytes,
        group_bytes=64 * 1024, group_ms=50, checkpoint_s=60.0,
    )  # fmt: skip


@dataclass
class Load:
    """Writes to a spool and keeps what commit() promised.

    raw, alerts: what was committed, by (epoch, sequence) or index. used: every number ever given.
    acknowledged: numbers and alert indices that may be gone. dropped: given to roll_up.
    """

    spool: Spool
    random: Random
    raw: dict[tuple[int, int], bytes] = field(default_factory=dict)
    held: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    alerts: dict[int, bytes] = field(default_factory=dict)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    acknowledged_alerts: set[int] = field(default_factory=set)
    dropped: list[Stored] = field(default_factory=list)
    waiting: dict[tuple[int, int], bytes] = field(default_factory=dict)
    waiting_alerts: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.attach(self.spool)

    def attach(self, spool: Spool) -> None:
        """Go on with a spool that was opened again."""
        self.spool = spool
        spool.roll_up = self.roll_up
        self.waiting, self.waiting_alerts = {}, {}

    def roll_up(self, records: list[Stored]) -> list[tuple[bytes, int]]:
        self.dropped += records
        return [(b"rollup of %d" % len(records), records[0].time_ms)]

    def append(self, size: int = 900) -> None:
        body = self.random.randbytes(self.random.randrange(1, size))
        readings, mark = self.random.randrange(100), self.random.getrandbits(64)
        number = self.spool.append(body, time_ms=NOW_MS, readings=readings, fingerprint=mark)
        assert number not in self.raw, "a number is used twice"
        self.waiting[number] = body
        self.held[number] = (readings, mark)

    def alert(self) -> None:
        body = self.random.randbytes(60)
        self.waiting_alerts[self.spool.append_record(Kind.ALERT, body, NOW_MS)] = body

    def commit(self) -> None:
        self.spool.commit()
        self.raw |= self.waiting
        self.alerts |= self.waiting_alerts
        self.waiting, self.waiting_alerts = {}, {}

    def acknowledge(self, log: Log, records: list[Stored]) -> None:
        """Before the spool knows, so that a crash inside counts as acknowledged."""
        for record in records:
            if log is Log.RAW:
                self.acknowledged.add((record.epoch, record.sequence))
            else:
                self.acknowledged_alerts.add(record.index)
        self.spool.acknowledge(log, records[0].index, records[-1].index)


def read_all(spool: Spool, log: Log) -> list[Stored]:
    """Everything that is pending, as an uplink would read it."""
    records: list[Stored] = []
    while pending := spool.pending(log):
        low = records[-1].index + 1 if records else 0
        left = [(max(first, low), last) for first, last in pending if last >= low]
        if not left:
            return records
        records += spool.read(log, *left[0], max_bytes=20_000)
    return records


def numbers_lost(spool: Spool) -> dict[tuple[int, int], str]:
    """Each number that was declared lost, with the reason."""
    return {
        (row.epoch, number): row.reason
        for row in spool.lost
        for number in range(row.first, row.last + 1)
    }


def open_small(disk: Disk, now_ms: int = NOW_MS, settings: SpoolSettings | None = None) -> Spool:
    return Spool.open(settings or small(), now_ms, disk)
