"""Events of one alert in Kafka: those that no table has yet, and those of the gateways."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from jobs.common.tail import KafkaError, Tail, no_answer
from udfs.alerts import AlertEvent, from_json
from udfs.records import ALERTS, EDGE_ALERTS

_STALL_S = 30.0


def told(bootstrap: str, ident: str, archived: Mapping[tuple[str, int], int]) -> list[AlertEvent]:
    """Events of an alert in topic `alerts`, each once, in the order in which they came.

    Args: archived: next offset by topic and partition; what is before it is in table `alerts`.
    Raises: KafkaError: Kafka does not answer.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"hardiot-trace-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        return _read(consumer, bootstrap, ident, archived)
    except KafkaException as error:
        raise no_answer(bootstrap, error) from None
    finally:
        consumer.close()


def told_at_the_edge(bootstrap: str, ident: str, facility: str = "") -> list[AlertEvent]:
    """Events of an alert that a gateway raised itself. Args: facility: empty: of all."""
    topics = [f"{EDGE_ALERTS}.{facility}"] if facility else []
    families = [] if facility else [EDGE_ALERTS]
    with Tail(bootstrap, topics, families, from_start=True) as tail:
        return _events([message.value for message in tail.rest() if message.key == ident])


def _read(
    consumer: Consumer, bootstrap: str, ident: str, archived: Mapping[tuple[str, int], int]
) -> list[AlertEvent]:
    partitions = consumer.list_topics(ALERTS, timeout=10).topics[ALERTS].partitions
    ends: dict[int, int] = {}
    places: list[TopicPartition] = []
    for number in partitions:
        low, end = consumer.get_watermark_offsets(TopicPartition(ALERTS, number), timeout=10)
        start = max(low, archived.get((ALERTS, number), 0))
        if start < end:
            ends[number] = end
            places.append(TopicPartition(ALERTS, number, start))
    found, deadline = list[bytes](), time.monotonic() + _STALL_S
    consumer.assign(places)
    while ends:
        for message in consumer.consume(500, 0.2):
            if (
                message.error() is None
                and (message.key() or b"").decode("utf-8", "replace") == ident
            ):
                found.append(message.value() or b"")
            deadline = time.monotonic() + _STALL_S
        at = consumer.position([TopicPartition(ALERTS, number) for number in ends])
        ends = {p.partition: ends[p.partition] for p in at if p.offset < ends[p.partition]}
        if time.monotonic() > deadline:
            raise KafkaError(f"{bootstrap}: {ALERTS} was not read to its end in {_STALL_S:.0f} s")
    return _events(found)


def _events(values: list[bytes]) -> list[AlertEvent]:
    """Each once: a restart may repeat one under the same id."""
    found: dict[tuple[str, int], AlertEvent] = {}
    for value in values:
        try:
            event = from_json(value)
        except ValueError:  # it is in the dead letters
            continue
        found.setdefault((event.status, event.event_ms), event)
    return list(found.values())
