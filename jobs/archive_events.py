"""Keep alerts, the ledger's two sides, dead letters and edge rollups in tables, each record once.

A plain program: the offsets that were read stand in the summary of the very commit that adds the
rows, so a crash between table and Kafka repeats nothing.
"""

from __future__ import annotations

import sys
import time
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Sequence
from threading import Event

import structlog
from confluent_kafka import (
    OFFSET_STORED,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from pydantic import Field, PositiveInt

from jobs.common.catalogues import TopicCatalogues
from jobs.common.errors import HardiotError
from jobs.common.librdkafka import properties_of
from jobs.common.service import serve
from jobs.common.settings import JobSettings, load
from jobs.lake.catalog import open_catalog
from jobs.lake.events.rows import FAMILIES, JOB, TOPICS, Came, Rows, rows_of
from jobs.lake.events.tables import EventTables, Place
from jobs.lake.settings import LakeSettings

GROUP_ID = "archive-events"
_POLL_S = 0.5
_RECORDS = 500
_MAX_WAIT_MS = 1_800_000  # a catalog that is away must not cost the partitions

log = structlog.get_logger()


class Settings(JobSettings):
    """Settings of archive_events; the catalog is told by those of the lake."""

    commit_every_s: PositiveInt = Field(
        300,
        description="How often what was read is committed, in seconds: each time a file a facility "
        "and table.",
    )
    max_bytes: PositiveInt = Field(
        64 * 1024 * 1024, description="Records that are kept in memory until then, in bytes."
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of the metrics for Prometheus; 0: none."
    )


class Metrics:
    """What the program says of itself; see infra/observability/metrics.yaml."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        about = "Rows that were committed."
        self.rows = Counter("hardiot_events_rows", about, ("table",), registry=self.registry)
        about = "Age of the oldest record that was read and is not committed."
        self.lag = Gauge("hardiot_events_lag_seconds", about, registry=self.registry)


class Archivist:
    """Reads, keeps in memory, commits to the tables, then to Kafka."""

    def __init__(self, settings: Settings, lake: LakeSettings) -> None:
        """Raises: LakeError: a table is not there."""
        self.metrics = Metrics()
        self.registry, self.metrics_port = self.metrics.registry, settings.metrics_port
        self._settings = settings
        self._stop = Event()
        self._error: Exception | None = None
        self._tables = EventTables(open_catalog(lake), lake)
        kafka = settings.client_properties()
        self._catalogues = TopicCatalogues(settings.bootstrap, kafka)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": GROUP_ID,
                "client.id": f"hardiot-{GROUP_ID}",
                "enable.auto.commit": False,
                "auto.offset.reset": settings.starting_offsets,
                "isolation.level": "read_committed",
                "topic.metadata.refresh.interval.ms": settings.discovery_s * 1000,
                "max.poll.interval.ms": _MAX_WAIT_MS,
                "log_level": 2,
                **properties_of(kafka),
            }
        )
        self._begin()

    def _begin(self) -> None:
        """Nothing is held."""
        self._rows: dict[str, list[Rows]] = defaultdict(list)
        self._offsets: dict[str, dict[Place, int]] = defaultdict(dict)
        self._bytes, self._oldest_ms = 0, 0

    def run(self) -> None:
        """Until `stop`. Raises: HardiotError: Kafka or the catalog."""
        facilities = [rf"^{family}\.{self._settings.facilities}$" for family in FAMILIES]
        self._consumer.subscribe([*TOPICS, *facilities], on_assign=self._assigned)
        next_s = time.monotonic() + self._settings.commit_every_s
        try:
            while not self._stop.is_set():
                if self._error is not None:
                    raise HardiotError(f"not begun: {self._error}") from self._error
                for message in self._consumer.consume(_RECORDS, _POLL_S):
                    self._take(message)
                self._show_lag()
                if time.monotonic() >= next_s or self._bytes >= self._settings.max_bytes:
                    self._commit()
                    next_s = time.monotonic() + self._settings.commit_every_s
            self._commit()
        except KafkaException as error:
            raise HardiotError(f"Kafka: {error}") from error
        finally:
            self._consumer.close()
            self._catalogues.close()

    def stop(self) -> None:
        """Commit what was read, and end."""
        self._stop.set()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Go on where the tables are, if Kafka knows less."""
        self._begin()  # what was read and not committed is read again, here or by another
        try:
            done = self._tables.done()
            places = consumer.committed(partitions, timeout=30)
        except Exception as error:  # noqa: BLE001 - the client's callback loses what is raised
            self._error = error
            return
        for place in places:
            place.offset = max(
                place.offset, done.get((place.topic, place.partition), OFFSET_STORED)
            )
        consumer.assign(places)

    def _take(self, message: Message) -> None:
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                log.warning("kafka", error=error.str())
            return
        came = _came(message)
        spec, rows = rows_of(came, self._catalogues.find)
        self._rows[spec.name].append(rows)
        self._offsets[spec.name][came.topic, came.partition] = came.offset + 1
        self._bytes += len(came.value)
        self._oldest_ms = self._oldest_ms or came.received_ms

    def _commit(self) -> None:
        if not self._rows:
            return
        self._tables.append(self._rows, self._offsets)
        highest: Tally[Place] = Tally()
        for places in self._offsets.values():
            for place, offset in places.items():
                highest[place] = max(highest[place], offset)
        at = [TopicPartition(*place, offset) for place, offset in highest.items()]
        self._consumer.commit(offsets=at, asynchronous=False)
        for name, some in self._rows.items():
            self.metrics.rows.labels(name).inc(sum(map(len, some)))
        log.info("committed", **{name: sum(map(len, some)) for name, some in self._rows.items()})
        self._begin()

    def _show_lag(self) -> None:
        age_ms = time.time_ns() // 1_000_000 - self._oldest_ms if self._oldest_ms else 0
        self.metrics.lag.set(max(age_ms, 0) / 1000)


def _came(message: Message) -> Came:
    pairs = message.headers() or ()
    headers = {name: (value or b"").decode(errors="replace") for name, value in pairs}
    key = (message.key() or b"").decode(errors="replace")
    at = (message.topic(), message.partition(), message.offset(), message.timestamp()[1])
    return Came(*at, key, message.value() or b"", headers)


def main(argv: Sequence[str]) -> int:
    """Exit 1: Kafka or the catalog failed. 2: the settings are wrong, or a table is not there."""
    return serve(lambda: Archivist(load(Settings, JOB, argv), load(LakeSettings, "lake")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
