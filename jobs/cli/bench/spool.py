"""How fast an edge gateway stores readings: direct input, filters, rules, a spool on a real disk.

Event time comes from a clock of its own, so that hours of signals pass: days, drift, wear. Machines
are made in the same process, and their CPU time (2 % or so) counts as the gateway's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from edge.core import Core, Parts
from edge.filters.pipeline import Pipeline
from edge.filters.settings import FilterSettings
from edge.inputs.direct import DirectInput
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.rulebooks import Rulebooks
from edge.rules import RuleSet, load_rules
from edge.settings import GatewaySettings
from edge.simulator.build import FleetBuilder
from edge.simulator.gateway import SimulatedGateway
from edge.simulator.settings import SimulatorSettings
from edge.spool.disk import Disk, File
from edge.spool.spool import Spool
from edge.ticks import Ticks
from edge.timings import Durations
from jobs.cli.bench.durations import between, quantile_ms
from jobs.cli.output import log
from jobs.common.errors import HardiotError
from jobs.local.paths import BUILD
from udfs.batch import Batch
from udfs.catalogue import Catalogue

SENSORS = 5_000
TICK_MS = 1000
START_MS = 1_790_000_040_000
DAY_TICKS = 86_400_000 // TICK_MS
WARM_UP_TICKS = 20
_MAX_BYTES = 64 * 1024**3  # nothing is dropped: all that was written is counted
_ARRIVES_MS, _CLOSES_MS = 5, 160  # after the end of a tick


class CountingDisk(Disk):
    """Knows how many bytes were written; files on disk are larger by the room made in advance."""

    written = 0

    def pwrite(self, file: File, data: memoryview, offset: int) -> int:
        """Write, and count."""
        done = super().pwrite(file, data, offset)
        self.written += done
        return done


class Bench:
    """One gateway without threads, under a clock of the benchmark."""

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        spool = {"folder": str(folder), "max_bytes": _MAX_BYTES}
        settings = GatewaySettings.model_validate(
            {"facility": catalogue.facility, "gateway": catalogue.gateway, "spool": spool}
        )
        self.now_ms = START_MS
        self.disk = CountingDisk()
        self.spool = Spool.open(settings.spool, self.now_ms, self.disk)
        registry = Registry.open(folder, settings.facility, settings.gateway)
        filters = Pipeline(FilterSettings(), registry, TICK_MS)
        books = Rulebooks(settings.spool.folder, RuleSet(load_rules()))
        prescreen = Prescreen(books.newest.rules, settings.facility, settings.gateway)
        self.core = Core(
            settings, Parts(registry, Ticks(settings.ticks), filters, prescreen, self.spool, books)
        )
        self.core.restore(self.now_ms)
        self.direct = DirectInput(lambda result: self.core.take(result, self.now_ms), registry)
        self.direct.catalogue(catalogue)

    @property
    def stored(self) -> int:
        """Readings on disk."""
        return self.spool.totals(self.spool.epoch).readings

    def turn(self, batch: Batch, tick: int) -> None:
        """One tick passes. Inputs always have more, so commits are grouped as under full load."""
        end_ms = START_MS + (tick + 1) * TICK_MS
        self.now_ms = end_ms + _ARRIVES_MS
        self.direct.offer(batch, self.now_ms)
        self.now_ms = end_ms + _CLOSES_MS
        self.core.step(self.now_ms, idle=False)


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of the run. stored: readings on disk. used_bytes: with room made in advance."""

    at_s: float
    cpu_s: float
    stored: int
    written_bytes: int
    used_bytes: int
    commits: Durations
    rss_mb: float

    @classmethod
    def of(cls, bench: Bench) -> Point:
        """Now."""
        return cls(
            time.perf_counter(),
            time.process_time(),
            bench.stored,
            bench.disk.written,
            bench.spool.used_bytes,
            bench.core.commits.durations(),
            psutil.Process().memory_info().rss / 1e6,
        )


def measure(seconds: float, folder: Path | None = None, sensors: int = SENSORS) -> dict[str, Any]:
    """Store for so long, then open again what was stored.

    Args: folder: on the disk to measure, without anything in it; None: a temporary one in build/.
    Raises: HardiotError: the folder has something in it, or not everything was found again.
    """
    with _place(folder) as place:
        simulated = SimulatorSettings(facilities=1, sensors=sensors, batches=1, start_ms=START_MS)
        fleet = FleetBuilder(simulated)
        catalogue = fleet.catalogues[0]
        log.print(f"storing readings of {sensors:,} sensors in {place} for {seconds:.0f} s")
        bench = Bench(place, catalogue)
        ticks, begin, end = _store(bench, fleet.gateway(0, START_MS), seconds)
        bench.spool.close()  # as a power cut leaves it: the last checkpoint is some time old
        log.print("opening it again")
        began_s = time.perf_counter()
        again = Bench(place, catalogue)
        recovery_s = time.perf_counter() - began_s
        again.spool.close()
    if again.stored != end.stored:
        raise HardiotError(f"{end.stored:,} readings stored, {again.stored:,} found again")
    return _figures(sensors, ticks, begin, end) | {
        "recovery_s": recovery_s,
        "replayed_batches": again.core.counts["replayed"],
    }


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        if folder.exists() and any(folder.iterdir()):
            raise HardiotError(f"{folder}: has something in it; give a new folder")
        yield folder
        return
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-spool-", dir=BUILD) as made:
        yield Path(made)


def _store(bench: Bench, plant: SimulatedGateway, seconds: float) -> tuple[int, Point, Point]:
    """Ticks without a pause; the first ones warm up. Returns: measured ticks, begin, end."""
    for tick in range(WARM_UP_TICKS):
        bench.turn(plant.batch(tick), tick)
    bench.core.step(bench.now_ms)
    begin, tick = Point.of(bench), WARM_UP_TICKS
    while time.perf_counter() - begin.at_s < seconds:
        bench.turn(plant.batch(tick), tick)
        tick += 1
    bench.core.step(bench.now_ms)  # what waits for its group
    return tick - WARM_UP_TICKS, begin, Point.of(bench)


def _figures(sensors: int, ticks: int, begin: Point, end: Point) -> dict[str, Any]:
    readings = end.stored - begin.stored
    wall_s, written = end.at_s - begin.at_s, end.written_bytes - begin.written_bytes
    hours = ticks * TICK_MS / 3_600_000
    commits, factor = between(begin.commits, end.commits), DAY_TICKS / ticks
    return {
        "readings_per_cpu_s": readings / (end.cpu_s - begin.cpu_s),
        "readings_per_s": readings / wall_s,
        "bytes_per_reading": written / readings,
        "load": f"{sensors} sensors, batches of 1 s, filters and rules as they come, a commit for "
        f"two batches; {readings:,} readings of {hours:.1f} h stored in {wall_s:.1f} s",
        "commits": commits.count,
        "commit_p50_ms": quantile_ms(commits, 0.5),
        "commit_p99_ms": quantile_ms(commits, 0.99),
        "day_gb": (begin.used_bytes + written * factor) / 1e9,
        "day_factor": factor,
        "first_rss_mb": begin.rss_mb,
        "rss_mb": end.rss_mb,
    }
