"""`flink run`, with its sixty lines of trace cut down to the few that help."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.common.errors import JobError, explain
from jobs.local import paths
from jobs.local.process import Child, finish

_JOB_ID = re.compile(r"JobID ([0-9a-f]{32})")
_LIMIT_S = 120.0


def job_file(job: str) -> Path:
    """The program of a job: jobs/<job>.py, or the path itself when it ends in .py.

    Raises: JobError: there is no such file.
    """
    file = Path(job).resolve() if job.endswith(".py") else paths.ROOT / "jobs" / f"{job}.py"
    if not file.is_file():
        raise JobError(f"{file}: no such job")
    return file


def run_arguments(job: str, args: list[str], options: dict[str, str]) -> list[str]:
    """Arguments of the Flink client that submits a job and comes back."""
    dynamic = [f"-D{key}={value}" for key, value in options.items()]
    return ["run", "-d", *dynamic, "-py", str(job_file(job)), *args]


def job_id(job: str, client: Child) -> str:
    """Wait for a client. Returns: the id of the job that it submitted.

    Raises: JobError: the job was refused; the text holds the cause and names the full trace.
    """
    status = finish(client, _LIMIT_S)
    text = client.log.read_text(errors="replace")
    match = _JOB_ID.search(text)
    if status != 0 or match is None:
        raise JobError(f"{job} was not submitted: {explain(text)}\n  full trace: {client.log}")
    return match[1]
