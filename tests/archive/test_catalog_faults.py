"""A REST catalog that refuses, breaks down and loses its answers: no duplicate, no stuck job."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.common.topics import ensure_topics
from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ensure
from jobs.local.stack import Stack
from tests.archive.closed_form import (
    FACILITIES,
    Row,
    assert_every_minute_once,
    expected,
    read_all,
    scenario,
)
from tests.archive.killer import submit
from tests.conftest import LOGS
from tests.support.http_faults import HttpFaults
from tests.support.rest_catalog import RestCatalogServer

pytestmark = pytest.mark.stack

FOR_S, A_FAULT_S = 36, 6
COMMIT = {"method": "POST", "path": "/tables/chunks"}


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[HttpFaults]:
    with RestCatalogServer(tmp_path / "lake") as server, HttpFaults(server.url) as proxy:
        yield proxy


@pytest.fixture
def stack(tmp_path: Path, faults: HttpFaults, request: pytest.FixtureRequest) -> Iterator[Stack]:
    lake = LakeSettings(catalog="rest", catalog_uri=faults.url, warehouse="lake")
    with Stack(tmp_path / "run", taskmanagers=1, lake=lake) as own:
        try:
            yield own
        finally:
            if request.session.testsfailed:
                shutil.copytree(own.log_folder, LOGS / "catalog", dirs_exist_ok=True)


def test_every_minute_once_whatever_the_catalog_answers(stack: Stack, faults: HttpFaults) -> None:
    ensure_topics(stack.bootstrap, FACILITIES)
    settings = scenario(stack.bootstrap, FOR_S)
    ensure(open_catalog(stack.lake), stack.lake)
    submit(stack)
    rows = _run(stack.lake, settings, faults)
    answers = [seen.status for seen in faults.seen if "/tables/chunks" in seen.path]
    assert {200, 409, 503, None} <= set(answers)
    assert_every_minute_once(rows, settings)


def _run(lake: LakeSettings, settings: SimulatorSettings, faults: HttpFaults) -> list[Row]:
    sending = Thread(target=simulate, args=(settings, lambda progress: None))
    sending.start()
    time.sleep(A_FAULT_S)
    for break_it in (
        lambda: faults.answer(409, times=2, **COMMIT),
        lambda: faults.answer(503, times=2, **COMMIT),
        lambda: faults.answer(503, times=1, executed=True, **COMMIT),
        lambda: faults.drop(times=1, executed=True, **COMMIT),
        lambda: faults.drop(times=1, executed=False, **COMMIT),
    ):
        break_it()
        time.sleep(A_FAULT_S)
    sending.join()
    return read_all(lake, len(expected(settings)))
