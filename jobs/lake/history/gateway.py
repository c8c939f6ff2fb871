"""One gateway of the archive while a rule is tried on it: its readings as the batches of ticks."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.common.history import HistoryError
from jobs.common.history_roster import Roster
from jobs.common.history_table import Block
from jobs.lake.history.ticks import TICK_MS
from jobs.lake.query.scope import Mask
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Ints
from udfs.rules.model import Rule
from udfs.trial.sensors import selectors
from udfs.trial.ticks import Columns, cut

_SAMPLE = 100  # readings of a sensor from which its sampling period is guessed
_WORDS = ("asset", "kind", "unit")
_PIECE_ROWS = 500_000  # that are put in order at a time
_RADIX = 1 << 16  # sorting so few different numbers takes one pass


class GatewayHistory:
    """Batches a second long, numbered one after the other.

    published: its newest catalogue, if there is a broker that knows it; else a catalogue is made of
    what the rows say, and sampling periods are guessed.
    """

    def __init__(self, rule: Rule, facility: str, name: str, published: Catalogue | None) -> None:
        self._place = facility, name
        self._published = published
        self._roster = Roster(facility, name, {})
        self._made: Catalogue | None = None
        self._sequence = 0
        if published is not None:
            self._chosen = _chosen(rule, published)

    def number(self, batch: pa.RecordBatch) -> Columns:
        """Readings of this gateway, n of them, with the slots of its catalogue.

        Args: batch: as `Lake.readings` gives it: by slot, then time. Raises: HistoryError: a slot
            that the published catalogue has not.
        """
        quality = batch["quality"].to_numpy()
        time, value = batch["time"].cast(pa.int64()).to_numpy(), batch["value"].to_numpy()
        slot = batch["slot"].to_numpy()
        if self._published is not None:
            return self._known(Columns(time, slot.astype(np.uint32), value, quality))
        starts = np.flatnonzero(np.diff(slot, prepend=-1))
        code = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(slot)))
        sensors = batch.take(pa.array(starts))
        words = {word: sensors[word].to_pylist() for word in _WORDS}
        block = Block(time, code, value, sensors["sensor"].to_pylist(), quality, words)
        return self._roster.number(block)

    def _known(self, columns: Columns) -> Columns:
        if len(columns) and int(columns.slot.max()) >= len(self._chosen):
            raise HistoryError(
                f"{'/'.join(self._place)}: slot {columns.slot.max()} is in the archive, and the "
                f"published catalogue has {len(self._chosen)} sensors: are these its brokers?"
            )
        wanted = self._chosen[columns.slot]
        return columns if wanted.all() else columns.pick(wanted)

    def batches(
        self, parts: list[Columns], by_slot: bool, heard_ms: Ints
    ) -> Iterator[tuple[Catalogue, Batch]]:
        """The readings of a span in the order of time.

        Args: parts: all of the span; taken out of the list. by_slot: slots ascend in them, or times
            do from one to the next. heard_ms: ticks in which the gateway sent anything; those
            without a reading of `parts` have a batch without any.
        """
        columns = _joined(parts)
        parts.clear()
        catalogue = self._catalogue(columns)
        if catalogue is None:
            return
        silent = (_empty(catalogue, ms) for ms in _silent(heard_ms, columns.time).tolist())
        some = (cut(piece, catalogue, TICK_MS) for piece in _by_tick(columns, by_slot))
        for batch in heapq.merge(chain.from_iterable(some), silent, key=lambda b: b.time_ms):
            batch.sequence = self._sequence
            self._sequence += 1
            yield catalogue, batch

    def _catalogue(self, columns: Columns) -> Catalogue | None:
        """None when the rule watches nothing here, as far as is known."""
        if self._published is not None:
            return self._published if self._chosen.any() else None
        if len(columns):
            self._made = self._roster.catalogue(_sample(columns))
        return self._made


def _chosen(rule: Rule, catalogue: Catalogue) -> Mask:
    """Which sensors the rule may watch, by slot."""
    inside, allowed = (np.zeros(len(catalogue), np.bool_) for _ in range(2))
    allowed[rule.sensors.slots(catalogue)] = True
    for selector in selectors(rule):
        inside[selector.slots(catalogue)] = True
    return inside & allowed


def _silent(heard_ms: Ints, time_ms: Ints) -> Ints:
    """Ticks of `heard_ms`, ascending, without any of these times."""
    if not len(heard_ms):
        return heard_ms
    first, last = heard_ms[0], heard_ms[-1] + TICK_MS
    there = np.zeros((last - first) // TICK_MS, np.bool_)
    there[(time_ms[(time_ms >= first) & (time_ms < last)] - first) // TICK_MS] = True
    silent: Ints = heard_ms[~there[(heard_ms - first) // TICK_MS]]
    return silent


def _empty(catalogue: Catalogue, time_ms: int) -> Batch:
    return Batch(
        catalogue.facility, catalogue.gateway, 1, 0, time_ms, np.empty(0),
        sensor=np.empty(0, np.uint32), catalogue=catalogue.version,
    )  # fmt: skip


def _joined(parts: Sequence[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    time, slot, value, quality = (
        np.concatenate([empty, *(getattr(part, name) for part in parts)])
        for name, empty in _EMPTY.items()
    )
    return Columns(time, slot, value, quality)


_EMPTY = {
    "time": np.empty(0, np.int64),
    "slot": np.empty(0, np.uint32),
    "value": np.empty(0, np.float64),
    "quality": np.empty(0, np.uint8),
}


def _sample(columns: Columns) -> Columns:
    """The first readings of each sensor in a row; those of a sensor lie together."""
    starts = np.flatnonzero(np.diff(columns.slot.astype(np.int64), prepend=-1))
    lengths = np.diff(starts, append=len(columns))
    place = np.arange(len(columns)) - np.repeat(starts, lengths)
    return columns.pick(place < _SAMPLE)


def _by_tick(columns: Columns, by_slot: bool) -> Iterator[Columns]:
    """By tick, then slot, then time; whole ticks, about _PIECE_ROWS at a time."""
    if not len(columns):
        return
    tick = columns.time // TICK_MS
    tick -= tick.min()
    if by_slot:
        order = _stable(tick)
    else:
        order = _stable(columns.slot)
        order = order[_stable(tick[order])]
    counts = np.bincount(tick)
    number = np.cumsum(counts) // _PIECE_ROWS
    ends = np.cumsum(counts)[np.flatnonzero(np.diff(number, append=-1))].tolist()
    for begin, end in pairwise([0, *ends]):
        piece = columns.pick(order[begin:end])
        if piece.quality is not None and not piece.quality.any():
            piece.quality = None
        yield piece


def _stable(number: npt.NDArray[np.int64] | npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    few = int(number.max()) < _RADIX
    return np.argsort(number.astype(np.uint16) if few else number, kind="stable")
