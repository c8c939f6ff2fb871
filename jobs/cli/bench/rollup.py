"""rollup_readings from a full Kafka: decode, coverage, validation, rollup, transactions."""

from __future__ import annotations

from typing import Any

from jobs.cli.bench.full_kafka import END, SENSORS, WARM_UP, fill, rates, state, wait
from jobs.cli.output import log
from jobs.local.paths import RUNS
from jobs.local.stack import Stack
from jobs.rollup_readings import NAME

BATCHES_A_S = 4_000  # so many batches are laid up for a second of measuring


def measure(facilities: int, seconds: int, taskmanagers: int) -> dict[str, Any]:
    """Fill Kafka, start the job on it, measure its middle part."""
    batches = max(seconds * BATCHES_A_S // facilities, 120)
    with Stack(RUNS / "bench", taskmanagers, report=log.print) as stack:
        sent = fill(stack, facilities, batches)
        total = facilities * batches
        args = ["--bootstrap", stack.bootstrap, "--parallelism", str(taskmanagers)]
        job_id = stack.submit("rollup_readings", args)
        start = wait(stack, NAME, total * WARM_UP, "warming up")
        end = wait(stack, NAME, total * END, "measuring")
        found = rates(start, end, sent / total) | state(stack, job_id, facilities * SENSORS)
    load = (
        f"{facilities} gateways of {SENSORS} sensors, {batches} batches of 1 s each, "
        f"{taskmanagers} TaskManagers of one slot, exactly-once, checkpoints every 5 s, lz4"
    )
    return found | {"load": load}
