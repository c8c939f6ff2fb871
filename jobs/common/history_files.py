"""History from Parquet and CSV files, merged by time and cut into the batches of one gateway.

Long files have columns time, sensor and value, and may have quality, asset, kind, unit, asset_type,
tags and period_ms (without it the sampling period is guessed, which a sensor with many missing
readings makes longer than it is). Wide CSV files have a column for each sensor beside the time.
Files are read in blocks: what is held is HOLD_ROWS, so that much disorder is put right; files with
more must be in the order of time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jobs.common.history import HistoryError, utc
from jobs.common.history_roster import Roster
from jobs.common.history_table import Block, open_blocks
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.trial.ticks import Columns, cut

HOLD_ROWS = 4_000_000
TICK_MS = 1000

_SUFFIXES = (".parquet", ".csv", ".csv.gz")


@dataclass(slots=True)
class _Reader:
    """A file that is being read; nothing older than `frontier_ms` is expected of it."""

    path: Path
    blocks: Iterator[Block]
    frontier_ms: int


class FileHistory:
    """A file, or all files below a folder, as the history of one gateway.

    kinds: sensor kinds by globs of sensor names, for files that do not say them.
    """

    def __init__(
        self, path: Path, facility: str, gateway: str, kinds: Mapping[str, str] | None = None
    ) -> None:
        self._paths = find_files(path)
        self._roster = Roster(facility, gateway, kinds or {})

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        """See `History.read`."""
        sequence = 0
        for columns in _merge(self._paths, self._roster, from_ms, to_ms):
            catalogue = self._roster.catalogue(columns)
            for batch in cut(columns, catalogue, TICK_MS, sequence):
                sequence = batch.sequence + 1
                yield catalogue, batch


def find_files(path: Path) -> list[Path]:
    """Files of history at a place, by name. Raises: HistoryError: there are none."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = [file for file in files if file.name.endswith(_SUFFIXES)]
    if not found:
        raise HistoryError(f"{path}: no file of history there; known: {', '.join(_SUFFIXES)}")
    return found


def _merge(paths: Sequence[Path], roster: Roster, from_ms: int, to_ms: int) -> Iterator[Columns]:
    """Parts of all files that follow each other in time, each of whole ticks."""
    waiting = sorted((_first_ms(path, from_ms, to_ms), path) for path in paths)
    waiting = [item for item in waiting if item[0] < to_ms]
    active: list[_Reader] = []
    held = _Held(roster)
    while waiting or active:
        while waiting and waiting[0][0] <= min((r.frontier_ms for r in active), default=to_ms):
            first_ms, path = waiting.pop(0)
            active.append(_Reader(path, open_blocks(path, from_ms, to_ms), first_ms))
        reader = min(active, key=lambda each: each.frontier_ms)
        block = next(reader.blocks, None)
        if block is None:
            active.remove(reader)
            continue
        if len(block.time):
            held.take(block, reader.path)
            reader.frontier_ms = max(reader.frontier_ms, int(block.time.max()))
        if held.rows >= HOLD_ROWS:
            ahead = [r.frontier_ms for r in active] + [first_ms for first_ms, _ in waiting]
            yield from held.release(min(ahead) // TICK_MS * TICK_MS)
    yield from held.release(to_ms)


def _first_ms(path: Path, from_ms: int, to_ms: int) -> int:
    """The first time in a file; `to_ms` when it has none in the span."""
    for block in open_blocks(path, from_ms, to_ms):
        if len(block.time):
            return int(block.time.min())
    return to_ms


class _Held:
    """Readings that wait for older ones of other files, and for their order."""

    def __init__(self, roster: Roster) -> None:
        self.rows = 0
        self._roster = roster
        self._parts: list[Columns] = []
        self._released_ms = -(2**62)

    def take(self, block: Block, path: Path) -> None:
        """Hold a block. Raises: HistoryError: it is older than what is gone."""
        oldest = int(block.time.min())
        if oldest < self._released_ms:
            raise HistoryError(
                f"{path}: a reading of {utc(oldest)} stands behind later ones, more than "
                f"{HOLD_ROWS:,} readings further on; sort the file by time"
            )
        self._parts.append(self._roster.number(block))
        self.rows += len(block.time)

    def release(self, until_ms: int) -> Iterator[Columns]:
        """All before that time."""
        if not self.rows:
            return
        columns = _concatenate(self._parts)
        ready = columns.time < until_ms
        self._parts = [columns.pick(~ready)]
        self.rows = len(self._parts[0])
        self._released_ms = until_ms
        if ready.any():
            yield columns if ready.all() else columns.pick(ready)


def _concatenate(parts: Sequence[Columns]) -> Columns:
    quality = None
    if any(part.quality is not None for part in parts):
        empty = (np.zeros(len(p), np.uint8) if p.quality is None else p.quality for p in parts)
        quality = np.concatenate(list(empty))
    return Columns(
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.slot for part in parts]),
        np.concatenate([part.value for part in parts]),
        quality,
    )
