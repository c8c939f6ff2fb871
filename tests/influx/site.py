"""The publisher at work: a broker, an InfluxDB behind faults, and processes that are killed."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from pydantic import SecretStr

from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from jobs.local.influxdb import InfluxDb
from jobs.local.process import Child, spawn, stop
from tests.influx.plant import ALL_FIELDS, Stored
from udfs.catalogue import Catalogue
from udfs.catalogue import encode as encode_catalogue
from udfs.rollup import MinuteRollup, encode

EVERYTHING = f"sensors: [{{fields: [{', '.join(ALL_FIELDS)}]}}]\n"
_LIMIT_S = 90.0


@dataclass
class Bucket:
    """A bucket and its token; `facilities`: globs of the group that has it."""

    name: str
    facilities: tuple[str, ...]
    token: SecretStr
    token_file: Path


@dataclass
class Site:
    """One test's own facilities and buckets on shared servers."""

    folder: Path
    bootstrap: str
    server: InfluxDb
    buckets: list[Bucket] = field(default_factory=list)
    sensors: str = EVERYTHING

    def bucket(self, name: str, *facilities: str, retention_s: int = 0) -> Bucket:
        """A new bucket with a group of its own name."""
        token = self.server.make_bucket(name, retention_s)
        file = self.folder / f"{name}.token"
        file.write_text(token.get_secret_value())
        made = Bucket(name, facilities, token, file)
        self.buckets.append(made)
        return made

    def policy(self, url: str) -> Path:
        """The policy file."""
        groups = [
            {"name": b.name, "facilities": list(b.facilities), "bucket": b.name}
            | {"token_file": str(b.token_file)}
            for b in self.buckets
        ]
        path = self.folder / "influx.yaml"
        head = f"url: {url}\norg: {self.server.org}\ngroups: {json.dumps(groups)}\n"
        path.write_text(head + self.sensors)
        return path

    def know(self, *catalogues: Catalogue) -> None:
        """Topics and catalogues, before any rollup."""
        ensure_topics(self.bootstrap, [of.facility for of in catalogues])
        self._produce(("catalogue", of.key, encode_catalogue(of)) for of in catalogues)

    def send(self, *rollups: MinuteRollup, topic: str = "rollups") -> None:
        self._produce((topic, of.key, encode(of)) for of in rollups)

    def send_bytes(self, key: str, value: bytes, topic: str = "rollups") -> None:
        self._produce([(topic, key, value)])

    def _produce(self, records: Iterable[tuple[str, str, bytes]]) -> None:
        producer = Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "message.max.bytes": 16_000_000}
        )
        for topic, key, value in records:
            producer.produce(topic, value, key)
        assert producer.flush(30) == 0

    @contextmanager
    def publisher(self, url: str, *more: str):
        """A process of the publisher; killed when the test ends, if it is there still."""
        child = self.start(url, *more)
        try:
            yield child
        finally:
            stop([child], 15)

    def start(self, url: str, *more: str) -> Child:
        args = ["--bootstrap", self.bootstrap, "--policy", str(self.policy(url)), *more]
        command = [sys.executable, "-m", "jobs.publish_rollups", *args]
        return spawn("publish", command, self.folder / "publish.out", self.folder)

    @property
    def said(self) -> str:
        """What publishers logged."""
        return (self.folder / "publish.out").read_text()

    def stored(self, bucket: Bucket) -> Stored:
        """All points of a bucket."""
        found: Stored = {}
        with self.server.client(bucket.token) as client:
            tables = client.query_api().query(
                f'from(bucket: "{bucket.name}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)'
            )
        for table in tables:
            for row in table.records:
                known = {k: v for k, v in row.values.items() if not k.startswith("_")}
                tags = {k: v for k, v in known.items() if k not in ("result", "table")}
                key = (
                    row.get_measurement(),
                    tuple(sorted(tags.items())),
                    int(row.get_time().timestamp()),
                )
                found.setdefault(key, {})[row.get_field()] = row.get_value()
        return found

    def wait_for(self, bucket: Bucket, expected: Stored) -> None:
        """Until the bucket holds this, which then is compared."""
        wait(lambda: self.stored(bucket) == expected, assertion=False)
        found = self.stored(bucket)
        lost, more = expected.keys() - found.keys(), found.keys() - expected.keys()
        other = [key for key in found.keys() & expected.keys() if found[key] != expected[key]]
        counts = f"{len(lost)} lost, {len(more)} too many, {len(other)} others of {len(expected)}"
        assert found == expected, counts

    def letters(self, *facilities: str) -> list[tuple[dict[str, str], bytes]]:
        """Dead letters of the publisher for some facilities: headers and values."""
        with Tail(self.bootstrap, ["dead-letters"], from_start=True) as tail:
            found = tail.rest()
        ours = [m for m in found if m.key.partition("/")[0] in facilities]
        assert {m.headers["job"] for m in ours} <= {"publish_rollups"}
        return [(m.headers, m.value) for m in ours]

    def committed(self, bucket: Bucket, topics: Sequence[str] = ("rollups",)) -> bool:
        """Whether the group has committed all that is in the topics."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": f"publish-rollups.{bucket.name}"}
        )
        try:
            for topic in topics:
                numbers = consumer.list_topics(topic, 10).topics[topic].partitions
                for found in consumer.committed([TopicPartition(topic, n) for n in numbers], 10):
                    low, high = consumer.get_watermark_offsets(found, 10)
                    if high > max(found.offset, low):
                        return False
        finally:
            consumer.close()
        return True


def kill(child: Child) -> None:
    """kill -9."""
    process = child.process()
    assert process is not None, "it had ended before"
    process.send_signal(signal.SIGKILL)
    process.wait()


def wait(true: Callable[[], object], limit_s: float = _LIMIT_S, assertion: bool = True) -> None:
    """Until it is so."""
    end_s = time.monotonic() + limit_s
    while not true() and time.monotonic() < end_s:
        time.sleep(0.3)
    assert not assertion or true()
