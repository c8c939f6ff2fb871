"""The way to Kafka: an idempotent producer that is made anew when it or its certificates end.

There is one producer for all lanes. A record without an answer is given up after `give_up_s` and
comes back as unanswered; the uplink decides by lane what happens then, so an alert is at once sent
again and need not live longer inside the producer.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from edge import tls
from edge.settings import UplinkSettings
from edge.uplink.transport import Delivery, Fault

log = structlog.get_logger()

_QUEUED_RECORDS = 10_000
_LARGEST_RECORD_BYTES = 16 * 1024 * 1024  # what the broker takes; it decides, not we
# requests in front of an alert: at most five of this size wait for their answers
_REQUEST_BYTES = 256 * 1024
_PURGED_S = 1.0  # for the answers that a purge makes
_LOOK_MS = 5_000  # how often the certificates' files are looked at

_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.POLICY_VIOLATION,
        KafkaError.INVALID_RECORD,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_DOWN = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._AUTHENTICATION,
        KafkaError._RESOLVE,
        KafkaError._SSL,
        KafkaError._TRANSPORT,
    }
)


def producer_settings(settings: UplinkSettings, client_id: str) -> dict[str, Any]:
    """Properties of librdkafka, callbacks left out."""
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "client.id": client_id,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": settings.compression,
        "message.timeout.ms": round(settings.give_up_s * 1000),
        # a half-open connection is noticed by this, not by the system's minutes
        "request.timeout.ms": min(10_000, round(settings.give_up_s * 1000)),
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": 2_000,
        "retry.backoff.ms": 100,
        "linger.ms": 2,
        "batch.size": _REQUEST_BYTES,
        "message.max.bytes": _LARGEST_RECORD_BYTES,
        "queue.buffering.max.messages": _QUEUED_RECORDS,
        "queue.buffering.max.kbytes": max(32 * 1024, 4 * settings.in_flight_bytes // 1024),
        # a topic that is not there is told after this; half a minute is the default
        "topic.metadata.propagation.max.ms": 5_000,
        "statistics.interval.ms": 0,
        "log_level": 2,  # the callback tells of trouble; the library would tell it again
    }
    return found | (tls.kafka_properties(settings.tls) if settings.tls else {})


class _Client:
    """One producer, and how many records it owes an answer for."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.open = 0
        self.answers: list[Delivery] = []
        self.answered = False
        self.trouble = ""
        self.failed = ""
        self._producer = Producer({**settings, "error_cb": self._error})

    def produce(
        self, topic: str, key: str, value: bytes, headers: dict[str, str], token: int
    ) -> bool:
        answer = partial(self._delivered, token)
        try:
            self._producer.produce(topic, value, key, headers=headers or None, on_delivery=answer)
        except BufferError:
            return False
        except KafkaException as error:  # told at once: too large, or a topic known to be missing
            self.answers.append(_delivery(token, error.args[0]))
            return True
        self.open += 1
        return True

    def poll(self) -> list[Delivery]:
        self._producer.poll(0)
        answers, self.answers = self.answers, []
        return answers

    def give_up(self, timeout_s: float = 0.0) -> None:
        """Wait for answers; what has none then comes back as unanswered."""
        if timeout_s:
            self._producer.flush(timeout_s)
        self._producer.purge()

    def flush(self) -> list[Delivery]:
        self._producer.flush(_PURGED_S)
        return self.poll()

    def _delivered(self, token: int, error: KafkaError | None, message: Message) -> None:
        self.open -= 1
        found = Delivery(token) if error is None else _delivery(token, error)
        self.answers.append(found)
        if error is None:
            self.answered, self.trouble = True, ""
        elif found.fault is Fault.UNANSWERED:
            self.trouble = self.trouble or error.str()

    def _error(self, error: KafkaError) -> None:
        if error.fatal():
            self.failed = error.str()
        elif error.code() in _DOWN:
            if not self.trouble:
                log.warning("kafka_trouble", error=error.str())
            self.trouble = error.str()


class KafkaTransport:
    """Transport to a real Kafka. All of it is for one thread: callbacks run inside `poll`."""

    def __init__(
        self, settings: UplinkSettings, client_id: str, extra: Mapping[str, Any] | None = None
    ) -> None:
        """Args: extra: further settings of librdkafka, for tests.

        Raises: EdgeError: a certificate's file cannot be used.
        """
        self._watch = _watch(settings)
        self._settings = producer_settings(settings, client_id) | dict(extra or {})
        self._client = _Client(self._settings)
        self._old: list[_Client] = []  # what they took is still to be answered
        self._looked_ms = 0
        self.renewals = 0

    def produce(
        self, topic: str, key: str, value: bytes, headers: dict[str, str], token: int
    ) -> bool:
        """Queue one record. Returns: False when the queue is full and nothing was taken."""
        return self._client.produce(topic, key, value, headers, token)

    def poll(self, now_ms: int) -> list[Delivery]:
        """What came back since the last call; connects anew where that is due."""
        answers = [answer for client in (*self._old, self._client) for answer in client.poll()]
        self._old = [client for client in self._old if client.open]
        if self._client.failed:
            # nothing goes through it any more; all that it holds comes back unanswered
            self._client.give_up()
            self._replace(self._client.failed)
        elif self._renewed(now_ms):
            self._replace("certificates changed")
        return answers

    @property
    def connected(self) -> bool:
        """Whether Kafka answered last, rather than failed."""
        return self._client.answered and not self._client.trouble

    @property
    def trouble(self) -> str:
        """What went wrong last, empty since Kafka answered."""
        problem = self._watch.problem if self._watch else ""
        return self._client.trouble or problem

    def certificate_expires_ms(self) -> int | None:
        """When the own certificate ends, UTC epoch ms; None without one."""
        return self._watch.expires_ms() if self._watch else None

    def close(self, timeout_s: float) -> list[Delivery]:
        """Wait for answers, then leave; what is open is unanswered."""
        clients = (*self._old, self._client)
        for client in clients:
            client.give_up(timeout_s)
        return [answer for client in clients for answer in client.flush()]

    def _renewed(self, now_ms: int) -> bool:
        if self._watch is None or abs(now_ms - self._looked_ms) < _LOOK_MS:
            return False
        self._looked_ms = now_ms
        return self._watch.changed()

    def _replace(self, reason: str) -> None:
        log.info("kafka_connect_again", reason=reason)
        self.renewals += 1
        self._old.append(self._client)
        self._client = _Client(self._settings)


def _delivery(token: int, error: KafkaError) -> Delivery:
    return Delivery(token, _fault(error.code()), error.str())


def _fault(code: int) -> Fault:
    if code in _TOO_LARGE:
        return Fault.TOO_LARGE
    return Fault.REFUSED if code in _REFUSED else Fault.UNANSWERED


def _watch(settings: UplinkSettings) -> tls.Watch | None:
    if settings.tls is None:
        return None
    tls.context(settings.tls)  # raises with the file's name, where librdkafka would only say no
    return tls.Watch(settings.tls)
