"""Which chunks table `readings` holds: what its column `minutes` says.

    held = Held.of(rows)                               # columns facility, gateway, hour, minutes
    held.holds("plant-07", "gw-1", minute_ms, revision)

A chunk that is held is read from `readings` and no more from `chunks`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from udfs.archive.chunk import Chunk
from udfs.archive.schemas import HOUR_MS, MINUTES
from udfs.coverage import MINUTE_MS

# a revision is one byte of `minutes`
MAX_REVISION = 255

Hour = tuple[str, str, int]  # facility, gateway, UTC epoch milliseconds


class Held:
    """The highest revision that is held of each gateway minute."""

    def __init__(self) -> None:
        self._minutes: dict[Hour, bytes] = {}

    @classmethod
    def of(cls, rows: pa.Table) -> Held:
        """What rows of table `readings` hold, all parts together."""
        held, columns = cls(), ["facility", "gateway", "hour", "minutes"]
        distinct = rows.select(columns).group_by(columns).aggregate([])
        hours = distinct["hour"].cast(pa.int64()).to_numpy() // 1000
        names = zip(*(distinct[name].to_pylist() for name in columns[:2]), strict=True)
        for (facility, gateway), hour_ms, minutes in zip(
            names, hours.tolist(), distinct["minutes"].to_pylist(), strict=True
        ):
            held._add((facility, gateway, hour_ms), minutes)
        return held

    def _add(self, hour: Hour, minutes: bytes) -> None:
        have = np.frombuffer(self.minutes(*hour), np.uint8)
        self._minutes[hour] = np.maximum(have, np.frombuffer(minutes, np.uint8)).tobytes()

    def holds(self, facility: str, gateway: str, minute_ms: int, revision: int) -> bool:
        """Whether the readings of that chunk are in table `readings`."""
        hour_ms = minute_ms // HOUR_MS * HOUR_MS
        minute = (minute_ms - hour_ms) // MINUTE_MS
        return revision <= self.minutes(facility, gateway, hour_ms)[minute]

    def minutes(self, facility: str, gateway: str, hour_ms: int) -> bytes:
        """The highest revision by minute of that hour, a byte each; 0 where none is."""
        return self._minutes.get((facility, gateway, hour_ms), bytes(MINUTES))


def minutes_of(chunks: Iterable[Chunk]) -> bytes:
    """`minutes` of a part that these chunks of one gateway hour make.

    Raises: ValueError: a revision above MAX_REVISION, which has no place in it.
    """
    minutes = bytearray(MINUTES)
    for chunk in chunks:
        if chunk.revision > MAX_REVISION:
            raise ValueError(
                f"{chunk.facility}/{chunk.gateway}: revision {chunk.revision} of minute "
                f"{chunk.minute_ms}; at most {MAX_REVISION} can be noted as held"
            )
        minute = chunk.minute_ms % HOUR_MS // MINUTE_MS
        minutes[minute] = max(minutes[minute], chunk.revision)
    return bytes(minutes)
