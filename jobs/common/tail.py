"""Read topics for people and tests: newest records as they come, or all that there are."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage

from jobs.common.errors import HardiotError

_POLL_S = 0.2
_LOOK_S = 2.0  # how often new topics of a family are looked for


class Message(NamedTuple):
    """A record; `read_s` is the wall clock when it was read, in seconds."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str]
    read_s: float


class KafkaError(HardiotError):
    """Kafka does not answer, or refuses."""


def no_answer(bootstrap: str, error: KafkaException) -> KafkaError:
    """What to tell of a Kafka that does not answer."""
    return KafkaError(f"{bootstrap}: Kafka does not answer ({error}); is it up? `hardiot status`")


class Tail:
    """All partitions of some topics; `families` ("counted") stand for every facility's topic.

    committed: see only what was committed, as every program must that trusts a count; without it
    records of open transactions are seen at once, and again if a job restarts.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: Sequence[str] = (),
        families: Sequence[str] = (),
        from_start: bool = False,
        committed: bool = True,
    ) -> None:
        self._topics = frozenset(topics)
        self._prefixes = tuple(f"{family}." for family in families)
        self._start = OFFSET_BEGINNING if from_start else OFFSET_END
        self._bootstrap = bootstrap
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"hardiot-tail-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        self._assigned: set[tuple[str, int]] = set()
        self._looked_s = 0.0
        self._look()
        self._start = OFFSET_BEGINNING  # a topic that appears later is new as a whole

    def poll(self, timeout_s: float = _POLL_S) -> list[Message]:
        """What came, after waiting at most `timeout_s` for the first."""
        if time.monotonic() - self._looked_s > _LOOK_S:
            self._look()
        found = self._consumer.consume(500, timeout_s) if self._assigned else []
        if not self._assigned:
            time.sleep(timeout_s)
        return [_message(item) for item in found if item.error() is None]

    def follow(self, seconds: float | None = None) -> Iterator[Message]:
        """Records as they come, for some seconds or for ever."""
        end = None if seconds is None else time.monotonic() + seconds
        while end is None or time.monotonic() < end:
            yield from self.poll()

    def rest(self, limit_s: float = 30.0) -> list[Message]:
        """All records up to the topics' present ends."""
        found: list[Message] = []
        ends = {tp: self._consumer.get_watermark_offsets(_tp(tp))[1] for tp in self._assigned}
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            found += self.poll()
            places = self._consumer.position([_tp(tp) for tp in ends])
            at = {(p.topic, p.partition): p.offset for p in places}
            low = {tp: self._consumer.get_watermark_offsets(_tp(tp), cached=True)[0] for tp in ends}
            if all(ends[tp] <= max(at[tp], low[tp]) for tp in ends):
                return found
        raise KafkaError(f"{self._bootstrap}: topics not read to their ends in {limit_s:.0f} s")

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _look(self) -> None:
        """Add the partitions that are new."""
        self._looked_s = time.monotonic()
        try:
            metadata = self._consumer.list_topics(timeout=10)
        except KafkaException as error:
            raise no_answer(self._bootstrap, error) from None
        wanted = [
            (name, partition)
            for name, topic in metadata.topics.items()
            if name in self._topics or name.startswith(self._prefixes or ("\0",))
            for partition in topic.partitions
        ]
        new = [item for item in wanted if item not in self._assigned]
        if new:
            self._assigned.update(new)
            self._consumer.incremental_assign([_tp(item, self._start) for item in new])


def _tp(item: tuple[str, int], offset: int | None = None) -> TopicPartition:
    return TopicPartition(*item) if offset is None else TopicPartition(*item, offset)


def _message(item: KafkaMessage) -> Message:
    headers = {name: (value or b"").decode() for name, value in item.headers() or ()}
    key = (item.key() or b"").decode(errors="replace")
    return Message(item.topic(), key, item.value() or b"", headers, time.time())
