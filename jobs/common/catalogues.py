"""The compacted topic `catalogue`, read by a job when it meets a gateway that it does not know."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition

from udfs.catalogue import Catalogue, decode
from udfs.records import CATALOGUE

RETRY_S = 2.0  # how soon the topic is asked again for a catalogue that was not there

_log = logging.getLogger(__name__)


class TopicCatalogues:
    """Every published catalogue of a cell, kept in memory; 2 MB a million sensors and version.

    A gateway publishes its catalogue before its first batch, so a look at the topic's end after the
    batch arrived always finds it. What is not found is asked for again every RETRY_S only: an
    unknown gateway costs one look in two seconds, not one a record.
    """

    def __init__(self, bootstrap: str, properties: Mapping[str, str] | None = None) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **{key.replace(".", "_"): value for key, value in (properties or {}).items()},
        )
        self._known: dict[tuple[str, str], dict[int, Catalogue]] = {}
        self._looked_s: dict[tuple[str, str, int], float] = {}
        self._position: dict[TopicPartition, int] = {}

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """The catalogue, or None when nobody published it."""
        versions = self._known.get((facility, gateway))
        if versions is not None and version in versions:
            return versions[version]
        if self._may_look((facility, gateway, version)):
            self._read_to_end()
        return self._known.get((facility, gateway), {}).get(version)

    def newest(self, facility: str, gateway: str) -> Catalogue | None:
        """The gateway's last version, or None when nobody published any."""
        if not self.knows(facility, gateway) and self._may_look((facility, gateway, -1)):
            self._read_to_end()
        versions = self._known.get((facility, gateway), {})
        return versions[max(versions)] if versions else None

    def knows(self, facility: str, gateway: str) -> bool:
        """Whether any catalogue of the gateway was published."""
        return (facility, gateway) in self._known

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _may_look(self, wanted: tuple[str, str, int]) -> bool:
        now = time.monotonic()
        if now - self._looked_s.get(wanted, -RETRY_S) < RETRY_S:
            return False
        if len(self._looked_s) > 10_000:  # made-up names must not fill the memory
            self._looked_s.clear()
        self._looked_s[wanted] = now
        return True

    def _read_to_end(self) -> None:
        numbers = self._consumer.partitions_for_topic(CATALOGUE) or set()
        partitions = [TopicPartition(CATALOGUE, n) for n in sorted(numbers)]
        self._consumer.assign(partitions)
        ends = self._consumer.end_offsets(partitions)
        for partition in partitions:
            self._consumer.seek(partition, self._position.get(partition, 0))
        deadline = time.monotonic() + 10
        while any(self._consumer.position(p) < ends[p] for p in partitions):
            for records in self._consumer.poll(timeout_ms=500).values():
                for record in records:
                    self._take(record.value)
            if time.monotonic() > deadline:
                _log.warning("catalogue topic not read to its end within 10 s")
                break
        self._position = {p: self._consumer.position(p) for p in partitions}

    def _take(self, value: bytes | None) -> None:
        if value is None:
            return
        try:
            catalogue = decode(value)
        except ValueError as error:
            _log.warning("a record of topic catalogue is skipped: %s", error)
            return
        versions = self._known.setdefault((catalogue.facility, catalogue.gateway), {})
        versions[catalogue.version] = catalogue
