"""Rules over one gateway in a plain loop, without Flink and Kafka: what they cost, part by part.

The rates are those of a run without a profiler; the shares come from a second run under one.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from edge.simulator.build import FleetBuilder
from edge.simulator.faults import Fault
from edge.simulator.settings import SimulatorSettings
from jobs.cli.bench.pattern_cost import pattern_us
from jobs.cli.bench.rule_sets import faults_of, matching_of, rule_set
from jobs.cli.output import log
from jobs.common.contracts import ROOT
from udfs.alerts import FIRING
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.condition_events import ConditionEvent
from udfs.rules.rulebook import Rule, parse
from udfs.watch.units import Binder
from udfs.watch.watch import Watch

SENSORS = 5_000
START_MS = 1_790_000_040_000
TICKS = 300  # made in advance, then judged again and again under later times
WARM_UP_TICKS = 60
_PROFILED_TICKS = 300
_NOTED = 20_000  # condition events that are kept

Profile = dict[tuple[str, int, str], Any]


class Plant:
    """Batches of one gateway in memory, with faults in them, as long as one wants them."""

    def __init__(
        self, sensors: int, ticks: int = TICKS, faults: tuple[Fault, ...] | None = None
    ) -> None:
        """Args: ticks: how many are made. faults: those of `faults_of` unless given."""
        settings = SimulatorSettings(
            facilities=1,
            sensors=sensors,
            batches=ticks,
            start_ms=START_MS,
            faults=faults_of(ticks) if faults is None else faults,
        )
        fleet = FleetBuilder(settings)
        gateway = fleet.gateway(0, START_MS)
        self.catalogue: Catalogue = fleet.catalogues[0]
        self._made = [gateway.batch(tick) for tick in range(ticks)]

    def batch(self, tick: int) -> Batch:
        """The batch of a tick; what was made once comes again, later."""
        made = self._made[tick % len(self._made)]
        made.sequence, made.time_ms = tick, START_MS + tick * 1000
        return made


def measure(rules: int, seconds: float, sensors: int = SENSORS) -> dict[str, Any]:
    """Judge batches under so many rules for so long."""
    plant, matching = Plant(sensors, TICKS), matching_of(rules)
    text = rule_set(rules, matching)
    before_mb = _rss_mb()
    began_s = time.process_time()
    made = parse(text, "bench.yaml")
    parsed_s = time.process_time()
    watch = Watch(made, plant.catalogue)
    bound_s = time.process_time()
    memory_mb = _rss_mb() - before_mb
    run = Run(watch, plant)
    run.until(WARM_UP_TICKS)
    run.reset()
    log.print(f"{rules} rules over {sensors:,} sensors for {seconds:.0f} s")
    run.spend(seconds)
    pairs = entries(made, plant.catalogue)
    found = {
        "readings_per_cpu_s": run.readings / run.cpu_s,
        "readings_per_s": run.readings / run.wall_s,
        "load": f"{rules} rules, {matching} of them about sensors of this gateway, {sensors} "
        f"sensors at 1 Hz with faults; in one process, batches in memory, "
        f"{run.readings:,} readings in {run.wall_s:.1f} s",
        "entries": pairs,
        "evaluations_per_cpu_s": run.ticks * pairs / run.cpu_s,
        "alerts_per_1000_batches": 1000 * run.alerts / run.ticks,
        "condition_events_per_1000_batches": 1000 * run.condition_events / run.ticks,
        "us_per_condition_event": pattern_us(made, run.noted),
        "us_per_batch": run.cpu_s / run.ticks * 1e6,
        "parse_s": parsed_s - began_s,
        "bind_s": bound_s - parsed_s,
        "kb_per_rule": memory_mb * 1000 / rules,
        "state_bytes_per_sensor": len(watch.snapshot()) / sensors,
    }
    return found | {f"share {part}": f"{share:.1%}" for part, share in profile(run)}


class Run:
    """Batches judged one after the other, and what that cost.

    fired: how many alerts each rule began. noted: the first condition events.
    """

    def __init__(self, watch: Watch, plant: Plant) -> None:
        self._watch, self._plant = watch, plant
        self._tick = 0
        self.noted: list[ConditionEvent] = []
        self.fired: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Count from here."""
        self.ticks = self.readings = self.alerts = self.condition_events = 0
        self.cpu_s = self.wall_s = 0.0

    def until(self, ticks: int) -> None:
        """Judge so many batches."""
        began_cpu_s, began_s = time.process_time(), time.perf_counter()
        for _ in range(ticks):
            self._next()
        self.cpu_s += time.process_time() - began_cpu_s
        self.wall_s += time.perf_counter() - began_s
        self.ticks += ticks

    def spend(self, seconds: float) -> None:
        """Judge for so long, at least one batch."""
        end_s = time.perf_counter() + seconds
        while not self.ticks or time.perf_counter() < end_s:
            self.until(10)

    def _next(self) -> None:
        batch = self._plant.batch(self._tick)
        found = self._watch.on_batch(batch, batch.time_ms + 100)
        self._tick += 1
        self.readings += len(batch)
        self.alerts += len(found)
        self.fired.update(event.rule for event in found if event.status == FIRING)
        self.condition_events += len(self._watch.condition_events)
        if len(self.noted) < _NOTED:
            self.noted += self._watch.condition_events


def profile(run: Run, ticks: int = _PROFILED_TICKS) -> list[tuple[str, float]]:
    """Share of the time of each file of udfs/, with what it called outside; largest first."""
    profiler = cProfile.Profile()
    profiler.runcall(run.until, ticks)
    return by_file(pstats.Stats(profiler).stats)  # type: ignore[attr-defined]


def by_file(stats: Profile) -> list[tuple[str, float]]:
    """Own time by file of udfs/; time of libraries goes to the files that called them."""
    spent: Counter[str] = Counter()
    for place, (_, _, own_s, _, callers) in stats.items():
        if _file(place):
            spent[_file(place)] += own_s
            continue
        for caller, (_, _, share_s, _) in callers.items():
            spent[_owner(stats, caller)] += share_s
    total = sum(spent.values())
    return [(name, own_s / total) for name, own_s in spent.most_common() if own_s > total / 1000]


def _owner(stats: Profile, place: tuple[str, int, str], depth: int = 8) -> str:
    """The file of udfs/ from which most calls of a library's function come."""
    if _file(place) or not depth:
        return _file(place) or "other"
    callers = stats[place][4]
    if not callers:
        return "other"
    return _owner(stats, max(callers, key=lambda caller: callers[caller][2]), depth - 1)


def _file(place: tuple[str, int, str]) -> str:
    path = Path(place[0])
    udfs = ROOT / "udfs"
    return str(path.relative_to(udfs)) if path.is_relative_to(udfs) else ""


def entries(rules: Sequence[Rule], catalogue: Catalogue) -> int:
    """Pairs of a condition and a sensor (or asset of a signal) at this gateway."""
    return sum(len(unit.slots) for unit in Binder(catalogue).units(rules))


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)
