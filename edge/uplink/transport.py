"""What the uplink asks of a way to Kafka, so that tests can be the network."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol


class Fault(StrEnum):
    """Why a record is not acknowledged."""

    UNANSWERED = "unanswered"  # no answer in time, or no connection: it may have arrived
    REFUSED = "refused"  # Kafka does not take this topic's records from us: a person must act
    TOO_LARGE = "too_large"


class Delivery(NamedTuple):
    """What became of a record. Every record that `produce` took is answered exactly once."""

    token: int
    fault: Fault | None = None  # None: acknowledged
    detail: str = ""


Answer = Callable[[Delivery, int], None]
"""What is done with a delivery; the number is now, UTC epoch ms."""


class Transport(Protocol):
    """Takes records and tells, sooner or later, what became of each. It never waits."""

    def produce(
        self, topic: str, key: str, value: bytes, headers: dict[str, str], token: int
    ) -> bool:
        """Queue one record. Returns: False when the queue is full and nothing was taken."""

    def poll(self, now_ms: int) -> list[Delivery]:
        """What came back since the last call."""

    @property
    def connected(self) -> bool:
        """Whether Kafka answered last, rather than failed."""

    def close(self, timeout_s: float) -> list[Delivery]:
        """Wait for answers, then leave; what is open is unanswered."""
