"""rollup_readings from a full Kafka: decode, coverage, validation, rollup, transactions."""

from __future__ import annotations

import statistics
import time
from typing import Any, NamedTuple

from edge.simulator.fleet import facility_name
from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.cli.bench.machine import cpu_s
from jobs.cli.bench.prometheus import operator_sum
from jobs.cli.output import log
from jobs.common.errors import HardiotError
from jobs.common.topics import ensure_topics
from jobs.local.flink import JOBMANAGER
from jobs.local.launch import KAFKA, taskmanager_names
from jobs.local.paths import RUNS
from jobs.local.stack import Stack
from jobs.rollup_readings import NAME

SENSORS = 5_000
START_MS = 1_790_000_040_000  # a whole minute in the past
WARM_UP, END = 0.3, 0.97  # shares of the input between which is measured
BATCHES_A_S = 4_000  # so many batches are laid up for a second of measuring
LIMIT_S = 600


class Point(NamedTuple):
    """A moment of the run. engine_cpu_s: TaskManagers and JobManager; broker_cpu_s: Kafka."""

    at_s: float
    batches: float
    engine_cpu_s: float
    broker_cpu_s: float


def measure(facilities: int, seconds: int, taskmanagers: int) -> dict[str, Any]:
    """Fill Kafka, start the job on it, measure its middle part."""
    batches = max(seconds * BATCHES_A_S // facilities, 120)
    with Stack(RUNS / "bench", taskmanagers, report=log.print) as stack:
        sent = _fill(stack, facilities, batches)
        total = facilities * batches
        args = ["--bootstrap", stack.bootstrap, "--parallelism", str(taskmanagers)]
        job_id = stack.submit("rollup_readings", args)
        start = _wait(stack, total * WARM_UP, "warming up")
        end = _wait(stack, total * END, "measuring")
        time.sleep(6)  # the last checkpoint
        checkpoints = [
            c for c in stack.rest.checkpoints(job_id)["history"] if c["end_to_end_duration"]
        ]
    readings = (end.batches - start.batches) * sent / total
    wall_s, engine_s = end.at_s - start.at_s, end.engine_cpu_s - start.engine_cpu_s
    sizes = [c["state_size"] for c in checkpoints]
    return {
        "readings_per_cpu_s": readings / engine_s,
        "readings_per_s": readings / wall_s,
        "load": f"{facilities} gateways of {SENSORS} sensors, {batches} batches of 1 s each, "
        f"{taskmanagers} TaskManagers of one slot, exactly-once, checkpoints every 5 s, lz4; "
        f"{readings:,.0f} readings measured in {wall_s:.1f} s",
        "engine_cpu_s": engine_s,
        "broker_cpu_s": end.broker_cpu_s - start.broker_cpu_s,
        "state_bytes_per_sensor": max(sizes, default=0) / (facilities * SENSORS),
        "checkpoint_bytes": statistics.median(sizes) if sizes else None,
        "checkpoint_ms": statistics.median(c["end_to_end_duration"] for c in checkpoints)
        if checkpoints
        else None,
    }


def _fill(stack: Stack, facilities: int, batches: int) -> int:
    """Lay up the whole input in Kafka. Returns: readings sent."""
    ensure_topics(stack.bootstrap, map(facility_name, range(facilities)))
    log.print(f"laying up {facilities * batches * SENSORS:,} readings in Kafka")
    settings = SimulatorSettings(
        bootstrap=stack.bootstrap,
        facilities=facilities,
        sensors=SENSORS,
        batches=batches,
        start_ms=START_MS,
        speed=100_000,
    )
    return simulate(settings, lambda progress: None).readings


def _wait(stack: Stack, batches: float, what: str) -> Point:
    """Wait until the job has taken in so many batches."""
    log.print(f"{what}: up to {batches:,.0f} batches")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        point = _point(stack)
        if point.batches >= batches:
            return point
        time.sleep(3)  # a scrape costs the TaskManager a tenth of a second of CPU
    raise HardiotError(f"only {point.batches:,.0f} batches in {LIMIT_S} s; see {stack.log_folder}")


def _point(stack: Stack) -> Point:
    children = stack.children
    workers = taskmanager_names(stack.taskmanagers)
    ports = [port for name, port in stack.prometheus.items() if name in workers]
    engine = sum(cpu_s(children[name]) for name in (*workers, JOBMANAGER))
    received = operator_sum(ports, "received", NAME)
    return Point(time.monotonic(), received, engine, cpu_s(children[KAFKA]))
