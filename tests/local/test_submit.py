"""What is said about a job that was refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.common.errors import JobError
from jobs.local import paths, submit
from jobs.local.process import Child, spawn

JAVA = """\
org.apache.flink.client.program.ProgramAbortException: java.lang.RuntimeException: Python process
\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:140)
Caused by: java.lang.RuntimeException: Python process exits with code: 1
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "rollup.py", line 5, in <module>
    raise ValueError("window_s: must be positive")
ValueError: window_s: must be positive
"""


def client(run: Path, text: str, status: int) -> Child:
    script = f"cat <<'END'\n{text}\nEND\nexit {status}"
    return spawn("submit", ["bash", "-c", script], run / "submit.out", run)


def test_the_job_id_is_read(tmp_path: Path) -> None:
    text = "Job has been submitted with JobID dc009557902125904ead9a2a98ca7164"
    assert submit.job_id("x", client(tmp_path, text, 0)) == "dc009557902125904ead9a2a98ca7164"


def test_a_refused_job_says_its_cause_and_where_the_trace_is(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        submit.job_id("rollup", client(tmp_path, TRACEBACK + JAVA, 1))
    lines = str(caught.value).splitlines()
    assert lines[0] == "rollup was not submitted: ValueError: window_s: must be positive"
    assert lines[-1] == f"  full trace: {tmp_path / 'submit.out'}"


def test_a_client_that_submits_nothing_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="was not submitted: nothing happened"):
        submit.job_id("rollup", client(tmp_path, "nothing happened", 0))


def test_a_job_that_refuses_its_settings_has_the_word(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        submit.job_id("rollup", client(tmp_path, "flag --windw-s: unknown key\n" + JAVA, 1))
    assert str(caught.value).splitlines() == [
        "rollup was not submitted: flag --windw-s: unknown key",
        f"  full trace: {tmp_path / 'submit.out'}",
    ]


def test_arguments_of_the_client() -> None:
    job = str(paths.ROOT / "jobs" / "local" / "training_job.py")
    arguments = submit.run_arguments(job, ["--x", "1"], {"parallelism.default": "2"})
    assert arguments == ["run", "-d", "-Dparallelism.default=2", "-py", job, "--x", "1"]


def test_a_job_that_is_not_there_is_named() -> None:
    with pytest.raises(JobError, match=r"jobs/roll_up\.py: no such job"):
        submit.job_file("roll_up")
