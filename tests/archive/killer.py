"""kill -9 at the moments that hurt: between data file and commit, and in the middle of a commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from jobs.local.flink import JOBMANAGER
from jobs.local.stack import Stack

_POLL_S = 0.001
log = structlog.get_logger()


class Killer:
    """Kills processes of the archive's job as soon as the lake's folder shows the moment."""

    def __init__(self, stack: Stack, table: Path, job_id: str) -> None:
        self.stack, self.table, self.job_id = stack, table, job_id
        self.deaths: list[str] = []

    def kill(self, moment: str) -> None:
        """One kill and what a supervisor does after it.

        data: the TaskManager, when a data file was written that no snapshot has. commit: the
        TaskManager, when a snapshot's list of manifests was written. jobmanager: it, at a data
        file; without high availability the job is submitted again from its newest checkpoint.
        """
        pattern = "metadata/snap-*.avro" if moment == "commit" else "data/**/*.parquet"
        victim = JOBMANAGER if moment == "jobmanager" else self._worker()
        log.info("kill", number=len(self.deaths) + 1, moment=moment, victim=victim)
        self._wait_for_a_new(pattern)
        self.stack.kill(victim)
        self.stack.start()
        if moment == "jobmanager":
            self._submit_again()
        self.deaths.append(moment)
        self._until(self._runs, 60)

    def _worker(self) -> str:
        (ident,) = self.stack.rest.taskmanagers_of(self.job_id)
        return {child.log.stem: name for name, child in self.stack.children.items()}[ident]

    def _wait_for_a_new(self, pattern: str) -> None:
        known = set(self.table.glob(pattern))
        self._until(lambda: set(self.table.glob(pattern)) - known, 60)

    def _submit_again(self) -> None:
        done = (self.stack.folder / "checkpoints" / self.job_id).glob("chk-*/_metadata")
        newest = max(done, key=lambda path: path.stat().st_mtime).parent
        options = {"execution.state-recovery.path": newest.as_uri()}
        self.job_id = submit(self.stack, options)

    def _runs(self) -> bool:
        vertices = self.stack.rest.job(self.job_id)["vertices"]
        return bool(vertices) and all(vertex["status"] == "RUNNING" for vertex in vertices)

    def _until(self, true: Callable[[], object], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while not true():
            assert time.monotonic() < deadline, f"the moment did not come, after {self.deaths}"
            time.sleep(_POLL_S)


def submit(stack: Stack, options: dict[str, str] | None = None) -> str:
    """Submit archive_readings with a commit every two seconds. Returns: the job's id."""
    args = ["--bootstrap", stack.bootstrap, "--commit-every-s", "2"]
    return stack.submit("archive_readings", args, options)
