"""Where batches go: as a gateway's records to Kafka, or as machines' messages to an MQTT broker.

The simulation keeps the schedule; an outlet says what leaves for each batch, and when it is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import NamedTuple, Protocol

from edge.errors import EdgeError
from edge.simulator.gateway import SimulatedGateway
from edge.simulator.uplink import Uplink
from udfs import catalogue as catalogues
from udfs.batch import Batch, Lane, encode
from udfs.catalogue import Catalogue
from udfs.ledger import Word, encode_word
from udfs.records import BACKLOG, CATALOGUE, LEDGER, READINGS

NAP_S = 0.1  # the longest that a request to stop waits

TOPIC_OF = {Lane.LIVE: READINGS, Lane.BACKLOG: BACKLOG}


class Sent(NamedTuple):
    """What left for one batch: messages, and how many of them a second time."""

    messages: int
    duplicates: int


class Outlet(Protocol):
    """Takes the batches of each gateway in order and delivers them in that order."""

    def open(self, stop: Event, patience_s: float) -> None:
        """Announce all gateways and wait until that is confirmed, or for a request to stop.

        Raises: EdgeError: nobody answered in time.
        """

    def send(self, gateway: SimulatedGateway, batch: Batch) -> Sent | None:
        """Take a whole batch. Returns: None when full; then nothing of it was taken."""

    def tell(self, word: Word) -> bool:
        """Pass on the gateway's word for the ledger. Returns: False when full."""

    def serve(self, wait_s: float) -> None:
        """Handle what came back; wait for that long at most."""

    def close(self, timeout_s: float) -> int:
        """Wait for acknowledgements, then give up. Returns: messages that got none."""


class KafkaOutlet:
    """A gateway's way to the cloud: catalogue, batches by lane, ledger."""

    def __init__(
        self, uplink: Uplink, catalogue: Sequence[Catalogue], bootstrap: str, duplicates: float
    ) -> None:
        """Args: duplicates: fraction of batches that are sent twice."""
        self._uplink = uplink
        self._catalogues = catalogue
        self._bootstrap = bootstrap
        self._duplicates = duplicates

    def open(self, stop: Event, patience_s: float) -> None:
        """Publish all catalogues and wait: no job shall meet a batch that it cannot look up."""
        for catalogue in self._catalogues:
            data = catalogues.encode(catalogue)
            while not self._uplink.publish(CATALOGUE, catalogue.key, data):
                self._confirm(stop, patience_s)
        self._confirm(stop, patience_s)

    def send(self, gateway: SimulatedGateway, batch: Batch) -> Sent | None:
        """One record; one more of the same bytes where it is sent twice, if there is room."""
        topic, data = f"{TOPIC_OF[Lane(batch.lane)]}.{batch.facility}", encode(batch)
        if not self._uplink.publish(topic, batch.gateway, data):
            return None
        twice = gateway.is_sent_twice(batch.sequence, self._duplicates)
        return Sent(1, int(twice and self._uplink.publish(topic, batch.gateway, data)))

    def tell(self, word: Word) -> bool:
        """One record to the facility's ledger."""
        return self._uplink.publish(f"{LEDGER}.{word.facility}", word.gateway, encode_word(word))

    def serve(self, wait_s: float) -> None:
        """Handle what came back from Kafka."""
        self._uplink.serve(wait_s)

    def close(self, timeout_s: float) -> int:
        """Drain, then give up the rest."""
        return self._uplink.close(timeout_s)

    def _confirm(self, stop: Event, patience_s: float) -> None:
        """Wait until all catalogues so far are acknowledged, or for a request to stop."""
        naps = max(1, round(patience_s / NAP_S))
        if all(self._uplink.drain(NAP_S) and not stop.is_set() for _ in range(naps)):
            raise EdgeError(f"{self._bootstrap}: no answer from Kafka in {patience_s} s; is it up?")
