"""Children are started in groups, known by id and start time, and stopped whole."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.common.errors import ClusterError
from jobs.local.process import Child, finish, kill_strays, spawn, stop, tail, wait_ready


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    kill_strays(tmp_path)


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that is not ours."""
    popen = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield psutil.Process(popen.pid)
    popen.kill()
    popen.wait()


def shell(run: Path, script: str, name: str = "child") -> Child:
    return spawn(name, ["bash", "-c", script], run / f"{name}.out", run)


def runs(process: psutil.Process) -> bool:
    """A zombie does not run: who adopted it has yet to wait for it."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def printed(child: Child, text: str) -> None:
    wait_ready(text, lambda: text in child.log.read_text(), [child], limit_s=5)


def test_a_child_prints_to_its_log_and_gives_its_exit_status(run: Path) -> None:
    child = shell(run, "echo one; echo two >&2; exit 3")
    assert finish(child, limit_s=5) == 3
    assert child.log.read_text() == "one\ntwo\n"


def test_a_program_that_is_not_there_is_named(run: Path) -> None:
    with pytest.raises(ClusterError, match="broker: /no/such/java is not there: run `hardiot doc"):
        spawn("broker", ["/no/such/java"], run / "log", run)


def test_stop_ends_the_whole_group(run: Path) -> None:
    child = shell(run, "sleep 60 & echo worker $!; wait")
    printed(child, "worker")
    worker = psutil.Process(int(child.log.read_text().split()[1]))
    stop([child], limit_s=5)
    assert not child.alive
    assert not runs(worker)


def test_stop_kills_what_does_not_listen(run: Path) -> None:
    child = shell(run, "trap '' TERM; echo deaf; while true; do sleep 1; done")
    printed(child, "deaf")
    began = time.monotonic()
    stop([child], limit_s=0.5)
    assert not child.alive
    assert time.monotonic() - began < 5


def test_workers_of_a_leader_that_ended_by_itself_are_strays(run: Path) -> None:
    child = shell(run, "sleep 60 & echo worker $!; exit 0")
    finish(child, limit_s=5)
    worker = psutil.Process(int(child.log.read_text().split()[1]))
    stop([child], limit_s=1)
    assert runs(worker), "its leader is gone, so the group is not certainly ours"
    assert kill_strays(run) == [worker.pid]


def test_strays_of_another_run_stay(run: Path, tmp_path: Path) -> None:
    other = shell(tmp_path / "other", "sleep 60")
    assert kill_strays(run) == []
    assert other.alive
    assert kill_strays(tmp_path / "other") == [other.pid]


def test_an_id_that_is_another_process_now_is_left_alone(stranger: psutil.Process) -> None:
    stale = Child("broker", stranger.pid, stranger.create_time() - 100, Path("log"))
    assert not stale.alive
    stop([stale], limit_s=0.2)
    assert runs(stranger)


def test_the_same_id_and_start_time_is_stopped(stranger: psutil.Process) -> None:
    ours = Child("broker", stranger.pid, stranger.create_time(), Path("log"))
    stop([ours], limit_s=2)
    assert not ours.alive


def test_a_killed_child_is_not_alive_although_nobody_waited_for_it(run: Path) -> None:
    child = shell(run, "sleep 60")
    psutil.Process(child.pid).kill()
    wait_ready("its end", lambda: not child.alive, [], limit_s=5)
    assert not psutil.pid_exists(child.pid)


def test_waiting_for_a_child_that_ended_shows_its_last_lines(run: Path) -> None:
    child = shell(run, "echo port is taken; exit 1")
    with pytest.raises(ClusterError, match=r"(?s)child ended while it started:.*port is taken"):
        wait_ready("Kafka", lambda: False, [child], limit_s=5)


def test_waiting_has_an_end(run: Path) -> None:
    child = shell(run, "sleep 60")
    with pytest.raises(ClusterError, match=r"Kafka is not ready after 0 s; see .*child\.out"):
        wait_ready("Kafka", lambda: False, [child], limit_s=0.3)


def test_a_tool_that_hangs_is_stopped(run: Path) -> None:
    child = shell(run, "sleep 60")
    with pytest.raises(ClusterError, match="child: not done after 0 s"):
        finish(child, limit_s=0.2)
    assert not child.alive


def test_tail_of_a_long_log(run: Path) -> None:
    child = shell(run, "seq 100")
    finish(child, limit_s=5)
    assert tail(child, lines=2) == "  99\n  100"
