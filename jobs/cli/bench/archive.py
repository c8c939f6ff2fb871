"""archive_readings from a full Kafka, then compaction: what a reading costs until it is kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jobs.archive_readings import NAME
from jobs.cli.bench.full_kafka import END, SENSORS, WARM_UP, fill, rates, state, wait
from jobs.cli.output import log
from jobs.common.catalogues import TopicCatalogues
from jobs.common.errors import HardiotError
from jobs.lake.catalog import open_catalog
from jobs.lake.compaction.compactor import Compactor, Limits
from jobs.lake.tables import CHUNKS, READINGS, ROLLUPS, ensure, load_table
from jobs.local.paths import RUNS
from jobs.local.stack import Stack

BATCHES_A_S = 2_000  # so many batches are laid up for a second of measuring
COMMIT_EVERY_S = 10  # of a run of a minute; 60 in production
LIMIT_S = 120


def measure(facilities: int, seconds: int, taskmanagers: int) -> dict[str, Any]:
    """Fill Kafka, start the job on it, measure its middle part; then compact what it wrote.

    The rate is of both steps together: CPU-seconds a reading add up.
    """
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
        archived = rates(start, end, sent / total)
        # the last minute of each gateway stays open
        archived |= state(stack, job_id, facilities * SENSORS)
        _wait_for_commit(stack, facilities * (batches // 60 - 1) * 60 * SENSORS)
        found = _compact(stack)
    both_s = 1 / archived["readings_per_cpu_s"] + 1 / found["compaction_readings_per_cpu_s"]
    load = (
        f"{facilities} gateways of {SENSORS} sensors, {batches} batches of 1 s each, "
        f"{taskmanagers} TaskManagers of one slot, exactly-once, a commit every {COMMIT_EVERY_S} s"
    )
    job = {f"job_{name}": value for name, value in archived.items() if "bytes" not in name}
    sizes = {name: value for name, value in archived.items() if "bytes" in name}
    return {"readings_per_cpu_s": 1 / both_s, **found, **job, **sizes, "load": load}


def _wait_for_commit(stack: Stack, readings: int) -> None:
    """Wait until table chunks holds so many readings."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        with open_catalog(stack.lake) as catalog:
            scan = load_table(catalog, stack.lake, CHUNKS).scan(selected_fields=("readings",))
            if sum(scan.to_arrow().column("readings").to_pylist()) >= readings:
                return
        time.sleep(2)
    raise HardiotError(f"table chunks has less than {readings:,} readings; see {stack.log_folder}")


def _compact(stack: Stack) -> dict[str, Any]:
    """Compact all of it, in this process, and look at what it takes on the disk."""
    folder = stack.folder / "lake" / stack.lake.namespace
    chunk_bytes = _size(folder / CHUNKS.name)
    catalogues = TopicCatalogues(stack.bootstrap)
    log.print("compacting")
    with open_catalog(stack.lake) as catalog:
        compactor = Compactor(catalog, stack.lake, catalogues.find, lambda _: None, Limits())
        cpu_s, wall_s = time.process_time(), time.monotonic()
        report = compactor.round(time.time_ns() // 1_000_000)
        cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    if report.failed or report.problems:
        raise HardiotError(f"not all was compacted: {report.failed or report.problems}")
    return {
        "bytes_per_reading": _size(folder / READINGS.name) / report.readings,
        "rollup_bytes_per_reading": _size(folder / ROLLUPS.name) / report.readings,
        "chunk_bytes_per_reading": chunk_bytes / report.readings,
        "compaction_readings_per_cpu_s": report.readings / cpu_s,
        "compaction_readings_per_s": report.readings / wall_s,
        "compacted_readings": report.readings,
    }


def _size(folder: Path) -> int:
    """Everything that a table takes: files and metadata."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
