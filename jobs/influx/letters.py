"""Records that cannot be published, in topic `dead-letters`: as they came, with the reason."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Event

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from jobs.common.librdkafka import properties_of
from udfs.records import Record, dead_letter

JOB = "publish_rollups"

_ROUND_S = 5.0
log = structlog.get_logger()


class Letters:
    """Writes dead letters of one lane, and waits for Kafka's word on each."""

    def __init__(self, bootstrap: str, properties: Mapping[str, str]) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "hardiot-publish-rollups",
                "enable.idempotence": True,
                "compression.type": "zstd",
                "message.max.bytes": 64 * 2**20,  # before compression; the broker counts after it
                "message.timeout.ms": 10_000,
                "log_level": 2,
                **properties_of(properties),
            }
        )

    def send(self, record: Record, reason: str, detail: str, halt: Event) -> bool:
        """Write one; tried for ever. Returns: False: `halt` was set first."""
        while not halt.is_set():
            why = self._try(record, reason, detail)
            if why is None:
                return True
            log.warning("dead_letter_not_written", topic=record.topic, error=why)
            halt.wait(_ROUND_S)
        return False

    def _try(self, record: Record, reason: str, detail: str) -> str | None:
        """What went wrong, None when it is in Kafka."""
        told: list[KafkaError | None] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            told.append(error)

        letter = dead_letter(record, JOB, reason, detail, time.time_ns() // 1_000_000)
        headers = [(name, text.encode()) for name, text in letter.headers.items()]
        try:
            self._producer.produce(
                letter.topic, letter.value, letter.key, headers=headers, on_delivery=delivered
            )
            while not told:
                self._producer.flush(_ROUND_S)
        except (BufferError, KafkaException) as error:
            return str(error)
        return told[0].str() if told[0] is not None else None
