"""What is found of one gateway day, as columns of its sensors, minutes and hours.

Filled by `readings`, `rollups` and `chunks`, and compared when all of it is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.archive.schemas import HOUR_MS
from udfs.coverage import MINUTE_MS

DAY_MS = 24 * HOUR_MS
HOURS, MINUTES, SECONDS = 24, 1440, 86_400

Words = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]
Shorts = npt.NDArray[np.uint16]


class GatewayDay:
    """One gateway and day; memory: some 7 MB a thousand sensors.

    hours: by check, how much of it each hour has. examples: where, by check and hour. counts,
    rolled: readings by slot and minute, as the tables `readings` (with chunks) and `rollups` have
    them, modulo 65,536; rows: of `rollups`. noted: highest revision of each minute, 0 none.
    pending: minutes with a chunk that is not compacted. incomplete: minutes whose rollups say so.
    told: minutes that have rollups. seconds, prints: readings and their fingerprint by second.
    """

    def __init__(self) -> None:
        self.hours: dict[str, Longs] = defaultdict(lambda: np.zeros(HOURS, np.int64))
        self.examples: dict[tuple[str, int], str] = {}
        self.names: dict[int, str] = {}
        self.counts, self.rolled = (np.zeros((0, MINUTES), np.uint16) for _ in range(2))
        self.rows, self.edge_rows = (np.zeros((0, MINUTES), np.uint8) for _ in range(2))
        self.noted = np.zeros(MINUTES, np.uint8)
        self.pending, self.incomplete, self.told = (np.zeros(MINUTES, np.bool_) for _ in range(3))
        self.seconds, self.prints = (np.zeros(SECONDS, np.uint64) for _ in range(2))
        self.keys: list[Longs] = []

    def room(self, name: str, slots: int) -> Any:
        """The column of that name, with room for so many slots."""
        column: Any = getattr(self, name)
        if len(column) < slots:
            more = max(slots, 2 * len(column)) - len(column)
            column = np.concatenate([column, np.zeros((more, MINUTES), column.dtype)])
            setattr(self, name, column)
        return column

    def note(self, check: str, hour: npt.NDArray[Any], many: Any = 1, names: Any = None) -> None:
        """So many (or one each) of a check in these hours, shape (n,); names: n sensors."""
        if len(hour):
            np.add.at(self.hours[check], hour, many)
        for at, number in zip(*np.unique(hour, return_index=True)[:2], strict=True):
            if names is not None:
                self.examples.setdefault((check, int(at)), str(names[int(number)]))

    def learn(self, slots: Mapping[int, str]) -> None:
        """What slots are called."""
        self.names |= slots

    def add_seconds(self, second: Longs, mixes: Words) -> None:
        """Readings of these seconds of the day, shape (n,), and what each adds to fingerprints."""
        if not len(second):
            return
        first = int(second.min())
        at = second - first
        count = np.bincount(at)
        inside = slice(first, first + len(count))
        self.seconds[inside] += count.astype(np.uint64)
        # sums of halves are below 2^53, so exact
        for half, shift in ((mixes & np.uint64(0xFFFFFFFF), 0), (mixes >> np.uint64(32), 32)):
            sums = np.bincount(at, weights=half.astype(np.float64)).astype(np.uint64)
            self.prints[inside] += sums << np.uint64(shift)

    def add_counts(self, slot: Longs, first_minute: Longs, block: Longs) -> None:
        """Readings of sensors in the minutes from `first_minute` on, shape (rows, minutes)."""
        counts = self.room("counts", int(slot.max(initial=-1)) + 1)
        columns = first_minute[:, None] + np.arange(block.shape[1])
        np.add.at(counts, (slot[:, None], columns), block.astype(np.uint16))


def hour_of(time_ms: Longs, day_ms: int) -> Longs:
    """Which hour of the day."""
    return (time_ms - day_ms) // HOUR_MS


def minute_of(time_ms: Longs, day_ms: int) -> Longs:
    """Which minute of the day."""
    return (time_ms - day_ms) // MINUTE_MS
