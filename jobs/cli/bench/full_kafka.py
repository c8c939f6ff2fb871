"""A job that works off a full Kafka: filling it, the middle part of the work, the state."""

from __future__ import annotations

import statistics
import time
from typing import Any, NamedTuple

from edge.simulator.faults import Fault
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
from jobs.local.stack import Stack

SENSORS = 5_000
START_MS = 1_790_000_040_000  # a whole minute in the past
WARM_UP, END = 0.3, 0.97  # shares of the input between which is measured
LIMIT_S = 600


class Point(NamedTuple):
    """A moment of the run. engine_cpu_s: TaskManagers and JobManager; broker_cpu_s: Kafka."""

    at_s: float
    batches: float
    engine_cpu_s: float
    broker_cpu_s: float


def fill(stack: Stack, facilities: int, batches: int, faults: tuple[Fault, ...] = ()) -> int:
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
        faults=faults,
    )
    return simulate(settings, lambda progress: None).readings


def wait(stack: Stack, job: str, batches: float, what: str) -> Point:
    """Wait until a job, by its name in Flink, has taken in so many batches."""
    log.print(f"{what}: up to {batches:,.0f} batches")
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        point = _point(stack, job)
        if point.batches >= batches:
            return point
        time.sleep(3)  # a scrape costs the TaskManager a tenth of a second of CPU
    raise HardiotError(f"only {point.batches:,.0f} batches in {LIMIT_S} s; see {stack.log_folder}")


def rates(start: Point, end: Point, readings_a_batch: float) -> dict[str, Any]:
    """What lies between two points."""
    readings = (end.batches - start.batches) * readings_a_batch
    engine_s = end.engine_cpu_s - start.engine_cpu_s
    return {
        "readings_per_cpu_s": readings / engine_s,
        "readings_per_s": readings / (end.at_s - start.at_s),
        "engine_cpu_s": engine_s,
        "broker_cpu_s": end.broker_cpu_s - start.broker_cpu_s,
        "measured_readings": round(readings),
        "measured_s": end.at_s - start.at_s,
    }


def state(stack: Stack, job_id: str, sensors: int) -> dict[str, Any]:
    """Sizes and times of the job's checkpoints."""
    time.sleep(6)  # the last one
    history = stack.rest.checkpoints(job_id)["history"]
    done = [item for item in history if item["end_to_end_duration"]]
    sizes = [item["state_size"] for item in done]
    return {
        "state_bytes_per_sensor": max(sizes, default=0) / sensors,
        "checkpoint_bytes": statistics.median(sizes) if sizes else None,
        "checkpoint_ms": statistics.median(item["end_to_end_duration"] for item in done)
        if done
        else None,
    }


def _point(stack: Stack, job: str) -> Point:
    children = stack.children
    workers = taskmanager_names(stack.taskmanagers)
    ports = [port for name, port in stack.prometheus.items() if name in workers]
    engine = sum(cpu_s(children[name]) for name in (*workers, JOBMANAGER))
    received = operator_sum(ports, "received", job)
    return Point(time.monotonic(), received, engine, cpu_s(children[KAFKA]))
