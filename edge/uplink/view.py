"""What the uplink needs of spool, registry and ledger, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge.spool.losses import Lost
from edge.spool.record import Log, Stored, Totals
from udfs.catalogue import Catalogue
from udfs.ledger import Word


class SpoolView(Protocol):
    """`edge.spool.spool.Spool`, seen from the uplink."""

    @property
    def epoch(self) -> int:
        """The present epoch."""

    @property
    def next_sequence(self) -> int:
        """Number of the next batch in it."""

    @property
    def lost(self) -> Sequence[Lost]:
        """What was declared lost."""

    @property
    def ended(self) -> Sequence[tuple[int, int | None]]:
        """Epochs that are over, each with its last number."""

    def committed(self, log: Log) -> int:
        """The newest index on disk, -1 before the first."""

    def pending(self, log: Log) -> Sequence[tuple[int, int]]:
        """Committed indices that are not acknowledged, as ranges, ascending."""

    def read(self, log: Log, first: int, last: int, max_bytes: int) -> list[Stored]:
        """Records of a range, ascending, as many as fit `max_bytes` but at least one."""

    def acknowledge(self, log: Log, first: int, last: int) -> None:
        """Kafka has these."""

    def save_pointer(self) -> None:
        """Make what was acknowledged durable."""

    def totals(self, epoch: int) -> Totals:
        """Of all batches of an epoch."""


class RegistryView(Protocol):
    """`edge.registry.Registry`, seen from the uplink."""

    def version(self, number: int) -> Catalogue:
        """The catalogue of a version. Raises: IndexError: there is none."""


class SpeakerView(Protocol):
    """`edge.ledger.Speaker`, seen from the uplink."""

    def acknowledged(self, epoch: int, sequence: int, readings: int, fingerprint: int) -> None:
        """Kafka has this batch."""

    def epochs(self) -> list[int]:
        """Epochs of which there is something to tell."""

    def word(
        self,
        epoch: int,
        sent_through: int,
        readings: int,
        lost: Sequence[tuple[int, int]] = (),
        ended: Sequence[tuple[int, int | None]] = (),
        pending: int | None = None,
        acknowledged_through: int = -1,
        now_ms: int = 0,
    ) -> Word:
        """The next word on an epoch."""
