"""Roll up one gateway: minutes, the cloud's side of the ledger, dead letters."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import Any

from udfs import rollup
from udfs.accounts import Accounts
from udfs.admission import Refusal
from udfs.batch import Batch, Reason
from udfs.coverage import Verdict
from udfs.ledger import COUNTED, Counted, Word
from udfs.records import COUNTED as COUNTED_TOPIC
from udfs.records import ROLLUPS, Output, Record, dead_letter
from udfs.rollup import MinuteRollup
from udfs.state import BadState, pack, unpack
from udfs.windows import Windows

JOB = "rollup_readings"
LEDGER_EVERY_MS = 10_000
LOOK_EVERY_MS = 2_000  # while an acknowledged batch has not come
PATIENCE_MS = 26 * 3600 * 1000
_MAX_SHOWN = 100
_STATE, _STATE_VERSION = "rollup_step", 2


class RollupStep:
    """The step of job rollup_readings. See `udfs.step.Step`."""

    def __init__(self, facility: str, gateway: str, patience_ms: int = PATIENCE_MS) -> None:
        self.windows = Windows(facility, gateway)
        self.counted = Counted(facility, gateway)
        self.accounts = Accounts()
        self.patience_ms = patience_ms
        self.next_line_ms = 0
        self.tally: Counter[str] = Counter()

    @property
    def changed(self) -> bool:
        """Never: a sum is a sum."""
        return False

    def on_batch(self, batch: Batch, record: Record, now_ms: int) -> list[Output]:
        """Fold the batch; publish the minutes that it completes."""
        counted = self.counted
        self._schedule(now_ms)
        added = self.windows.add(batch, now_ms)
        self.accounts.count(batch, added.verdict, now_ms)
        if added.verdict is Verdict.DUPLICATE:
            counted.duplicates += 1
            self.tally["duplicates"] += 1
            return []
        outputs = [_publish(item) for item in added.closed]
        if added.late_readings:
            counted.late += added.late_readings
            self.tally["late"] += added.late_readings
            outputs.append(_late(record, added.late_readings, now_ms))
        if added.verdict is Verdict.LATE:
            return outputs
        counted.batches += 1
        counted.readings += len(batch)
        counted.bad_readings += added.bad_readings
        counted.event_time_ms = max(counted.event_time_ms, batch.time_ms)
        if batch.epoch > counted.epoch:
            counted.epoch, counted.epoch_readings = batch.epoch, 0
        if batch.epoch == counted.epoch:
            counted.epoch_readings += len(batch)
        return outputs

    def on_word(self, word: Word, now_ms: int) -> list[Output]:
        """Close the holes that the gateway declares lost; compare what it says was acknowledged."""
        self._schedule(now_ms)
        coverage = self.windows.coverage
        for epoch, last in word.ended:
            coverage.end_epoch(epoch, last)
        for first, last in word.lost:
            coverage.declare_lost(word.epoch, first, last, now_ms)
        self.accounts.take(word, coverage, now_ms)
        return [_publish(item) for item in self.windows.close()]

    def on_refusal(self, refusal: Refusal, now_ms: int) -> list[Output]:
        """Send the record to the dead letters."""
        self._schedule(now_ms)
        self.counted.refused += 1
        return [dead_letter(refusal.record, JOB, refusal.reason, refusal.detail, now_ms)]

    def on_timer(self, now_ms: int) -> list[Output]:
        """Publish provisional minutes, and the ledger line that is due."""
        outputs = [_publish(item) for item in self.windows.provisional(now_ms)]
        if self.next_line_ms and now_ms >= self.next_line_ms:
            # its count is no sign: how many an epoch that ended unseen still had, nobody knows
            self.windows.coverage.expire(now_ms, self.patience_ms)
            outputs += [_publish(item) for item in self.windows.close()]
            self.accounts.settle(self.windows.coverage, now_ms)
            # the next record schedules the next line; what was acknowledged is looked for without
            self.next_line_ms = now_ms + LOOK_EVERY_MS if self.accounts.waits() else 0
            outputs.append(self._line(now_ms))
        return outputs

    def wake_at(self) -> int | None:
        """When a provisional minute or a ledger line is due."""
        due = self.windows.wake_at()
        if not self.next_line_ms:
            return due
        return self.next_line_ms if due is None else min(due, self.next_line_ms)

    def event_time_ms(self) -> int:
        """Event time of the newest batch, 0 before the first."""
        return self.counted.event_time_ms

    def gauges(self) -> dict[str, int]:
        """Minutes that are open, batches in holes that nobody declared lost, and what was found."""
        missing = self.windows.coverage.missing()
        levels = {"open_minutes": len(self.windows.minutes), "missing_batches": missing}
        return levels | self.accounts.gauges()

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""
        counted = {f"counted.{name}": value for name, value in asdict(self.counted).items()}
        rest = {"next_line_ms": self.next_line_ms, **self.accounts.to_fields()}
        return pack(_STATE, _STATE_VERSION, {**self.windows.to_fields(), **counted, **rest})

    @classmethod
    def restore(cls, data: bytes, patience_ms: int = PATIENCE_MS) -> RollupStep:
        """The step that `snapshot` gave. Raises: BadState: other bytes, or a newer version."""
        version, fields = unpack(data, _STATE)
        if version > _STATE_VERSION:
            raise BadState(f"state version {version}; this job knows up to {_STATE_VERSION}")
        names = [name for name in fields if name.startswith("counted.")]
        counted = Counted(**{name.removeprefix("counted."): fields.pop(name) for name in names})
        step = cls(counted.facility, counted.gateway, patience_ms)
        step.counted, step.next_line_ms = counted, fields.pop("next_line_ms")
        if version >= 2:  # version 1 compared nothing
            step.accounts = Accounts.from_fields(fields)
        step.windows = Windows.from_fields(counted.facility, counted.gateway, fields)
        return step

    def _schedule(self, now_ms: int) -> None:
        if not self.next_line_ms:
            self.next_line_ms = now_ms + LEDGER_EVERY_MS

    def _line(self, now_ms: int) -> Output:
        """What the cloud counted so far, for `counted.<facility>`."""
        coverage, counted = self.windows.coverage, self.counted
        through, highest = coverage.contiguous_through(), coverage.highest()
        epoch = highest.epoch if highest else 0
        line = {"contract": COUNTED} | asdict(counted) | self._compared(epoch)
        line |= {
            "epoch": epoch,
            "epoch_readings": counted.epoch_readings if epoch == counted.epoch else 0,
            "gaps": [[first, last] for _, first, last in coverage.gaps()[:_MAX_SHOWN]],
            "missing": coverage.missing(),
            "declared_lost": coverage.lost_batches,
            # what is whole of an older epoch says nothing of this one
            "contiguous_through": through.sequence if through and through.epoch == epoch else -1,
            "highest": highest.sequence if highest else -1,
            "counted_ms": now_ms,
        }
        topic, key = f"{COUNTED_TOPIC}.{counted.facility}", f"{counted.facility}/{counted.gateway}"
        return Output(topic, key, json.dumps(line, separators=(",", ":")).encode())

    def _compared(self, epoch: int) -> dict[str, Any]:
        """What came of comparing with the gateway's words."""
        accounts, unaccounted = self.accounts, self.accounts.unaccounted()
        return {
            "verified_through": accounts.verified_through
            if accounts.verified_epoch == epoch
            else -1,
            "verified_readings": accounts.verified_readings,
            "unaccounted_batches": sum(claim.count() for claim in unaccounted),
            "unaccounted": [[c.epoch, c.first, c.last] for c in unaccounted[-_MAX_SHOWN:]],
            "different": [list(numbers) for *numbers, _ in accounts.different],
        }


def _publish(item: MinuteRollup) -> Output:
    headers = {"traceparent": item.traceparent} if item.traceparent else {}
    return Output(ROLLUPS, item.key, rollup.encode(item), headers)


def _late(record: Record, readings: int, now_ms: int) -> Output:
    detail = f"{readings} readings of a minute that was published as incomplete before they came"
    return dead_letter(record, JOB, Reason.LATE, detail, now_ms)
