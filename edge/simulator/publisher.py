"""The way out to an MQTT broker: each simulated gateway's machines with a connection of their own.

One thread, one selector, no thread of paho's: at 1,000 messages a second a thread for each client
would cost more in switches than the messages do. A client lives for one session, so the library
holds nothing back for a later one: what goes out again, and in which order, `EdgeNode` decides.

Everything goes out by QoS 1, births too: a gateway that is away gets them from the broker's queue,
before the data that they explain.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence
from threading import Event

import structlog

from edge.errors import EdgeError
from edge.simulator.connection import Connection
from edge.simulator.devices import Devices
from edge.simulator.gateway import SimulatedGateway
from edge.simulator.node import EdgeNode
from edge.simulator.outlet import NAP_S, Sent
from edge.simulator.settings import BrokerSettings
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.ledger import Word

log = structlog.get_logger()

_RETRY_S = 0.25  # between two tries to reach a broker that is away


class MqttOutlet:
    """The machines behind all gateways, at one broker.

    While the broker is slow or away, messages wait, `queue_mb` of them in all; then nothing more is
    taken. Nothing is skipped, and each device's messages keep their order.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        catalogue: Sequence[Catalogue],
        queue_mb: int,
        duplicates: float,
    ) -> None:
        """Args: duplicates: fraction of messages that are sent twice.

        Raises: EdgeError: the password file cannot be read.
        """
        self._duplicates = duplicates
        self._limit_bytes = queue_mb * 1024 * 1024
        self._selector = selectors.DefaultSelector()
        password = _password(settings)
        self._connections = {
            c.key: Connection(_node(c, settings), settings, password, self._selector)
            for c in catalogue
        }
        self._where = f"{settings.host}:{settings.port}"
        self._retry_at_s = 0.0
        self._away = False

    def open(self, stop: Event, patience_s: float) -> None:
        """Connect all and wait until their births are acknowledged.

        Raises: EdgeError: the broker refuses, or does not answer in time.
        """
        end_s = time.monotonic() + patience_s
        while not all(c.node.announced for c in self._connections.values()):
            if stop.is_set():
                return
            if time.monotonic() > end_s:
                raise EdgeError(
                    f"{self._where}: no answer from the MQTT broker in {patience_s} s; is it up?"
                )
            self.serve(NAP_S)

    def send(self, gateway: SimulatedGateway, batch: Batch) -> Sent | None:
        """Take a batch as one message a device. Raises: EdgeError: the broker refuses."""
        self.serve(0)
        if sum(c.node.held_bytes for c in self._connections.values()) >= self._limit_bytes:
            return None
        connection = self._connections[gateway.catalogue.key]
        messages = connection.node.devices.split(batch)
        for number, message in enumerate(messages):
            message.twice = gateway.is_sent_twice(batch.sequence, self._duplicates, number)
        connection.node.take(messages)
        connection.work()
        return Sent(len(messages), sum(message.twice for message in messages))

    def tell(self, word: Word) -> bool:
        """Machines know of no ledger."""
        return True

    def serve(self, wait_s: float) -> None:
        """Connect what is not, read, write; wait for that long at most.

        Raises: EdgeError: the broker refuses.
        """
        self._connect()
        for key, events in self._selector.select(wait_s):
            key.data.handle(events)
        for connection in self._connections.values():
            connection.work()

    def close(self, timeout_s: float) -> int:
        """Wait for what is not acknowledged, then say goodbye. Returns: what never was."""
        end_s = time.monotonic() + timeout_s
        while self._unacknowledged() and time.monotonic() < end_s:
            self.serve(NAP_S)
        left = self._unacknowledged()
        for connection in self._connections.values():
            connection.close()
        self._selector.close()
        return left

    def _unacknowledged(self) -> int:
        return sum(c.node.unacknowledged for c in self._connections.values())

    def _connect(self) -> None:
        """Try those without a connection; the first failure says enough of the broker for now."""
        down = [connection for connection in self._connections.values() if not connection.is_open]
        if not down or time.monotonic() < self._retry_at_s:
            return
        try:
            for connection in down:
                connection.open()
            self._away = False
        except OSError as error:
            if not self._away:  # once for each time that it is away
                log.warning("mqtt_trouble", broker=self._where, error=str(error))
            self._away = True
        self._retry_at_s = time.monotonic() + _RETRY_S


def _node(catalogue: Catalogue, settings: BrokerSettings) -> EdgeNode:
    return EdgeNode(Devices(catalogue, settings.metrics_per_message), settings.in_flight)


def _password(settings: BrokerSettings) -> str | None:
    if settings.password_file is None:
        return None
    try:
        return settings.password_file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise EdgeError(f"{settings.password_file}: cannot be read: {error.strerror}") from None
