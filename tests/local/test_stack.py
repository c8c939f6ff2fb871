"""The real stack: it starts, heals, survives crashes of its starter, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from jobs.common.errors import ClusterError, JobError
from jobs.local.process import TAG
from jobs.local.stack import Stack

pytestmark = pytest.mark.stack

START = """
import sys
from pathlib import Path
from jobs.local.stack import Stack
Stack(Path(sys.argv[1]), taskmanagers=1).start()
"""
TRAINING_JOB = str(Path(__file__).parents[2] / "jobs" / "local" / "training_job.py")


def processes_of(run: Path) -> list[str]:
    """Command lines of everything that carries the run's tag."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(TAG) == str(run.resolve()):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_start_serve_heal_stop(tmp_path: Path) -> None:
    run = tmp_path / "run"
    steps: list[str] = []
    with Stack(run, taskmanagers=1, report=steps.append) as stack:
        admin = KafkaAdminClient(bootstrap_servers=stack.bootstrap)
        admin.create_topics([NewTopic("readings.berlin", num_partitions=2, replication_factor=1)])
        assert "readings.berlin" in admin.list_topics()
        admin.close()
        assert stack.rest.overview()["slots-available"] == 1
        for port in stack.prometheus.values():
            assert "flink_" in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert len(processes_of(run)) == 3

        before = {name: child.pid for name, child in stack.children.items()}
        Stack(run, taskmanagers=1).start()
        assert {name: child.pid for name, child in Stack(run).children.items()} == before

        stack.kill("taskmanager-1")
        assert not stack.running
        stack.start()
        assert stack.running
        ids = {taskmanager["id"] for taskmanager in stack.rest.taskmanagers()}
        assert "taskmanager-1.2" in ids
    assert processes_of(run) == []
    assert steps[0] == "starting kafka, jobmanager, taskmanager-1"
    with pytest.raises(ClusterError, match="taskmanager-1 does not run"):
        stack.kill("taskmanager-1")


def test_a_start_after_everything_was_killed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    subprocess.run([sys.executable, "-c", START, str(run)], check=True)
    crashed = Stack(run, taskmanagers=1)
    assert crashed.running
    for name in crashed.children:
        crashed.kill(name)
    (run / "state.json").write_text('{"version": 1, "por')  # as a crash of the disk leaves it
    again = Stack(run, taskmanagers=1)
    try:
        again.start()
        assert again.rest.overview()["taskmanagers"] == 1
    finally:
        again.stop()
    assert processes_of(run) == []


@pytest.mark.parametrize("program", ["BashJavaUtils", "TaskManagerRunner", "kafka.Kafka "])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_is_interrupted_leaves_no_process(
    tmp_path: Path, program: str, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", START, str(run)]
    starter = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(program in line for line in processes_of(run)):
        assert time.monotonic() < deadline
    starter.send_signal(number)
    assert starter.wait(timeout=30) != 0
    assert processes_of(run) == []


def test_jobs_are_submitted_and_refused(stack: Stack, tmp_path: Path) -> None:
    job_id = stack.submit(TRAINING_JOB)
    assert stack.rest.wait_ended(job_id, limit_s=60) == "FINISHED"
    assert stack.rest.job(job_id)["name"] == "training_job"

    bad = tmp_path / "bad_job.py"
    bad.write_text("raise ValueError('window_s: must be positive')\n")
    with pytest.raises(JobError, match=r"(?s)ValueError: window_s: must be positive.*full trace: "):
        stack.submit(str(bad))


def test_uploads_are_off(stack: Stack) -> None:
    assert httpx.get(f"{stack.rest_url}/jars", timeout=10).status_code == 404
