"""What tests share: one real Kafka and Flink for the whole session."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.local.stack import Stack

LOGS = Path(__file__).parents[1] / "build" / "test-logs"


@pytest.fixture(scope="session")
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """Kafka, a JobManager and three TaskManagers, shared by all tests marked `stack`.

    A test names its topics and facilities so that no other test's are meant, cancels its jobs, and
    calls `stack.start()` after it killed something. Its link to Kafka (`stack.link_ports`) is
    closed when it ends: there is one way for gateways. Logs of a failed session: build/test-logs.
    """
    shared = Stack(tmp_path_factory.mktemp("stack") / "run", taskmanagers=3, edge=True)
    shutil.rmtree(LOGS, ignore_errors=True)
    started = False
    try:
        with shared:
            started = True
            yield shared
    finally:
        if request.session.testsfailed or not started:
            shutil.copytree(shared.log_folder, LOGS)
