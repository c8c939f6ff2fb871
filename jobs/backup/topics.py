"""The parts `kafka` (topics, and the records of compacted ones) and `offsets` (of consumer groups).

store_topics(store, bootstrap)          # counts
store_offsets(store, bootstrap)
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka import Message as KafkaMessage
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, ResourceType

from jobs.backup.manifest import BackupError
from jobs.backup.store import Store

TOPICS, RECORDS, OFFSETS = "kafka/topics.json", "kafka/records", "offsets/groups.json"
LIMIT_S = 30.0
# a request has room for 10,000 resources, and a broker answers hundreds at once
_AT_ONCE = 200
_RECORDS, _POLL_S = 500, 0.2
_PASSING = ("hardiot-tail-", "hardiot-history-")  # a group of their own each time


def connect(bootstrap: str) -> AdminClient:
    """Raises: BackupError: nobody answers."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    try:
        admin.list_topics(timeout=LIMIT_S)
    except KafkaException as error:
        raise BackupError(f"{bootstrap}: Kafka does not answer ({error})") from None
    return admin


def topics_of(admin: AdminClient) -> dict[str, Any]:
    """Topics that are not Kafka's own, with partitions, copies and what was set for each."""
    found = admin.list_topics(timeout=LIMIT_S).topics
    names = sorted(name for name in found if not name.startswith("__"))
    topics: dict[str, dict[str, Any]] = {
        name: {
            "partitions": len(found[name].partitions),
            "copies": max(len(p.replicas) for p in found[name].partitions.values()),
        }
        for name in names
    }
    for start in range(0, len(names), _AT_ONCE):
        wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names[start:][:_AT_ONCE]]
        for resource, answer in admin.describe_configs(wanted).items():
            topics[resource.name]["configs"] = _set(answer.result(LIMIT_S))
    return topics


def _set(configs: Mapping[str, Any]) -> dict[str, str]:
    """What was set for the topic; all else is the broker's, and comes from there."""
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return {
        name: entry.value
        for name, entry in sorted(configs.items())
        if entry.source == own and not entry.is_sensitive
    }


def store_topics(store: Store, bootstrap: str) -> dict[str, Any]:
    """Topics, and all records of those that Kafka keeps by key. Returns: counts."""
    topics = topics_of(connect(bootstrap))
    store.write_json(TOPICS, topics)
    kept = [name for name, topic in topics.items() if is_kept(topic)]
    records = {}
    for name in kept:
        lines = _Lines(bootstrap, name, topics[name]["partitions"])
        store.write_pieces(f"{RECORDS}/{name}.jsonl", lines)
        records[name] = lines.count
    return {"topics": len(topics), "records": records}


def is_kept(topic: Mapping[str, Any]) -> bool:
    """Whether a topic is a table by key: rules, catalogue."""
    return bool(topic["configs"].get("cleanup.policy") == "compact")


def store_offsets(store: Store, bootstrap: str) -> dict[str, Any]:
    """How far each consumer group is. Returns: counts."""
    admin = connect(bootstrap)
    names = groups_of(admin)
    groups = {name: places for name in names if (places := _committed(admin, name))}
    store.write_json(OFFSETS, groups)
    return {"groups": len(groups), "partitions": sum(map(len, groups.values()))}


def groups_of(admin: AdminClient) -> list[str]:
    """Groups that last."""
    listed = admin.list_consumer_groups().result(LIMIT_S)
    return sorted(g.group_id for g in listed.valid if not g.group_id.startswith(_PASSING))


def _committed(admin: AdminClient, group: str) -> list[list[Any]]:
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    places = asked[group].result(LIMIT_S).topic_partitions
    return sorted([p.topic, p.partition, p.offset] for p in places if p.offset >= 0)


class _Lines:
    """All committed records of a topic up to its present end, as lines of JSON."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._bootstrap, self._topic, self._partitions = bootstrap, topic, partitions
        self.count = 0

    def __iter__(self) -> Iterator[bytes]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "hardiot-backup",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        try:
            places = [TopicPartition(self._topic, n) for n in range(self._partitions)]
            consumer.assign(
                [TopicPartition(p.topic, p.partition, OFFSET_BEGINNING) for p in places]
            )
            yield from self._read(consumer, len(places))
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, partitions: int) -> Iterator[bytes]:
        ended: set[int] = set()
        deadline = time.monotonic() + LIMIT_S
        while len(ended) < partitions:
            found = consumer.consume(_RECORDS, _POLL_S)
            if found:
                deadline = time.monotonic() + LIMIT_S
            elif time.monotonic() > deadline:
                raise BackupError(f"{self._topic}: not read to its end in {LIMIT_S:.0f} s")
            for message in found:
                error = message.error()
                if error is None:
                    self.count += 1
                    yield json.dumps(_record(message)).encode() + b"\n"
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition() or 0)
                else:
                    raise BackupError(f"{self._topic}: {error.str()}")


def _record(message: KafkaMessage) -> dict[str, Any]:
    headers = [[name, _text(value)] for name, value in message.headers() or ()]
    place = {"partition": message.partition(), "headers": headers}
    return place | {"key": _text(message.key()), "value": _text(message.value())}


def _text(data: Any) -> str | None:
    """Bytes as JSON has them; None stays, for it deletes a key."""
    return None if data is None else b64encode(bytes(data)).decode()
