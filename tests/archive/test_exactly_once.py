"""Kafka to table chunks through kill -9: every reading of every closed minute exactly once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from threading import Thread

import pytest

from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.common.topics import ensure_topics
from jobs.lake.catalog import open_catalog
from jobs.lake.tables import CHUNKS, ensure
from jobs.local.stack import Stack
from tests.archive.closed_form import (
    FACILITIES,
    LOST,
    MINUTE_MS,
    Row,
    assert_every_minute_once,
    expected,
    read_all,
    scenario,
)
from tests.archive.killer import Killer, submit
from tests.conftest import LOGS
from udfs.archive import chunk

pytestmark = pytest.mark.stack

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
KILLS = list(islice(cycle(["data", "commit", "jobmanager", "commit", "data"]), 20 if LONG else 3))
A_KILL_S = 35 if LONG else 15  # so long readings are sent for each kill


@dataclass
class Run:
    """What was sent, who died, and what lies in the table."""

    settings: SimulatorSettings
    deaths: list[str]
    rows: list[Row]


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
    settings = scenario(stack.bootstrap, len(KILLS) * A_KILL_S)
    killer = Killer(stack, table, submit(stack))
    sending = Thread(target=simulate, args=(settings, lambda progress: None))
    sending.start()
    for moment in KILLS:
        killer.kill(moment)
    sending.join()
    return Run(settings, killer.deaths, read_all(stack.lake, len(expected(settings))))


def test_every_kill_was_made(run: Run) -> None:
    assert run.deaths == KILLS


def test_every_reading_of_every_minute_is_there_exactly_once(run: Run) -> None:
    assert_every_minute_once(run.rows, run.settings)


def test_a_declared_loss_is_named_in_its_minute(run: Run) -> None:
    assert run.settings.start_ms is not None
    hit = (run.settings.start_ms + LOST[0] * 1000) // MINUTE_MS * MINUTE_MS
    chunks = [chunk.decode(row["chunk"]) for row in run.rows]
    missing = {(c.facility, c.minute_ms): c.missing for c in chunks if not c.complete}
    assert missing == {(FACILITIES[2], hit): len(LOST)}


def test_the_columns_say_what_the_chunk_says(run: Run) -> None:
    for row in run.rows:
        item = chunk.decode(row["chunk"])
        assert row["facility"] == item.facility and row["gateway"] == item.gateway
        assert int(row["minute"].timestamp() * 1000) == item.minute_ms
        assert row["readings"] == len(item) and row["batches"] == len(item.batches)
        assert row["complete"] is item.complete and row["missing"] == item.missing
