"""Kafka to table chunks through kill -9: every reading of every closed minute exactly once."""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from threading import Thread

import pytest

from edge.simulator.build import expected_batches
from edge.simulator.fleet import facility_name
from edge.simulator.links import LinkFaults, Lost, Outage
from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.common.topics import ensure_topics
from jobs.lake.catalog import open_catalog
from jobs.lake.tables import CHUNKS, ensure
from jobs.local.stack import Stack
from tests.archive.killer import Killer, submit
from tests.conftest import LOGS
from udfs.archive import chunk
from udfs.archive.chunk import Chunk
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total
from udfs.minute import split

pytestmark = pytest.mark.stack

MINUTE_MS = 60_000
FACILITIES = [facility_name(number) for number in range(3)]
LOST = range(95, 102)  # of the third
LONG = os.environ.get("HARDIOT_FAULTS") == "long"
KILLS = list(islice(cycle(["data", "commit", "jobmanager", "commit", "data"]), 20 if LONG else 3))
SPEED, A_KILL_S = 10, 15  # so many seconds of readings are sent for each kill


def scenario(bootstrap: str) -> SimulatorSettings:
    batches = 120 + len(KILLS) * A_KILL_S * SPEED
    start_ms = (time.time_ns() // 10**6 - (batches + 120) * 1000) // MINUTE_MS * MINUTE_MS + 17_000
    return SimulatorSettings(
        bootstrap=bootstrap,
        facilities=len(FACILITIES),
        sensors=300,
        batches=batches,
        start_ms=start_ms,
        speed=SPEED,
        ledger_s=3,
        seed=11,
        links=LinkFaults(
            duplicates=0.05,
            outages=(Outage(facility=FACILITIES[1], at_s=80, for_s=110, replay=3),),
            lost=(Lost(facility=FACILITIES[2], first=LOST[0], last=LOST[-1]),),
        ),
    )


@dataclass
class Run:
    """What was sent, and what lies in the table."""

    settings: SimulatorSettings
    deaths: list[str]
    chunks: list[Chunk]
    rows: list[dict[str, object]]


def read(stack: Stack) -> list[dict[str, object]]:
    catalog = open_catalog(stack.lake)
    table = catalog.load_table(f"{stack.lake.namespace}.{CHUNKS.name}")
    rows: list[dict[str, object]] = table.scan().to_arrow().to_pylist()
    return rows


def expected(settings: SimulatorSettings) -> dict[tuple[str, int], list[Batch]]:
    """The batches of each gateway minute that is over, less what was lost."""
    minutes: dict[tuple[str, int], list[Batch]] = defaultdict(list)
    for name in FACILITIES:
        sent = list(expected_batches(settings, name, "gw-1"))
        over_ms = sent[-1].time_ms // MINUTE_MS * MINUTE_MS
        for batch in sent:
            for minute_ms, part in split(batch):
                if minute_ms < over_ms:
                    minutes[name, minute_ms].append(part)
    return minutes


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Run]:
    with Stack(tmp_path_factory.mktemp("archive") / "run", taskmanagers=2) as stack:
        try:
            yield _run(stack)
        finally:
            if request.session.testsfailed:
                shutil.copytree(stack.log_folder, LOGS / "archive", dirs_exist_ok=True)


def _run(stack: Stack) -> Run:
    ensure_topics(stack.bootstrap, FACILITIES)
    ensure(open_catalog(stack.lake), stack.lake)
    table = stack.folder / "lake" / stack.lake.namespace / CHUNKS.name
    settings = scenario(stack.bootstrap)
    killer = Killer(stack, table, submit(stack))
    sending = Thread(target=simulate, args=(settings, lambda progress: None))
    sending.start()
    for moment in KILLS:
        killer.kill(moment)
    sending.join()
    wanted = len(expected(settings))
    deadline = time.monotonic() + 60
    while len(rows := read(stack)) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(5)  # whatever comes twice has come
    rows = read(stack)
    return Run(settings, killer.deaths, [chunk.decode(row["chunk"]) for row in rows], rows)


def test_every_kill_was_made(run: Run) -> None:
    assert run.deaths == KILLS


def test_every_gateway_minute_is_there_exactly_once(run: Run) -> None:
    found = sorted((c.facility, c.minute_ms) for c in run.chunks)
    assert found == sorted(expected(run.settings))
    assert {c.revision for c in run.chunks} == {1}


def test_every_reading_is_there_to_the_bit(run: Run) -> None:
    minutes = expected(run.settings)
    for item in run.chunks:
        parts = minutes[item.facility, item.minute_ms]
        assert len(item) == sum(map(len, parts))
        assert item.fingerprint() == total(*map(fingerprint, parts))
        assert item.batches.sequence.tolist() == [part.sequence for part in parts]


def test_a_declared_loss_is_named_in_its_minute(run: Run) -> None:
    assert run.settings.start_ms is not None
    hit = (run.settings.start_ms + LOST[0] * 1000) // MINUTE_MS * MINUTE_MS
    missing = {(c.facility, c.minute_ms): c.missing for c in run.chunks if not c.complete}
    assert missing == {(FACILITIES[2], hit): len(LOST)}


def test_the_columns_say_what_the_chunk_says(run: Run) -> None:
    for row, item in zip(run.rows, run.chunks, strict=True):
        assert row["facility"] == item.facility and row["gateway"] == item.gateway
        assert int(row["minute"].timestamp() * 1000) == item.minute_ms  # type: ignore[attr-defined]
        assert row["readings"] == len(item) and row["batches"] == len(item.batches)
        assert row["complete"] is item.complete and row["missing"] == item.missing
