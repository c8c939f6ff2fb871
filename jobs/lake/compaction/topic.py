"""Restated minutes to topic `rollups`, from where the points of dashboards are overwritten.

A minute may be sent twice, which changes nothing: the highest revision counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from jobs.common.errors import HardiotError
from jobs.common.librdkafka import properties_of
from udfs.records import ROLLUPS
from udfs.rollup import MinuteRollup, encode

_TIMEOUT_S = 60.0


class TopicRollups:
    """Writes rollups, and waits until all copies of the topic have them."""

    def __init__(self, bootstrap: str, properties: Mapping[str, str] | None = None) -> None:
        """Args: properties: further client properties, under Java's names."""
        self._bootstrap = bootstrap
        self._refused: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "hardiot-restate",
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "zstd",
                "message.max.bytes": 16_000_000,
                "message.timeout.ms": int(_TIMEOUT_S * 1000),
                "log_level": 2,
                **properties_of(properties or {}),
            }
        )

    def publish(self, minutes: Sequence[MinuteRollup]) -> None:
        """Send them all. Raises: HardiotError: one of them is not acknowledged."""
        self._refused.clear()
        try:
            for minute in minutes:
                self._send(minute)
            unsent = self._producer.flush(_TIMEOUT_S + 1)
        except (BufferError, KafkaException) as error:
            raise HardiotError(self._explain(str(error))) from None
        if self._refused or unsent:
            raise HardiotError(self._explain(self._refused[0] if self._refused else "no answer"))

    def _send(self, minute: MinuteRollup) -> None:
        headers = {"traceparent": minute.traceparent} if minute.traceparent else {}
        data, end_s = encode(minute), time.monotonic() + _TIMEOUT_S
        while True:
            try:
                self._producer.produce(
                    ROLLUPS, data, minute.key, headers=headers, on_delivery=self._delivered
                )
                return
            except BufferError:  # what waits to be sent is bounded
                if time.monotonic() > end_s:
                    raise
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._refused.append(error.str())

    def _explain(self, why: str) -> str:
        return f"{self._bootstrap}: topic {ROLLUPS}: restated minutes are not written: {why}"
