"""The parts `kafka` and `offsets`, the way back."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import NewTopic

from jobs.backup.manifest import BackupError
from jobs.backup.topics import (
    LIMIT_S,
    OFFSETS,
    RECORDS,
    TOPICS,
    connect,
    groups_of,
    is_kept,
)
from jobs.common.topics import MAX_TOPICS_A_REQUEST


class TopicsBack:
    """Topics as they were, and the records of compacted ones. copies: other than they had."""

    def __init__(self, folder: Path, bootstrap: str, copies: int | None = None) -> None:
        self._folder, self._bootstrap = folder, bootstrap
        self._topics: dict[str, Any] = json.loads((folder / TOPICS).read_text())
        self._admin = connect(bootstrap)
        if copies is not None:
            for topic in self._topics.values():
                topic["copies"] = copies
                topic["configs"]["min.insync.replicas"] = str(max(1, copies - 1))

    def mistakes(self) -> Iterator[str]:
        """Why it cannot be, a line each."""
        there = self._admin.list_topics(timeout=LIMIT_S)
        for name in sorted(set(self._topics) & set(there.topics)):
            yield f"topic {name}: is on {self._bootstrap}"
        most = max((topic["copies"] for topic in self._topics.values()), default=0)
        if most > len(there.brokers):
            yield f"{most} copies of topics wanted, {len(there.brokers)} brokers: give --copies"

    def plan(self) -> Iterator[str]:
        """What will be done."""
        kept = [name for name, topic in self._topics.items() if is_kept(topic)]
        records = f"with the records of {', '.join(kept)}" if kept else "without records"
        yield f"{len(self._topics)} topics on {self._bootstrap}, {records}"

    def restore(self) -> None:
        """Raises: BackupError: Kafka refuses."""
        names = sorted(self._topics)
        for start in range(0, len(names), MAX_TOPICS_A_REQUEST):
            some = [self._new(name) for name in names[start:][:MAX_TOPICS_A_REQUEST]]
            for name, made in self._admin.create_topics(some).items():
                try:
                    made.result(LIMIT_S)
                except KafkaException as error:
                    raise BackupError(f"topic {name}: {error}") from None
        for name in names:
            if is_kept(self._topics[name]):
                self._send(name)

    def _new(self, name: str) -> NewTopic:
        topic = self._topics[name]
        return NewTopic(name, topic["partitions"], topic["copies"], config=topic["configs"])

    def _send(self, name: str) -> None:
        """Each record to the partition that it was in."""
        refused: list[str] = []
        settings = {"bootstrap.servers": self._bootstrap, "enable.idempotence": True}
        producer = Producer(settings | {"message.max.bytes": 16_000_000, "log_level": 0})
        with (self._folder / RECORDS / f"{name}.jsonl").open() as lines:
            for line in lines:
                record = json.loads(line)
                headers = [(key, _bytes(value)) for key, value in record["headers"]]
                producer.produce(
                    name,
                    _bytes(record["value"]),
                    _bytes(record["key"]),
                    record["partition"],
                    headers=headers,
                    on_delivery=lambda error, _: refused.append(str(error)) if error else None,
                )
                while len(producer) > 1000:
                    producer.poll(1.0)
        left = producer.flush(LIMIT_S)
        if refused or left:
            raise BackupError(f"topic {name}: {len(refused) + left} records refused {refused[:1]}")


class OffsetsBack:
    """Consumer groups back to where they were, on a Kafka that was not lost.

    A partition of which a group had read nothing has no offset in a savepoint either: the job goes
    on there from its group's, so what was committed since has to go.
    """

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self._bootstrap, self._admin = bootstrap, connect(bootstrap)
        found: dict[str, list[list[Any]]] = json.loads((folder / OFFSETS).read_text())
        self._groups = {
            name: [TopicPartition(*place) for place in places] for name, places in found.items()
        }
        self._there = groups_of(self._admin)

    def mistakes(self) -> Iterator[str]:
        """Groups at work, and offsets that this Kafka never had: it is another one."""
        listed = self._admin.describe_consumer_groups(self._there) if self._there else {}
        for name, answer in sorted(listed.items()):
            if members := answer.result(LIMIT_S).members:
                yield f"group {name}: {len(members)} members are at work: stop them first"
        yield from self._strange()

    def _strange(self) -> Iterator[str]:
        settings = {"bootstrap.servers": self._bootstrap, "group.id": "hardiot-backup"}
        consumer = Consumer(settings | {"log_level": 0})
        try:
            for name, places in self._groups.items():
                for place in places:
                    try:
                        end = consumer.get_watermark_offsets(place, LIMIT_S)[1]
                    except KafkaException:
                        end = -1
                    if place.offset > end:
                        where = f"{place.topic}/{place.partition}"
                        yield f"group {name}: {where} has no offset {place.offset}: another Kafka"
        finally:
            consumer.close()

    def plan(self) -> Iterator[str]:
        """What will be done."""
        for name, places in self._groups.items():
            yield f"group {name}: {len(places)} partitions back to where they were"
        for name in sorted(set(self._there) - set(self._groups)):
            yield f"group {name}: was not there: removed, so that it begins anew"

    def restore(self) -> None:
        """Raises: BackupError: Kafka refuses."""
        gone = self._admin.delete_consumer_groups(self._there) if self._there else {}
        for name, answer in gone.items():
            try:
                answer.result(LIMIT_S)
            except KafkaException as error:
                raise BackupError(f"group {name}: {error}") from None
        for name, places in self._groups.items():
            self._alter(name, places)

    def _alter(self, name: str, places: Sequence[TopicPartition]) -> None:
        wanted = ConsumerGroupTopicPartitions(name, list(places))
        try:
            self._admin.alter_consumer_group_offsets([wanted])[name].result(LIMIT_S)
        except KafkaException as error:
            raise BackupError(f"group {name}: {error}") from None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
