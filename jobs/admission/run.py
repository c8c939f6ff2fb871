"""The desk at its work: reads `ledger.<facility>`, writes `admission.<facility>`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError as ProducerError
from confluent_kafka import KafkaException, Message, Producer

from jobs.admission.desk import RENEW_MS, Desk
from jobs.common import tail
from jobs.common.topics import admission_topic, facility_of
from udfs.batch import Refused
from udfs.ledger import decode_word
from udfs.records import LEDGER
from udfs.shares import Grant, encode_grant

log = structlog.get_logger()

_FLUSH_S = 5.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of tokens: to how many gateways, and readings a second in all."""

    gateways: int
    readings_per_s: float
    known: int


def admit(
    bootstrap: str,
    budget: float,
    seconds: float | None = None,
    report: Callable[[Round], None] = lambda done: None,
) -> None:
    """Hand out tokens for some seconds, or for ever.

    Raises: KafkaError: Kafka does not answer.
    """
    desk = Desk(budget, _now_ms())
    outbox = _Outbox(bootstrap)
    end_s = None if seconds is None else time.monotonic() + seconds
    next_ms = 0
    with tail.Tail(bootstrap, families=[LEDGER]) as words:
        while end_s is None or time.monotonic() < end_s:
            for message in words.poll():
                hear(desk, message, _now_ms())
            if _now_ms() >= next_ms:
                next_ms = _now_ms() + RENEW_MS
                grants = desk.hand_out(_now_ms())
                outbox.send(grants)
                report(_round(desk, grants))
    outbox.close()


def hear(desk: Desk, message: tail.Message, now_ms: int) -> None:
    """Tell the desk of a word; what is none, or names another facility, is passed over."""
    try:
        word = decode_word(message.value)
    except Refused:  # the job rollup_readings sends it to the dead letters
        return
    if word.facility == facility_of(message.topic):
        desk.heard(word, now_ms)


class _Outbox:
    """Writes tokens. One that is lost is made good by the next, seconds later."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "hardiot-admit",
                "acks": "all",
                "linger.ms": 5,
                # an old token must not overtake newer ones
                "enable.idempotence": True,
                "message.timeout.ms": RENEW_MS,
                "log_level": 2,
                "on_delivery": self._delivered,
            }
        )

    def send(self, grants: list[Grant]) -> None:
        for grant in grants:
            try:
                topic = admission_topic(grant.facility)
                self._producer.produce(topic, encode_grant(grant), grant.gateway)
            except (BufferError, KafkaException, ValueError) as error:
                log.warning("token_not_sent", facility=grant.facility, error=str(error))
        self._producer.poll(0)

    def close(self) -> None:
        self._producer.flush(_FLUSH_S)

    def _delivered(self, error: ProducerError | None, message: Message) -> None:
        if error is not None:
            log.warning("token_not_sent", topic=message.topic(), error=error.str())


def _round(desk: Desk, grants: list[Grant]) -> Round:
    given = [grant.readings_per_s for grant in grants if grant.readings_per_s]
    return Round(len(given), sum(given), desk.known)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
