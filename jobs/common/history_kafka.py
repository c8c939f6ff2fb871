"""History from Kafka: what topics readings. and backlog. still hold of some facilities.

Both lanes of a facility are read in the order in which the broker got their records, so a rule
sees what the job saw: an outage first as a hole, then its backlog. What no job would admit is left
out.
"""

from __future__ import annotations

import heapq
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from jobs.common.catalogues import TopicCatalogues
from jobs.common.history import HistoryError
from jobs.common.tail import KafkaError, no_answer
from udfs.batch import MAX_FUTURE_MS, Batch, Refused, check, decode
from udfs.catalogue import Catalogue
from udfs.records import BACKLOG, READINGS

_STALL_S = 30.0
_QUEUE_KB = 16 * 1024  # what one partition may hold ahead


class KafkaHistory:
    """The facilities of a cell whose names match. refused: records that no job would admit."""

    def __init__(self, bootstrap: str, facility: str = "*") -> None:
        self._bootstrap = bootstrap
        self._glob = facility
        self.refused = 0

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        """See `History.read`. Facilities come one after the other, by name."""
        try:
            facilities = sorted(self._topics().items())
            with closing(TopicCatalogues(self._bootstrap)) as catalogues:
                for facility, topics in facilities:
                    for message in self._records(topics, from_ms):
                        batch = self._batch(message, facility, from_ms, to_ms)
                        found = None if batch is None else self._catalogue(catalogues, batch)
                        if batch is not None and found is not None:
                            yield found, batch
        except KafkaException as error:
            raise no_answer(self._bootstrap, error) from None

    def _topics(self) -> dict[str, list[tuple[str, int]]]:
        """(topic, partition) of both lanes, by facility."""
        consumer = self._consumer()
        try:
            metadata = consumer.list_topics(timeout=10)
        finally:
            consumer.close()
        found: dict[str, list[tuple[str, int]]] = {}
        for name, topic in metadata.topics.items():
            family, _, facility = name.partition(".")
            if family in (READINGS, BACKLOG) and fnmatchcase(facility, self._glob):
                found.setdefault(facility, []).extend((name, n) for n in topic.partitions)
        if not found:
            raise HistoryError(f'{self._bootstrap}: no facility "{self._glob}" has readings there')
        return found

    def _records(self, topics: list[tuple[str, int]], from_ms: int) -> Iterator[Message]:
        """All that was appended since then, in the order of the broker's clock, then of names."""
        streams = [self._partition(*item, from_ms) for item in sorted(topics)]
        yield from heapq.merge(*streams, key=lambda message: message.timestamp()[1])

    def _partition(self, topic: str, number: int, from_ms: int) -> Iterator[Message]:
        """Records of one partition up to its present end.

        A batch is appended after its readings were made, but for clocks that are ahead.
        """
        consumer = self._consumer()
        try:
            since = TopicPartition(topic, number, max(0, from_ms - MAX_FUTURE_MS))
            (start,) = consumer.offsets_for_times([since], timeout=10)
            low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            offset = end if start.offset < 0 else max(low, start.offset)
            if offset >= end:
                return
            consumer.assign([TopicPartition(topic, number, offset)])
            yield from self._up_to(consumer, topic, number, end)
        finally:
            consumer.close()

    def _up_to(self, consumer: Consumer, topic: str, number: int, end: int) -> Iterator[Message]:
        deadline = time.monotonic() + _STALL_S
        while time.monotonic() < deadline:
            for message in consumer.consume(100, 0.2):
                if message.error() is None:
                    deadline = time.monotonic() + _STALL_S
                    if message.offset() >= end:
                        return
                    yield message
            (at,) = consumer.position([TopicPartition(topic, number)])
            if at.offset >= end:  # what ends a transaction has an offset, but is no message
                return
        raise KafkaError(
            f"{self._bootstrap}: {topic} was not read to its end, nothing came for {_STALL_S:.0f} s"
        )

    def _batch(self, message: Message, facility: str, from_ms: int, to_ms: int) -> Batch | None:
        try:
            batch = decode(message.value() or b"")
            check(batch, facility, 2**31, message.timestamp()[1])
        except Refused:
            self.refused += 1
            return None
        batch.sent_ms = message.timestamp()[1]  # silence is judged by when batches arrived
        return batch if from_ms <= batch.time_ms < to_ms else None

    def _catalogue(self, catalogues: TopicCatalogues, batch: Batch) -> Catalogue | None:
        found = catalogues.find(batch.facility, batch.gateway, batch.catalogue)
        slots = batch.slots()
        if found is None or (len(slots) and int(slots[-1]) >= len(found)):
            self.refused += 1
            return None
        return found

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"hardiot-history-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "queued.max.messages.kbytes": _QUEUE_KB,
                "log_level": 0,
            }
        )
