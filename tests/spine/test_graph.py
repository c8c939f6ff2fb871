"""Every operator has a name that people say and a uid under which its state is kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.stack

JOBS = {
    "rollup_readings": ["read-records", "roll-up", "write-records"],
    "detect_anomalies": ["read-records", "detect", "write-records"],
}


@pytest.mark.parametrize("job", JOBS)
def test_names_and_uids(job: str) -> None:
    command = [sys.executable, "-m", "jobs.cli.main", "plan", job, "--output", "json"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    operators = json.loads(printed.stdout)
    # the sink's committer gets its uid from the sink's
    own = [item["uid"] for item in operators if not item["uid"].startswith("Sink Committer: ")]
    assert own == JOBS[job]
    for item in operators:
        assert re.match(r"^(Source: )?[A-Z][a-z]+ [a-z]+", item["name"]), item
        assert item["parallelism"] == 1
