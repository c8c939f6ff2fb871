"""Kafka topics kept for as long as is declared; those that are so already are not touched.

for each in differences(client, wanted):
    each.topic, each.found_ms, each.wanted_ms
apply(client, changes)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from jobs.common.topics import TopicsError

_NAME = "retention.ms"
_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class TopicTime:
    """How long a topic is kept and is to be; -1: for ever."""

    topic: str
    found_ms: int
    wanted_ms: int


def connect(bootstrap: str, properties: Mapping[str, str]) -> AdminClient:
    """A client for the functions here. properties: as librdkafka names them."""
    return AdminClient({"bootstrap.servers": bootstrap, **properties})


def topics_of(client: AdminClient) -> list[str]:
    """Names of all topics, sorted. Raises: TopicsError: Kafka does not answer."""
    try:
        return sorted(client.list_topics(timeout=_LIMIT_S).topics)
    except KafkaException as error:
        raise TopicsError(f"topics cannot be listed: {error.args[0].str()}") from None


def differences(client: AdminClient, wanted: Mapping[str, int]) -> Iterator[TopicTime]:
    """Topics that are kept for another time, by name. Args: wanted: ms by topic."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in sorted(wanted)]
    answers = client.describe_configs(resources, request_timeout=_LIMIT_S) if resources else {}
    for resource in resources:
        found_ms = int(_result(answers[resource], resource.name)[_NAME].value)
        if found_ms != wanted[resource.name]:
            yield TopicTime(resource.name, found_ms, wanted[resource.name])


def apply(client: AdminClient, changes: Sequence[TopicTime]) -> None:
    """Set what is to be. Raises: TopicsError: a topic, and what the broker said."""
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            each.topic,
            incremental_configs=[
                ConfigEntry(_NAME, str(each.wanted_ms), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for each in changes
    ]
    if not resources:
        return
    answers = client.incremental_alter_configs(resources, request_timeout=_LIMIT_S)
    for resource, answer in answers.items():
        _result(answer, resource.name)


def _result(answer: Any, topic: str) -> Any:
    try:
        return answer.result(_LIMIT_S)
    except KafkaException as error:
        raise TopicsError(f"{topic}: retention: {error.args[0].str()}") from None
