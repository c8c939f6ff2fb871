"""Clocks of devices: how wrong they are, and times as they would be by a right one.

A reading cannot arrive before its time: `delay = received - newest time` of a block below zero is
proof of a clock that is ahead. A delay above zero proves nothing: the clock may be behind, or a
broker kept the message. A queue that drains has ever smaller delays, a wrong clock has not; so a
clock is believed to be behind only after the least delays of two windows in a row agreed.

Sources: the least delay as estimate of the offset is the clock filter of NTP (RFC 5905, section 10)
for one direction.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge.block import Block
from edge.filters.settings import ClockSettings
from udfs.batch import Quality

# a device that makes up sources must not fill memory; the one longest known goes first
MAX_SOURCES = 20_000
_MIN_BLOCKS = 5  # in a window, to learn from it
_NONE = np.iinfo(np.int64).max
# times must be numbers of milliseconds that every later step can add to; year 2248
_MAX_TIME_MS = 1 << 43


@dataclass(slots=True)
class _Source:
    """offset_ms: what is added to its times when that is more than the limit. The rest: least
    delay and blocks of the window that runs since `since_ms`, and least delay of the one before."""

    offset_ms: int = 0
    since_ms: int = 0
    least_ms: int = _NONE
    blocks: int = 0
    before_ms: int = _NONE


class Clocks:
    """State: an estimate by source."""

    def __init__(self, settings: ClockSettings) -> None:
        self._repair = settings.repair
        self._limit_ms = settings.limit_ms
        self._window_ms = round(settings.window_s * 1000)
        self._sources: dict[str, _Source] = {}
        self.offsets: dict[str, int] = {}  # of the sources that are being repaired, ms

    def repair(self, block: Block, counts: Counter[str]) -> Block:
        """The block by a right clock: itself where there is nothing to repair.

        What a device had buffered (`historical`) is believed, unless it is from the future.
        """
        newest_ms = int(block.time_ms.max())
        offset_ms = 0
        if self._repair and not block.historical and 0 <= newest_ms < _MAX_TIME_MS:
            offset_ms = self._estimate(block.source, block.received_ms, newest_ms)
        if abs(offset_ms) > self._limit_ms:
            counts["flagged_clock_repaired"] += len(block)
            flags = np.where(block.quality == Quality.GOOD, Quality.CLOCK_REPAIRED, block.quality)
            times = np.clip(block.time_ms, 0, _MAX_TIME_MS) + offset_ms
            block = replace(block, time_ms=times, quality=flags.astype(np.uint8))
        return self._possible(block, counts)

    def _possible(self, block: Block, counts: Counter[str]) -> Block:
        """Times that cannot be, from the future or before 1970, become the time of arrival."""
        last_ms = block.received_ms + self._limit_ms
        if int(block.time_ms.max()) <= last_ms and int(block.time_ms.min()) >= 0:
            return block
        wrong = (block.time_ms > last_ms) | (block.time_ms < 0)
        counts["flagged_impossible_time"] += int(wrong.sum())
        times = np.where(wrong, block.received_ms, block.time_ms)
        flags = np.where(
            wrong & (block.quality == Quality.GOOD), Quality.CLOCK_REPAIRED, block.quality
        )
        return replace(block, time_ms=times, quality=flags.astype(np.uint8))

    def _estimate(self, name: str, received_ms: int, newest_ms: int) -> int:
        delay_ms = received_ms - newest_ms
        source = self._sources.get(name)
        if source is None:
            while len(self._sources) >= MAX_SOURCES:
                oldest = next(iter(self._sources))
                del self._sources[oldest]
                self.offsets.pop(oldest, None)
            source = self._sources[name] = _Source(since_ms=received_ms)
        offset_ms = self._judge(source, delay_ms)
        if not 0 <= received_ms - source.since_ms < self._window_ms:
            offset_ms = self._turn(source, received_ms, offset_ms)
        source.least_ms = min(source.least_ms, delay_ms)
        source.blocks += 1
        if offset_ms != source.offset_ms:
            source.offset_ms = offset_ms
            self.offsets.pop(name, None)
            if abs(offset_ms) > self._limit_ms:
                self.offsets[name] = offset_ms
        return offset_ms

    def _judge(self, source: _Source, delay_ms: int) -> int:
        """The offset by what this delay proves. An estimate stays as long as it explains what
        comes: a message that comes again gets the same times again."""
        offset_ms, slack_ms = source.offset_ms, self._limit_ms // 2
        repairing = abs(offset_ms) > self._limit_ms
        if delay_ms < min(offset_ms - slack_ms, -self._limit_ms) or (
            repairing and offset_ms > 0 and delay_ms < offset_ms - slack_ms
        ):
            return delay_ms
        if abs(delay_ms) <= self._limit_ms and abs(delay_ms - offset_ms) > self._limit_ms:
            return 0  # it was set right: its times are plausible as they are
        return offset_ms

    def _turn(self, source: _Source, received_ms: int, offset_ms: int) -> int:
        """A window is over: where it agrees with the one before, it is the estimate."""
        enough = source.blocks >= _MIN_BLOCKS
        least_ms = source.least_ms if enough else _NONE
        # a window that was over long ago says nothing about one just before now
        recent = 0 <= received_ms - source.since_ms < 3 * self._window_ms
        agree = enough and recent and abs(least_ms - source.before_ms) <= self._limit_ms // 2
        source.before_ms = least_ms if recent else _NONE
        source.since_ms, source.least_ms, source.blocks = received_ms, _NONE, 0
        if agree and abs(least_ms - offset_ms) > self._limit_ms // 2:
            return least_ms if abs(least_ms) > self._limit_ms else 0
        return offset_ms

    def to_fields(self) -> dict[str, Any]:
        """State as texts and arrays, for `udfs.state.pack`: without it, a message that comes again
        after a restart would get other times."""
        offsets = np.array([s.offset_ms for s in self._sources.values()], np.int64)
        return {"sources": json.dumps(list(self._sources)), "offsets": offsets}

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave; windows begin anew."""
        named = dict(zip(json.loads(fields["sources"]), fields["offsets"].tolist(), strict=True))
        self._sources = {name: _Source(offset) for name, offset in named.items()}
        self.offsets = {name: o for name, o in named.items() if abs(o) > self._limit_ms}
