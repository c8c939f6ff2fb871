"""Readings gathered into ticks, by their own time, and given out in the order of time.

    ticks = Ticks(settings.ticks)
    ticks.start(newest_ms)                 # after a restart: time goes on from the last batch
    ticks.offer(block)
    for tick in ticks.close(now_ms): ...   # its receipts are released once it is on disk

Times are UTC epoch milliseconds. The clocks of devices are repaired before `offer`: a reading from
the future would keep its tick open until then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from edge.block import Block, Bools, Floats, Qualities, Receipt, Slots, Times
from edge.settings import TickSettings
from udfs.batch import MAX_OFFSET_MS

# no empty ticks inside a longer pause: nobody was there to see that nothing came
GAP_MS = 60_000
# nor longer than this after the last reading: a site that is silent as a whole is one alarm (the
# cloud's, of its gateway), and empty batches would make it one of each sensor
SILENCE_MS = 10_000
# a batch of so many readings with all four columns stays below the 2 MiB that the cloud admits
MAX_TICK_READINGS = 100_000
# beyond these the oldest tick is closed at once, whatever may still come for it
MAX_HELD = 2_000_000
MAX_OPEN = 4096


@dataclass(slots=True)
class Tick:
    """The readings of a tick as they came, n of them; none in an empty tick.

    time_ms: start of the tick. reading_ms: int64, own time of each, shape (n,), from 0 to below
    10 s after it. blocks: what they came in, in order. late: their own ticks were closed before
    they came. receipts: held once each; to be released when the batch is on disk.
    """

    time_ms: int
    slot: Slots
    reading_ms: Times
    value: Floats
    quality: Qualities
    blocks: list[Block] = field(default_factory=list)
    late: bool = False
    receipts: list[Receipt] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.value)

    def historical(self) -> Bools | None:
        """Which readings a device had buffered, shape (n,); None when none is."""
        if not any(block.historical for block in self.blocks):
            return None
        flags = [block.historical for block in self.blocks]
        return np.repeat(flags, [len(block) for block in self.blocks])


@dataclass(slots=True)
class _Bucket:
    """A tick that is open, or late readings of one span of 10 s."""

    end_ms: int
    first_arrival_ms: int
    last_arrival_ms: int
    blocks: list[Block] = field(default_factory=list)


class Ticks:
    """Open ticks. State: their readings, and which tick comes next; see docs/edge.md."""

    def __init__(self, settings: TickSettings) -> None:
        self._tick_ms = settings.tick_ms
        self._settle_ms, self._hold_ms = settings.settle_ms, settings.hold_ms
        self._open: dict[int, _Bucket] = {}  # by number of the tick since 1970
        self._late: dict[int, _Bucket] = {}  # by number of the span
        self._next: int | None = None  # the tick that is closed next; None before the first reading
        self._heard = 0  # the newest tick that had readings
        self._fed_ms: int | None = None  # last arrival for the tick that was closed last
        self._restarted = False  # and nothing came since
        self._now_ms = 0
        self.held = 0

    def start(self, last_time_ms: int) -> None:
        """Go on after a tick of this time, as if it had just been closed."""
        self._heard = last_time_ms // self._tick_ms
        self._next = self._heard + 1
        self._restarted = True

    def offer(self, block: Block) -> None:
        """Take the readings of a block in; its receipt is held once for each part of it."""
        for start in range(0, len(block), MAX_TICK_READINGS):
            whole = len(block) <= MAX_TICK_READINGS
            part = block if whole else _pick(block, slice(start, start + MAX_TICK_READINGS))
            self._offer(part)

    def close(self, now_ms: int) -> list[Tick]:
        """The ticks that are due, in the order of time; late ones first.

        Args: now_ms: wall clock. Everything that arrived before was offered before.
        """
        if now_ms < self._now_ms:
            self._set_back(now_ms)
        self._now_ms = now_ms
        if self._fed_ms is None:
            self._fed_ms = now_ms
        return [*self._close_late(), *self._close_open()]

    def _set_back(self, now_ms: int) -> None:
        """The wall clock was set back: nothing that is open may wait until it has caught up."""
        for bucket in [*self._open.values(), *self._late.values()]:
            bucket.end_ms = min(bucket.end_ms, now_ms)
            bucket.first_arrival_ms = min(bucket.first_arrival_ms, now_ms)
            bucket.last_arrival_ms = min(bucket.last_arrival_ms, now_ms)
        self._fed_ms = now_ms

    # -- in

    def _offer(self, block: Block) -> None:
        first, last = int(block.time_ms.min()), int(block.time_ms.max())
        tick = first // self._tick_ms
        if last // self._tick_ms == tick and (self._next is None or tick >= self._next):
            self._put(self._open, tick, self._tick_ms, block)
            return
        number = block.time_ms // self._tick_ms
        late = number < (number.min() if self._next is None else self._next)
        for bucket, span_ms, which in (
            (self._late, MAX_OFFSET_MS, late),
            (self._open, self._tick_ms, ~late),
        ):
            part = block if which.all() else _pick(block, which)
            for key, piece in _split(part, span_ms):
                self._put(bucket, key, span_ms, piece)

    def _put(self, buckets: dict[int, _Bucket], key: int, span_ms: int, block: Block) -> None:
        # what waited in the inbox while a tick was written counts as if it came just now
        arrival_ms = max(block.received_ms, self._now_ms)
        bucket = buckets.get(key)
        if bucket is None:
            bucket = buckets[key] = _Bucket((key + 1) * span_ms, arrival_ms, arrival_ms)
        bucket.last_arrival_ms = max(bucket.last_arrival_ms, arrival_ms)
        bucket.blocks.append(block)
        self.held += len(block)
        if block.receipt is not None:
            block.receipt.hold()

    # -- out

    def _closable(self, bucket: _Bucket, ready_ms: int) -> bool:
        """ready_ms: when its readings may be complete at the earliest; 0 when they are late."""
        settled_ms = max(ready_ms, bucket.last_arrival_ms) + self._settle_ms
        patience_ms = max(ready_ms, bucket.first_arrival_ms) + self._settle_ms + self._hold_ms
        full = self.held > MAX_HELD or len(self._open) + len(self._late) > MAX_OPEN
        return self._now_ms >= min(settled_ms, patience_ms) or full

    def _close_late(self) -> Iterator[Tick]:
        for key in sorted(self._late):
            if self._closable(self._late[key], 0):
                bucket = self._late.pop(key)
                first_ms = min(int(block.time_ms.min()) for block in bucket.blocks)
                aligned_ms = first_ms - first_ms % self._tick_ms
                yield from self._ticks(max(aligned_ms, key * MAX_OFFSET_MS), bucket, late=True)

    def _close_open(self) -> Iterator[Tick]:
        for key in sorted(self._open):
            bucket = self._open[key]
            if not self._closable(bucket, bucket.end_ms):
                break
            if self._next is None:
                self._next = key
            if not self._reaches(key):
                return
            yield from self._empty(key)
            del self._open[key]
            self._restarted = False
            self._fed_ms = bucket.last_arrival_ms
            yield from self._ticks(key * self._tick_ms, bucket)
            self._heard, self._next = key, key + 1
        yield from self._pass_time()

    def _reaches(self, key: int) -> bool:
        """Whether tick `key` may be the next one with readings. A long pause before it waits for
        `hold_ms`: a broker that hands over what it kept may only have caught its breath."""
        assert self._next is not None
        near = (key - self._next) * self._tick_ms <= GAP_MS
        return near or self._rested() or self.held > MAX_HELD or len(self._open) > MAX_OPEN

    def _rested(self) -> bool:
        assert self._fed_ms is not None
        return self._now_ms >= self._fed_ms + self._hold_ms

    def _pass_time(self) -> Iterator[Tick]:
        """Empty ticks up to now, or up to the first tick that is still open."""
        if self._next is None:
            return
        due = (self._now_ms - self._settle_ms) // self._tick_ms  # the first one that is not
        behind_ms = (due - self._next) * self._tick_ms
        catching_up = self._restarted or behind_ms > self._hold_ms
        if behind_ms <= 0 or (catching_up and not self._rested()):
            return
        stop = min([due, *self._open])
        yield from self._empty(stop)

    def _empty(self, stop: int) -> Iterator[Tick]:
        """Empty ticks up to `stop`; none when the pause is a long one."""
        assert self._next is not None
        if (stop - self._next) * self._tick_ms <= GAP_MS:
            for key in range(self._next, min(stop, self._heard + SILENCE_MS // self._tick_ms + 1)):
                yield _tick(key * self._tick_ms, [])
        self._next = max(stop, self._next)

    def _ticks(self, time_ms: int, bucket: _Bucket, late: bool = False) -> Iterator[Tick]:
        """The bucket as one tick, as several of the same time where one batch would be too big."""
        blocks: list[Block] = []
        readings = 0
        for block in bucket.blocks:
            if readings + len(block) > MAX_TICK_READINGS:
                yield self._let_go(time_ms, blocks, late)
                blocks, readings = [], 0
            blocks.append(block)
            readings += len(block)
        yield self._let_go(time_ms, blocks, late)

    def _let_go(self, time_ms: int, blocks: list[Block], late: bool) -> Tick:
        tick = _tick(time_ms, blocks)
        tick.late = late
        tick.receipts = [block.receipt for block in blocks if block.receipt is not None]
        self.held -= len(tick)
        return tick


def _pick(block: Block, which: Bools | slice | Times) -> Block:
    return Block(
        block.slot[which],
        block.time_ms[which],
        block.value[which],
        block.quality[which],
        block.source,
        block.received_ms,
        block.historical,
        receipt=block.receipt,
    )


def _split(block: Block, span_ms: int) -> Iterator[tuple[int, Block]]:
    """The block by spans of time, each with its number since 1970; readings keep their order."""
    if not len(block):
        return
    number = block.time_ms // span_ms
    if number[0] == number.max() == number.min():
        yield int(number[0]), block
        return
    order = np.argsort(number, kind="stable")
    edges = np.flatnonzero(np.diff(number[order])) + 1
    for which in np.split(order, edges):
        yield int(number[which[0]]), _pick(block, which)


def _tick(time_ms: int, blocks: list[Block]) -> Tick:
    if len(blocks) == 1:
        only = blocks[0]
        return Tick(time_ms, only.slot, only.time_ms, only.value, only.quality, blocks)
    return Tick(
        time_ms,
        np.concatenate([np.empty(0, np.uint32), *(block.slot for block in blocks)]),
        np.concatenate([np.empty(0, np.int64), *(block.time_ms for block in blocks)]),
        np.concatenate([np.empty(0), *(block.value for block in blocks)]),
        np.concatenate([np.empty(0, np.uint8), *(block.quality for block in blocks)]),
        blocks,
    )
