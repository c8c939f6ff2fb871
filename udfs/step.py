"""The shape of a step: what one gateway's records do, without an engine, a clock or I/O.

A step is a deterministic state machine: the same calls give the same outputs and the same snapshot.
An engine (a Flink job, the gateway, a back-test, a notebook) calls it, keeps its snapshot, and may
run the calls since the snapshot again.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Protocol

from udfs.admission import Refusal
from udfs.batch import Batch
from udfs.ledger import Word
from udfs.records import Output, Record


class Step(Protocol):
    """All the state of one gateway in one job."""

    tally: Counter[str]
    """Counts for metrics since the engine last cleared it: duplicates, late, ..."""

    @property
    def changed(self) -> bool:
        """Whether what was restored is judged otherwise now (other rules), so that a replay of the
        calls since the snapshot has something new to say.
        """

    def on_batch(self, batch: Batch, record: Record, now_ms: int) -> list[Output]:
        """Take in a batch that the gate let through; `record` is what it came in."""

    def on_word(self, word: Word, now_ms: int) -> list[Output]:
        """Take in the gateway's own word on what it sent."""

    def on_refusal(self, refusal: Refusal, now_ms: int) -> list[Output]:
        """Take note of a record that was refused."""

    def on_timer(self, now_ms: int) -> list[Output]:
        """Do what is due. Before `wake_at` it changes and says nothing; after it, nothing that can
        be done now is due.
        """

    def wake_at(self) -> int | None:
        """When `on_timer` must be called next, wall clock; None if never."""

    def event_time_ms(self) -> int:
        """Event time of the newest batch, 0 before the first."""

    def gauges(self) -> dict[str, int]:
        """Levels for metrics, such as open minutes; an engine adds them up over its gateways."""

    def snapshot(self) -> bytes:
        """The whole state as versioned bytes."""


class RuledStep(Step, Protocol):
    """A step that goes by rules, and can be given others while it runs."""

    def adopt(self, rules: Any) -> None:
        """Go by these rules from now on. State of rules that stay goes on; alerts of rules that
        are gone are resolved with the next record. Says nothing itself. If it raises, it changed
        nothing.
        """
