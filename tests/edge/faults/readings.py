"""What a gateway's spool holds after a test, held against what the machines sent."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge import codec, keep
from edge.settings import SpoolSettings
from edge.simulator.devices import times_of
from edge.spool.losses import Lost
from edge.spool.record import Kind, Log
from edge.spool.spool import Spool
from tests.edge.faults.machines import FACILITY, GATEWAY, TICK_MS, Machines
from udfs import rollup
from udfs.rollup import MinuteRollup


@dataclass
class Held:
    """numbers: (epoch, sequence) of the batches that can be read; seconds: values by event second,
    each once; twice: event seconds that came twice. base: index of the newest epoch's number 0."""

    numbers: list[tuple[int, int]] = field(default_factory=list)
    seconds: dict[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    twice: list[int] = field(default_factory=list)
    lost: tuple[Lost, ...] = ()
    minutes: list[MinuteRollup] = field(default_factory=list)
    alerts: int = 0
    dropped_rollups: int = 0
    epoch: int = 0
    next_sequence: int = 0
    damaged: int = 0
    ended: dict[int, int | None] = field(default_factory=dict)

    def lost_numbers(self) -> set[tuple[int, int]]:
        return {(row.epoch, n) for row in self.lost for n in range(row.first, row.last + 1)}


def look(
    folder: Path, machines: Machines, max_bytes: int, segment_bytes: int, since_ms: int = 0
) -> Held:
    """Open the spool as the gateway does, and read all of it. since_ms: no readings before."""
    held = Held()
    settings = SpoolSettings(folder=folder, max_bytes=max_bytes, segment_bytes=segment_bytes)
    spool = Spool.open(settings, time.time_ns() // 10**6)
    held.damaged = spool.recovery.damaged_records
    try:
        _read(spool, machines, held, since_ms)
    finally:
        spool.close()
    return held


def _read(spool: Spool, machines: Machines, held: Held, since_ms: int) -> None:
    held.epoch, held.next_sequence = spool.epoch, spool.next_sequence
    for stored in spool.tail(Log.RAW, -1):
        batch = codec.decode(stored.body, stored.epoch, stored.sequence, FACILITY, GATEWAY)
        held.numbers.append((stored.epoch, stored.sequence))
        slots, times = batch.slots(), times_of(batch)
        for at_ms in np.unique(times[times >= since_ms]).tolist():
            second = (at_ms - machines.first_ms) // TICK_MS
            here = times == at_ms
            np.testing.assert_array_equal(slots[here], np.arange(machines.sensors))
            if second in held.seconds:
                held.twice.append(second)
            held.seconds[second] = batch.value[here]
    for stored in spool.tail(Log.ROLLUPS, -1):
        if stored.kind == Kind.ROLLUP:
            held.minutes.append(rollup.decode(keep.unpack(stored.body)))
    held.alerts = sum(1 for _ in spool.tail(Log.ALERTS, -1))
    held.ended = dict(spool.ended)
    held.lost, held.dropped_rollups = spool.lost, spool.dropped(Log.ROLLUPS)


def assert_values(held: Held, machines: Machines) -> None:
    """Every reading on disk is the one that was sent, to the bit, and none is there twice."""
    assert held.twice == []
    for second, values in held.seconds.items():
        assert values.tobytes() == machines.values(second).tobytes(), second
