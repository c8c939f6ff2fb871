"""archive_readings from a full Kafka, then compaction: what a reading costs until it is kept."""

from __future__ import annotations

import time
from typing import Any

from jobs.archive_readings import NAME
from jobs.cli.bench.full_kafka import END, SENSORS, WARM_UP, fill, rates, state, wait
from jobs.cli.output import log
from jobs.lake.catalog import open_catalog
from jobs.lake.tables import ensure
from jobs.local.paths import RUNS
from jobs.local.stack import Stack

BATCHES_A_S = 3_000  # so many batches are laid up for a second of measuring
COMMIT_EVERY_S = 10  # of a run of a minute; 60 in production


def measure(facilities: int, seconds: int, taskmanagers: int) -> dict[str, Any]:
    """Fill Kafka, start the job on it, measure its middle part; then compact what it wrote."""
    batches = max(seconds * BATCHES_A_S // facilities, 180)
    with Stack(RUNS / "bench", taskmanagers, report=log.print) as stack:
        sent = fill(stack, facilities, batches)
        total = facilities * batches
        ensure(open_catalog(stack.lake), stack.lake)
        args = ["--bootstrap", stack.bootstrap, "--parallelism", str(taskmanagers)]
        args += ["--commit-every-s", str(COMMIT_EVERY_S)]
        job_id = stack.submit("archive_readings", args)
        start = wait(stack, NAME, total * WARM_UP, "warming up")
        end = wait(stack, NAME, total * END, "measuring")
        found = rates(start, end, sent / total) | state(stack, job_id, facilities * SENSORS)
        time.sleep(2 * COMMIT_EVERY_S)  # the last commit
    load = (
        f"{facilities} gateways of {SENSORS} sensors, {batches} batches of 1 s each, "
        f"{taskmanagers} TaskManagers of one slot, exactly-once, a commit every {COMMIT_EVERY_S} s"
    )
    return found | {"load": load}
