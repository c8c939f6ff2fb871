"""Which readings were taken before: a message whose acknowledgement was lost comes again.

    fresh = repeats.fresh(slot, time_ms)      # and from now on these are known
    repeats.take(batch)                       # at start: what the spool holds was taken

A reading is its slot and its time. It is a repeat only if exactly that pair was taken, so no new
reading is ever dropped. Pairs are remembered until event time has gone on by `repeat_s` since they
were taken, the pairs of late readings too, and the last LEAST_READINGS in any case: after a pause a
broker hands over minutes of event time at once, and all that is not acknowledged comes again.
What is older is kept, not guessed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.block import Bools, Slots, Times
from udfs.batch import Batch

# of pairs that must be stored one by one; 64 MB, 120 s of 50,000 readings/s with uneven times
MAX_PAIRS = 6_000_000
# more than a broker may have sent without an acknowledgement; 8 MB where times are uneven
LEAST_READINGS = 1_000_000
# late readings come in many small chunks; each is looked at by every later one
MAX_CHUNKS = 10_000
_NEVER = np.iinfo(np.int64).min
# a slot and an offset in one number; offsets of a chunk are far below 2^40 ms, slots below 2^20
_OFFSET_BITS = 40
_MAX_SPAN_MS = 1 << _OFFSET_BITS

Keys = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]


@dataclass(slots=True)
class _Chunk:
    """Pairs that were taken together, ascending. A plain tick needs no arrays at all.

    slot: None when they are 0, 1, 2, ... offset: reading time minus first_ms (a tick's readings are
    within 10 s); None when all are 0.
    taken_ms: newest event time of all when they were taken.
    """

    first_ms: int
    last_ms: int
    count: int
    taken_ms: int
    slot: Slots | None
    offset: Offsets | None

    def stored(self) -> int:
        return 0 if self.slot is None and self.offset is None else self.count

    def slots(self) -> Slots:
        return np.arange(self.count, dtype=np.uint32) if self.slot is None else self.slot

    def offsets(self) -> Offsets:
        return np.zeros(self.count, np.int32) if self.offset is None else self.offset

    def holds(self, slot: Slots, time_ms: Times) -> Bools:
        """Which of these pairs are among its own."""
        own = _keys(self.slots(), self.offsets().astype(np.int64))
        # what is outside of this chunk's time becomes an offset that none of its pairs can have
        asked = _keys(slot, np.clip(time_ms - self.first_ms, -1, _MAX_SPAN_MS - 1))
        at = np.minimum(np.searchsorted(own, asked), len(own) - 1)
        found: Bools = own[at] == asked
        return found


def _keys(slot: Slots, offset: Times) -> Keys:
    return (slot.astype(np.int64) << _OFFSET_BITS) + offset


class Repeats:
    """State: newest time by slot, and the pairs of the last `repeat_s` of event time."""

    def __init__(self, repeat_s: float = 120) -> None:
        self._repeat_ms = round(repeat_s * 1000)
        self._newest = np.empty(0, np.int64)
        self._newest_ms = _NEVER  # of all
        self._chunks: deque[_Chunk] = deque()
        self._stored = 0
        self._readings = 0  # in all chunks

    def fresh(self, slot: Slots, time_ms: Times) -> Bools:
        """Which readings are new; they are known from here on.

        Args: slot, time_ms: shape (n,), ascending by slot, then time, no pair twice.
        Returns: shape (n,).
        """
        mask = self._unseen(slot, time_ms)
        if mask.all():
            self._learn(slot, time_ms)
        elif mask.any():
            self._learn(slot[mask], time_ms[mask])
        return mask

    def take(self, batch: Batch) -> None:
        """Learn the readings of a batch."""
        offset = 0 if batch.offset_ms is None else batch.offset_ms.astype(np.int64)
        if len(batch):
            self._learn(batch.slots(), np.zeros(len(batch), np.int64) + batch.time_ms + offset)

    def _unseen(self, slot: Slots, time_ms: Times) -> Bools:
        self._grow(slot)
        newest = self._newest[slot]
        mask: Bools = time_ms > newest
        if mask.all():
            return mask
        unsure = np.flatnonzero(~mask)
        repeated = time_ms[unsure] == newest[unsure]
        asked_slot, asked_ms = slot[unsure], time_ms[unsure]
        first_ms, last_ms = int(asked_ms.min()), int(asked_ms.max())
        for chunk in self._chunks:
            if chunk.first_ms <= last_ms and chunk.last_ms >= first_ms:
                repeated |= chunk.holds(asked_slot, asked_ms)
        mask[unsure] = ~repeated
        return mask

    def _learn(self, slot: Slots, time_ms: Times) -> None:
        self._grow(slot)
        if len(slot) > 1 and (slot[1:] == slot[:-1]).any():
            np.maximum.at(self._newest, slot, time_ms)
        else:
            self._newest[slot] = np.maximum(self._newest[slot], time_ms)
        first_ms, last_ms = int(time_ms.min()), int(time_ms.max())
        self._newest_ms = max(self._newest_ms, last_ms)
        count = len(slot)
        plain = (
            int(slot[0]) == 0 and int(slot[-1]) == count - 1 and bool((np.diff(slot) == 1).all())
        )
        offset = None if first_ms == last_ms else (time_ms - first_ms).astype(np.int32)
        kept = None if plain else slot
        self._append(_Chunk(first_ms, last_ms, count, self._newest_ms, kept, offset))

    def _append(self, chunk: _Chunk) -> None:
        self._chunks.append(chunk)
        self._stored += chunk.stored()
        self._readings += chunk.count
        while self._outlived(self._chunks[0]) or self._full():
            gone = self._chunks.popleft()
            self._stored -= gone.stored()
            self._readings -= gone.count

    def _outlived(self, chunk: _Chunk) -> bool:
        old = chunk.taken_ms < self._newest_ms - self._repeat_ms
        return old and self._readings - chunk.count >= LEAST_READINGS

    def _full(self) -> bool:
        return self._stored > MAX_PAIRS or len(self._chunks) > MAX_CHUNKS

    def _grow(self, slot: Slots) -> None:
        last = int(slot[-1])
        if last >= len(self._newest):
            room = max(last + 1, 2 * len(self._newest))  # sensors may come one by one
            more = np.full(room - len(self._newest), _NEVER, np.int64)
            self._newest = np.concatenate([self._newest, more])

    def to_fields(self) -> dict[str, Any]:
        """State as arrays, for `udfs.state.pack`."""
        chunks = self._chunks
        rows = [
            (c.first_ms, c.last_ms, c.count, c.taken_ms, c.slot is None, c.offset is None)
            for c in chunks
        ]
        slots = [c.slot for c in chunks if c.slot is not None]
        offsets = [c.offset for c in chunks if c.offset is not None]
        return {
            "newest": self._newest,
            "newest_ms": self._newest_ms,
            "chunks": np.array(rows, np.int64).reshape(-1, 6),
            "slots": np.concatenate([np.empty(0, np.uint32), *slots]),
            "offsets": np.concatenate([np.empty(0, np.int32), *offsets]),
        }

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave."""
        self._newest, self._newest_ms = fields["newest"], fields["newest_ms"]
        self._chunks.clear()
        slot_at = offset_at = 0
        for first_ms, last_ms, count, taken_ms, plain, even in fields["chunks"].tolist():
            slot = None if plain else fields["slots"][slot_at : slot_at + count]
            offset = None if even else fields["offsets"][offset_at : offset_at + count]
            self._chunks.append(_Chunk(first_ms, last_ms, count, taken_ms, slot, offset))
            slot_at += 0 if plain else count
            offset_at += 0 if even else count
        self._stored = sum(chunk.stored() for chunk in self._chunks)
        self._readings = sum(chunk.count for chunk in self._chunks)
