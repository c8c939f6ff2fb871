"""compact_readings and hardiot restate as processes, with a real Kafka."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka.errors import KafkaConnectionError
from pyiceberg.catalog import Catalog
from typer.testing import CliRunner

from jobs import compact_readings
from jobs.cli.main import app
from jobs.common.settings import load
from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from jobs.compact_readings import JOB, CompactSettings, main
from jobs.lake.compaction.compactor import Limits
from jobs.lake.settings import LakeSettings
from jobs.local.stack import Stack
from tests.lake.compaction_plant import Site, batches, catalogue, chunk, hour, readings
from udfs.catalogue import encode
from udfs.rollup import MinuteRollup, decode

FACILITY = "plant-compact"


def test_settings() -> None:
    argv = ["--settle-s", "60", "--hours-a-commit", "8", "--facilities", "plant-0.*"]
    assert load(CompactSettings, JOB, argv, {}, Path("/none")).limits() == Limits(
        60, 8, 20_000_000, "plant-0.*"
    )


def test_wrong_settings_and_no_kafka_end_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compact_readings, "TopicCatalogues", no_kafka)
    assert main(["--every-s", "0"]) == 2
    assert "--every-s" in capsys.readouterr().err
    assert main(["--once", "--bootstrap", "127.0.0.1:1"]) == 2
    assert "127.0.0.1:1: Kafka does not answer" in capsys.readouterr().err


def no_kafka(*_: object) -> None:
    raise KafkaConnectionError


@pytest.fixture
def site(
    catalog: Catalog, lake_settings: LakeSettings, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A lake and a Kafka that programs find, with the catalogue of gw-1."""
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake_settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake_settings.warehouse)
    monkeypatch.setenv("HARDIOT__BOOTSTRAP", stack.bootstrap)
    ensure_topics(stack.bootstrap, [])
    producer = Producer({"bootstrap.servers": stack.bootstrap})
    known = catalogue("gw-1", facility=FACILITY)
    producer.produce("catalogue", encode(known), known.key)
    assert producer.flush(30) == 0
    return Site(catalog, lake_settings)


def published(stack: Stack) -> list[MinuteRollup]:
    """What topic rollups has of the facility."""
    with Tail(stack.bootstrap, ["rollups"], from_start=True) as tail:
        found = [decode(m.value) for m in tail.rest() if m.key == f"{FACILITY}/gw-1"]
    return sorted(found, key=lambda rollup: (rollup.minute_ms, rollup.revision))


def until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    end_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.2)


@pytest.mark.stack
def test_processes(site: Site, stack: Stack, tmp_path: Path) -> None:
    first = chunk(5, ticks=(0, 1, 2, 3, 5), complete=False, facility=FACILITY)
    site.archive(*hour(0, facility=FACILITY)[:5], first)
    assert program("--once").wait(60) == 0
    assert site.chunk_files() == [] and published(stack) == []
    # what comes later is found by one that runs, and told
    running = program("--every-s", "1")
    site.archive(chunk(5, ticks=(4,), revision=2, facility=FACILITY))
    until(lambda: site.chunk_files() == [])
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 0
    assert site.readings() == readings(batches(range(6), facility=FACILITY))
    assert [(r.revision, r.count.tolist()[0]) for r in published(stack)] == [(2, 6)]
    # and so is a correction by hand
    path = tmp_path / "corrections.csv"
    path.write_text(
        "facility,gateway,sensor,time,value\n"
        f"{FACILITY},gw-1,gw-1.p1.flow,2026-01-01T00:05:00Z,77.5\n"
    )
    words = ["restate", "correct", str(path), "--why", "covered", "--apply"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr or done.exception
    last = published(stack)[-1]
    assert (last.revision, last.first[0], last.catalogue) == (3, 77.5, 1)
    assert site.rollups()["gw-1", 5].revision == 3
    assert {row["author"] for row in site.audit()} == {"compact_readings", user()}


def program(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "jobs.compact_readings", *words], env=os.environ)


def user() -> str:
    return getpass.getuser()
