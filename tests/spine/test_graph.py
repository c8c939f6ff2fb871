"""Every operator has a name that people say and a uid under which its state is kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.common.settings import load
from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ensure

pytestmark = pytest.mark.stack

JOBS = {
    "rollup_readings": ["read-records", "roll-up", "write-records"],
    "detect_anomalies": ["read-records", "detect", "write-records"],
    "archive_readings": ["read-records", "collect", "rows", "Write chunks"],
}


@pytest.mark.parametrize("job", JOBS)
def test_names_and_uids(job: str, tmp_path: Path) -> None:
    place = {
        "HARDIOT__LAKE__CATALOG_URI": f"sqlite:{tmp_path / 'catalog.db'}",
        "HARDIOT__LAKE__WAREHOUSE": str(tmp_path),
    }
    settings = load(LakeSettings, "lake", environ=place)
    ensure(open_catalog(settings), settings)
    command = [sys.executable, "-m", "jobs.cli.main", "plan", job, "--output", "json"]
    printed = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, **place},
    )
    operators = json.loads(printed.stdout)
    # what a sink adds (committer, aggregator) gets its uid and its name from the sink's
    own = [item for item in operators if "Sink " not in item["uid"]]
    assert [item["uid"] for item in own] == JOBS[job]
    for item in own:
        assert re.match(r"^(Source: )?[A-Z][a-z]+ [a-z]+", item["name"]), item
        assert item["parallelism"] == 1
