"""Topic `rules` of a real Kafka, read from a place on, without a group."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from edge import tls
from edge.settings import UplinkSettings
from edge.uplink.consumers import consumer_settings
from udfs.rules.record import RULES

_LIMITS = {
    "auto.offset.reset": "earliest",  # our place is gone: the topic was made anew
    "enable.partition.eof": True,
    # one rulebook may be larger than this, and comes alone then
    "queued.max.messages.kbytes": 1024,
    "fetch.message.max.bytes": 1024 * 1024,
    # the largest rulebook needs its time on a slow line; too short, it would begin again and again
    "socket.timeout.ms": 30_000,
}
_LOOK_S = 5.0  # how often the certificates' files are looked at
# How often Kafka is asked whether the topic can be read: while it can, cannot, and in an outage. A
# consumer alone says nothing of a topic that is not there, and asks for it ten times a second.
_ASK_S, _ASK_AGAIN_S, _ASK_DOWN_S = 60.0, 10.0, 1.0
_ANSWER_S = 4.0
NO_TOPIC, NOT_ALLOWED = TROUBLES = ("no_topic", "not_allowed")
# what is wrong until a person acts; an outage is none of these
_TROUBLES = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: NO_TOPIC,
    KafkaError._UNKNOWN_PARTITION: NO_TOPIC,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: NOT_ALLOWED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: NOT_ALLOWED,
}


class Item(NamedTuple):
    """A record of the topic. value: None: deleted."""

    key: str
    value: bytes | None
    offset: int


class Seen(NamedTuple):
    """What a look at the topic gave. at_end: there is nothing newer. trouble: why it cannot be read
    until a person acts, one of TROUBLES; empty in an outage, too.
    """

    item: Item | None = None
    at_end: bool = False
    trouble: str = ""
    detail: str = ""


class Topic(Protocol):
    """What is asked of the topic, so that tests can be one."""

    def begin(self, offset: int | None) -> None:
        """Read from there on; None: from the beginning."""

    def look(self, wait_s: float) -> Seen:
        """The next record, or why there is none; waits for it, at most so long."""

    def close(self) -> None:
        """Leave."""


class RulesTopic:
    """The real one. All of it is for one thread."""

    def __init__(self, settings: UplinkSettings, client_id: str) -> None:
        self._settings = consumer_settings(settings, client_id) | _LIMITS
        self._watch = tls.Watch(settings.tls) if settings.tls else None
        self._looked_s = time.monotonic()
        self._next: int | None = None
        self._consumer = Consumer(self._settings)
        self._open = False  # the topic is there, and is being read
        self._ask_s = 0.0  # when to ask again, by the monotonic clock

    def begin(self, offset: int | None) -> None:
        """Read from there on; None: from the beginning."""
        self._next = offset
        if self._open:
            self._assign()

    def look(self, wait_s: float) -> Seen:
        """The next record, or why there is none; waits for it, at most so long."""
        self._renew()
        seen = self._ask() if time.monotonic() >= self._ask_s else Seen()
        if seen.trouble:
            return seen
        message = self._consumer.poll(wait_s)
        if message is None:
            return Seen()
        error = message.error()
        return self._item(message) if error is None else _seen(error)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _ask(self) -> Seen:
        """Whether the topic can be read; opens it when it can, closes it when it cannot."""
        try:
            error = self._consumer.list_topics(RULES, timeout=_ANSWER_S).topics[RULES].error
        except KafkaException:  # an outage, of which the uplink tells
            self._ask_s = time.monotonic() + _ASK_DOWN_S
            return Seen()
        if error is None:
            self._ask_s = time.monotonic() + _ASK_S
            if not self._open:
                self._open = True
                self._assign()
            return Seen()
        self._ask_s = time.monotonic() + _ASK_AGAIN_S
        self._open = False
        self._consumer.unassign()
        return _seen(error)

    def _assign(self) -> None:
        start = OFFSET_BEGINNING if self._next is None else self._next
        self._consumer.assign([TopicPartition(RULES, 0, start)])

    def _item(self, message: Message) -> Seen:
        offset = message.offset()
        assert offset is not None
        self._next = offset + 1
        key = (message.key() or b"").decode(errors="replace")
        # known from the same answer of the broker; its word that this was all comes one later
        ends = self._consumer.get_watermark_offsets(TopicPartition(RULES, 0), cached=True)
        return Seen(Item(key, message.value(), offset), ends is not None and ends[1] == self._next)

    def _renew(self) -> None:
        """Connect anew, with certificates that were renewed."""
        now_s = time.monotonic()
        if self._watch is None or now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        if self._watch.changed():
            self._consumer.close()
            self._consumer = Consumer(self._settings)
            self._open, self._ask_s = False, 0.0


def _seen(error: KafkaError) -> Seen:
    if error.code() == KafkaError._PARTITION_EOF:
        return Seen(at_end=True)
    return Seen(trouble=_TROUBLES.get(error.code(), ""), detail=error.str())
