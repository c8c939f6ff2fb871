"""A whole cell: real Kafka, Flink and InfluxDB; backed up at work, lost, and restored elsewhere."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from confluent_kafka import Consumer, TopicPartition

from edge.simulator.run import simulate
from jobs.backup.manifest import BackupError, Manifest, mistakes, read
from jobs.backup.restore import Restore
from jobs.backup.run import PARTS, Places, back_up
from jobs.backup.topics import connect, topics_of
from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from jobs.lake.catalog import open_catalog
from jobs.lake.tables import ensure
from jobs.local.broker import Broker
from jobs.local.influxdb import InfluxDb, program
from jobs.local.stack import Stack
from tests.archive.closed_form import (
    FACILITIES,
    assert_every_minute_once,
    expected,
    read_all,
    scenario,
)
from tests.archive.closed_form import read as read_chunks
from tests.backup.conftest import lake_in
from tests.conftest import LOGS

pytestmark = pytest.mark.stack

FOR_S = 24  # still sending when the backup is made, on a busy machine too
BUCKETS = [f"site-{number:02d}" for number in range(22)]  # a page of them has 20
POINTS = [f"flow,asset=a{n % 3} value={n}.25 {1_700_000_000 + n * 3600}" for n in range(400)]


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[InfluxDb, InfluxDb]]:
    """The one that is lost, and the new one."""
    if program() is None:
        pytest.skip("no InfluxDB server: run `make influxdb`")
    folder = tmp_path_factory.mktemp("influx")
    with InfluxDb(folder / "old") as old, InfluxDb(folder / "new") as new:
        for name in BUCKETS:
            old.make_bucket(name, 10 * 365 * 86_400)
        write(old, BUCKETS[21], POINTS)
        write(old, "default", POINTS[:3])
        yield old, new


def write(server: InfluxDb, bucket: str, lines: list[str]) -> None:
    from influxdb_client.client.write_api import SYNCHRONOUS

    with server.client() as client:
        client.write_api(SYNCHRONOUS).write(bucket, record=lines, write_precision="s")


def points(server: InfluxDb, bucket: str) -> list[tuple[str, float]]:
    query = f'from(bucket: "{bucket}") |> range(start: 0)'
    with server.client() as client:
        tables = client.query_api().query(query)
    return sorted((str(r.get_time()), r.get_value()) for table in tables for r in table.records)


def retentions(server: InfluxDb) -> dict[str, int]:
    found = server._call("GET", "/api/v2/buckets", limit="100")["buckets"]
    return {
        b["name"]: b["retentionRules"][0]["everySeconds"] if b["retentionRules"] else 0
        for b in found
        if b["type"] == "user"
    }


def submit(stack: Stack, options: dict[str, str] | None = None) -> str:
    args = ["--bootstrap", stack.bootstrap, "--commit-every-s", "5"]
    job = stack.submit("archive_readings", args, options)
    stack.rest.wait_running(job)
    return job


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("cell") / "run", taskmanagers=1) as made:
        try:
            yield made
        finally:
            if request.session.testsfailed:
                shutil.copytree(made.log_folder, LOGS / "backup", dirs_exist_ok=True)


def test_a_cell_is_restored_and_goes_on_with_every_reading_once(
    stack: Stack, influx: tuple[InfluxDb, InfluxDb], tmp_path: Path
) -> None:
    old, new = influx
    folder, elsewhere = tmp_path / "backups" / "monday", lake_in(tmp_path / "elsewhere")
    ensure_topics(stack.bootstrap, FACILITIES)
    ensure(open_catalog(stack.lake), stack.lake)
    settings = scenario(stack.bootstrap, FOR_S)
    job = submit(stack)
    sending = Thread(target=simulate, args=(settings, lambda progress: None))
    sending.start()
    wait_for_chunks(stack, 1)
    commit_group(stack.bootstrap)

    places = Places(stack.bootstrap, stack.rest_url, stack.lake, old.url, old.token)
    said: list[str] = []
    manifest = back_up(folder, places, PARTS, told=said.append)
    assert list(mistakes(folder, read(folder))) == []
    counts = manifest.counts
    assert counts["influx"]["buckets"] == 23 and counts["flink"]["savepoints"] == 1
    assert_no_secret(folder, old)

    # the table goes on past the savepoint, and is lost with InfluxDB
    sending.join()
    wait_for_chunks(stack, counts["lake"]["chunks"]["rows"] + 1)
    stack.rest.cancel(job)
    stack.rest.wait_ended(job)
    shutil.rmtree(stack.folder / "lake")
    before = {name: points(old, name) for name in (BUCKETS[21], "default")}
    wanted_retentions = retentions(old)
    old.stop()

    target = Places(stack.bootstrap, "", elsewhere, new.url, new.token)
    with pytest.raises(BackupError, match="flink: a job goes on from its group"):
        Restore(folder, target, ("flink", "lake")).plan()
    group = committed(stack.bootstrap)
    commit_group(stack.bootstrap, group + 1)
    with Restore(folder, target, ("offsets", "flink", "lake", "influx")) as work:
        plan = work.plan()
        work.run(said.append)
    assert any(line.startswith("afterwards: flink run") for line in plan)
    assert "group events: 1 partitions back to where they were" in plan
    assert committed(stack.bootstrap) == group == 1
    assert len(read_chunks(elsewhere)) == counts["lake"]["chunks"]["rows"]
    assert {name: points(new, name) for name in before} == before
    assert [len(some) for some in before.values()] == [400, 3]
    assert retentions(new) == wanted_retentions

    stack.lake = elsewhere
    savepoint = json.loads((folder / "flink" / "jobs.json").read_text())[0]
    place = (folder / savepoint["path"]).as_uri()
    submit(stack, {"execution.state-recovery.path": place})
    rows = read_all(elsewhere, len(expected(settings)))
    assert_every_minute_once(rows, settings)

    with pytest.raises(BackupError) as error, Restore(folder, target, ("lake", "influx")) as again:
        again.plan()
    assert len(str(error.value).splitlines()) == len(counts["lake"]) + 2
    assert_topics_come_back(folder, manifest, stack, tmp_path, said)
    waited = json.loads((folder / "lake" / "chunks" / "table.json").read_text())["waiting"]
    said.append(f"{len(waited)} manifests were committed by the restore")
    (LOGS.parent / "backup-times.txt").write_text("\n".join(said))


def assert_topics_come_back(
    folder: Path, manifest: Manifest, stack: Stack, tmp: Path, said: list[str]
) -> None:
    """On a Kafka that is empty: topics, configs, records of compacted topics."""
    with Broker(tmp / "kafka") as broker:
        target = Places(broker.bootstrap)
        with pytest.raises(BackupError, match="offsets: mean nothing in new topics"):
            Restore(folder, target, ("kafka", "offsets")).plan()
        with Restore(folder, target, ("kafka",)) as work:
            work.plan()
            work.run(said.append)
        old, new = (topics_of(connect(b)) for b in (stack.bootstrap, broker.bootstrap))
        assert new == old and len(new) == manifest.counts["kafka"]["topics"]
        records = [kept(b) for b in (stack.bootstrap, broker.bootstrap)]
        assert records[0] == records[1] and len(records[0]) == len(FACILITIES)
        with pytest.raises(BackupError) as error:
            Restore(folder, target, ("kafka",)).plan()
        assert len(str(error.value).splitlines()) == len(old)


def wait_for_chunks(stack: Stack, rows: int) -> None:
    deadline = time.monotonic() + 60
    while len(read_chunks(stack.lake)) < rows:
        assert time.monotonic() < deadline, "no chunks come"
        time.sleep(0.3)


def commit_group(bootstrap: str, offset: int = 1) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "events"})
    consumer.commit(offsets=[TopicPartition("catalogue", 0, offset)], asynchronous=False)
    consumer.close()


def committed(bootstrap: str) -> int:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "events"})
    (place,) = consumer.committed([TopicPartition("catalogue", 0)], timeout=30)
    consumer.close()
    return place.offset


def kept(bootstrap: str) -> list[tuple[str, str, bytes]]:
    with Tail(bootstrap, ["rules", "catalogue"], from_start=True) as tail:
        return sorted((m.topic, m.key, m.value) for m in tail.rest())


def assert_no_secret(folder: Path, server: InfluxDb) -> None:
    secret = server.token.get_secret_value().encode()
    assert not [p for p in folder.rglob("*") if p.is_file() and secret in p.read_bytes()]
