"""The way out: to Kafka, or nowhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

import structlog
from confluent_kafka import KafkaError, Message, Producer

from edge.errors import EdgeError

log = structlog.get_logger()


class Uplink(Protocol):
    """Takes records in order and delivers them in that order by topic and key."""

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        """Queue one record. Returns: False when the queue is full and nothing was taken."""

    def serve(self, wait_s: float) -> None:
        """Handle what came back from the receiver; wait for that long at most."""

    def drain(self, timeout_s: float) -> int:
        """Wait until all is acknowledged. Returns: records that are not yet."""

    def close(self, timeout_s: float) -> int:
        """Drain, then give up the rest. Returns: records that were given up."""


class Discard:
    """An uplink for measuring: takes everything, sends nothing."""

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        """Takes the record."""
        return True

    def serve(self, wait_s: float) -> None:
        """Nothing comes back, but time passes."""
        time.sleep(wait_s)

    def drain(self, timeout_s: float) -> int:
        """Nothing is open."""
        return 0

    def close(self, timeout_s: float) -> int:
        """Nothing is open."""
        return 0


class KafkaUplink:
    """An idempotent producer with a bounded queue; acknowledged by all replicas.

    A record is tried until it is acknowledged, however long Kafka is away: then the queue fills
    and `publish` says so, and the order stays.
    """

    def __init__(
        self, bootstrap: str, queue_mb: int = 64, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Args: extra: settings of librdkafka, for security and tests."""
        self._bootstrap = bootstrap
        self._failure: str | None = None
        settings = {
            "bootstrap.servers": bootstrap,
            "client.id": "hardiot-simulator",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.timeout.ms": 0,
            "message.max.bytes": 4 * 1024 * 1024,
            "queue.buffering.max.kbytes": queue_mb * 1024,
            "delivery.report.only.error": True,
            "on_delivery": self._delivered,
            "log_level": 2,  # the callback tells of trouble; the library would tell it again
            "error_cb": self._trouble,
        }
        self._producer = Producer(settings | dict(extra or {}))

    def publish(self, topic: str, key: str, value: bytes) -> bool:
        """Queue one record. Raises: EdgeError: Kafka refused an earlier one for good."""
        try:
            self._producer.produce(topic, value, key)
        except BufferError:
            return False
        finally:
            self.serve(0)
        return True

    def serve(self, wait_s: float) -> None:
        """Raises: EdgeError: Kafka refused a record for good."""
        self._producer.poll(wait_s)
        if self._failure:
            raise EdgeError(self._failure)

    def drain(self, timeout_s: float) -> int:
        """Wait for acknowledgements. Raises: EdgeError: Kafka refused a record for good."""
        left: int = self._producer.flush(timeout_s)
        if self._failure:
            raise EdgeError(self._failure)
        return left

    def close(self, timeout_s: float) -> int:
        """Drain, then give up the rest. Raises: EdgeError: as `drain`."""
        left = self.drain(timeout_s)
        self._producer.purge()
        return left

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and error.code() != KafkaError._PURGE_QUEUE:
            self._fail(f"Kafka refused a record for topic {message.topic()}: {error.str()}")

    def _trouble(self, error: KafkaError) -> None:
        if error.fatal():
            self._fail(f"the producer failed: {error.str()}")
        else:
            log.warning("kafka_trouble", bootstrap=self._bootstrap, error=error.str())

    def _fail(self, text: str) -> None:
        """Remember the first failure: it is raised where the caller can handle it."""
        hint = "the topics must exist before the simulator starts" if "topic" in text else ""
        self._failure = self._failure or f"{self._bootstrap}: {text}. {hint}".rstrip(". ")
