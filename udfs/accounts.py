"""What the cloud counted of one gateway, held against what the gateway says Kafka acknowledged.

    accounts.count(batch, verdict, now_ms)       # every batch
    accounts.take(word, coverage, now_ms)        # every word
    accounts.settle(coverage, now_ms)            # now and then

A range of a word is compared as soon as all its numbers were counted: it is verified, or different.
A number that Kafka acknowledged to the gateway, and that was neither counted nor declared lost, is
unaccounted after PATIENCE_MS, until it comes after all. Words and batches come by different topics,
so either may be first; how far the topics of batches were read is seen by the batches' `sent_ms`.
Nobody is called missing while batches come that were sent before the word.

A gateway that sends no ranges, as the simulator, costs nothing: after QUIET_BATCHES no fingerprint
is made until its first range comes. Findings stay named; the gauges forget them after TOLD_MS, so
that an alert can end.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np

from udfs.awaited import Claim, Claims
from udfs.batch import Batch, Lane
from udfs.book import Book, Range
from udfs.coverage import Coverage, Verdict
from udfs.fingerprint import fingerprint
from udfs.ledger import Word

PATIENCE_MS = 20_000
STALLED_MS = 600_000  # without a live batch this long, its topic is taken as read to the end
TOLD_MS = 26 * 3600 * 1000
QUIET_BATCHES = 256
MAX_RANGES = 1024
MAX_DIFFERENT = 100

_PREFIX = "accounts."
_NUMBERS = (
    "asked", "verified_epoch", "verified_through", "verified_readings", "live_sent_ms",
    "live_at_ms", "backlog_sent_ms", "backlog_at_ms", "settled_ms",
)  # fmt: skip


class Accounts:
    """The accounts of one gateway. Deterministic: times come with the calls.

    asked: whether the gateway has sent a range.
    verified_epoch, verified_through: the newest number that was in a range found equal, -1 before
    the first. verified_readings: in all such ranges. different: (epoch, first, last, found_ms).
    """

    def __init__(self) -> None:
        self.book = Book()
        self.asked = False
        self.claims = Claims()
        self.ranges: dict[tuple[int, int, int], Range] = {}  # told, and not all there yet
        self.different: list[tuple[int, int, int, int]] = []
        self.verified_epoch, self.verified_through, self.verified_readings = 0, -1, 0
        self.live_sent_ms = self.live_at_ms = 0
        self.backlog_sent_ms = self.backlog_at_ms = 0
        self.settled_ms = 0

    def count(self, batch: Batch, verdict: Verdict, now_ms: int) -> None:
        """Take in a batch that coverage has judged."""
        if batch.lane == Lane.LIVE:
            self.live_sent_ms, self.live_at_ms = max(self.live_sent_ms, batch.sent_ms), now_ms
        else:
            self.backlog_sent_ms = max(self.backlog_sent_ms, batch.sent_ms)
            self.backlog_at_ms = now_ms
        if verdict is Verdict.DUPLICATE:
            return
        if self.claims:
            self.claims.remove(batch.epoch, batch.sequence, batch.sequence)
        if verdict is Verdict.NEW and (self.asked or len(self.book) < QUIET_BATCHES):
            self.book.add(batch.epoch, batch.sequence, len(batch), fingerprint(batch))

    def take(self, word: Word, coverage: Coverage, now_ms: int) -> None:
        """Take in a word, after coverage has taken its losses."""
        if self.claims:
            for first, last in word.lost:
                self.claims.remove(word.epoch, first, last)
        told = [(0, word.acknowledged_through), *((r[0], r[1]) for r in word.ranges)]
        for first, last in told:
            if last >= first and not coverage.holds(word.epoch, first, last):
                for low, high in coverage.absent(word.epoch, first, last):
                    self.claims.add(Claim(word.epoch, low, high, word.sent_ms, now_ms))
        for found in word.ranges:
            self.asked = True
            self.ranges[word.epoch, found[0], found[1]] = Range(word.epoch, *found)
        for key in list(self.ranges)[: max(len(self.ranges) - MAX_RANGES, 0)]:
            del self.ranges[key]
        self.settle(coverage, now_ms)

    def settle(self, coverage: Coverage, now_ms: int) -> None:
        """Compare the ranges that are whole by now, and give up what did not come."""
        self.settled_ms = now_ms
        waiting = sorted(self.ranges.values())
        for _, group in groupby(waiting, key=lambda told: told.epoch):
            ranges = list(group)
            for told, equal in zip(ranges, self.book.compare(ranges), strict=True):
                self._judge(told, equal, coverage, now_ms)
        fresh = False
        for claim in self.claims:
            if not claim.found_ms and self._due_ms(claim) <= now_ms:
                claim.found_ms, fresh = now_ms, True
        if fresh:
            self.claims.join()

    def _judge(self, told: Range, equal: bool | None, coverage: Coverage, now_ms: int) -> None:
        epoch, first, last, readings, _ = told
        if equal is None and not coverage.holds(epoch, first, last):
            return  # a number is still to come
        del self.ranges[epoch, first, last]
        if equal:
            self.verified_readings += readings
            newest = max((self.verified_epoch, self.verified_through), (epoch, last))
            self.verified_epoch, self.verified_through = newest
        elif equal is not None:  # None: verified before, or forgotten since
            self.different.append((epoch, first, last, now_ms))
            del self.different[:-MAX_DIFFERENT]

    def _due_ms(self, claim: Claim) -> int:
        """When a claim is unaccounted, if nothing comes until then."""
        due_ms = claim.told_ms + PATIENCE_MS
        if self.live_sent_ms < claim.said_ms:
            due_ms = max(claim.told_ms, self.live_at_ms) + STALLED_MS
        if self.backlog_sent_ms < claim.said_ms:
            due_ms = max(due_ms, self.backlog_at_ms + PATIENCE_MS)
        return due_ms

    def waits(self) -> bool:
        """Whether something is still to come, or to be given up."""
        return any(not claim.found_ms for claim in self.claims)

    def unaccounted(self) -> list[Claim]:
        """What is given up, in the order of numbers."""
        return [claim for claim in self.claims if claim.found_ms]

    def gauges(self) -> dict[str, int]:
        """Unaccounted batches and different ranges, found within TOLD_MS."""
        since_ms = self.settled_ms - TOLD_MS
        unaccounted = [claim for claim in self.unaccounted() if claim.found_ms >= since_ms]
        different = [found_ms for *_, found_ms in self.different if found_ms >= since_ms]
        return {
            "unaccounted_batches": sum(claim.count() for claim in unaccounted),
            "different_ranges": len(different),
        }

    def to_fields(self) -> dict[str, Any]:
        """The state as named fields for `udfs.state.pack`."""
        fields: dict[str, Any] = {
            "book": self.book.rows,
            "claims": self.claims.rows(),
            "ranges": np.array(list(self.ranges.values()), np.uint64).reshape(-1, 5),
            "different": np.array(self.different, np.int64).reshape(-1, 4),
        }
        fields |= {name: getattr(self, name) for name in _NUMBERS}
        return {_PREFIX + name: value for name, value in fields.items()}

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Accounts:
        """The state that `to_fields` gave; other fields are let be."""
        own = {n.removeprefix(_PREFIX): v for n, v in fields.items() if n.startswith(_PREFIX)}
        accounts = cls()
        accounts.book = Book(own["book"])
        accounts.claims = Claims(own["claims"])
        for row in own["ranges"].tolist():
            told = Range(*row)
            accounts.ranges[told[:3]] = told
        accounts.different = [tuple(row) for row in own["different"].tolist()]
        for name in _NUMBERS:
            setattr(accounts, name, own[name])
        return accounts
