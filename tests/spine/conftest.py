"""Both jobs on the session's cluster, and one eventful simulation that most of it reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Thread

import pytest

from edge.simulator.faults import Fault
from edge.simulator.fleet import facility_name
from edge.simulator.links import LinkFaults, Lost, Outage
from edge.simulator.progress import Summary
from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.cli.jobs import LIVE, start_jobs
from jobs.common.tail import Message, Tail
from jobs.common.topics import ensure_topics
from jobs.local.stack import Stack

MINUTE_MS = 60_000
FACILITIES = 4
BATCHES = 330
SPEED = 10
KILLS = {10.0: "rollup_readings", 22.0: "detect_anomalies"}  # seconds after the first batch


@dataclass
class Running:
    """A cluster with both jobs on it, and their ids."""

    stack: Stack
    jobs: dict[str, str]

    def read(
        self,
        topics: tuple[str, ...] = (),
        families: tuple[str, ...] = (),
        until: Callable[[list[Message]], bool] = bool,
        limit_s: float = 60,
    ) -> list[Message]:
        """Committed records from the start, until they are what is waited for."""
        found: list[Message] = []
        with Tail(self.stack.bootstrap, topics, families, from_start=True) as tail:
            deadline = time.monotonic() + limit_s
            while time.monotonic() < deadline and not until(found):
                found += tail.poll()
        return found


@dataclass
class Spine(Running):
    """The scenario, when each job lost its TaskManager in it, and what was heard meanwhile."""

    settings: SimulatorSettings
    summary: Summary | None = None
    killed_s: dict[str, float] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)


def scenario(bootstrap: str) -> SimulatorSettings:
    """Five and a half minutes in half a minute: duplicates, an outage, a loss, faults."""
    start_ms = (time.time_ns() // 10**6 - 8 * MINUTE_MS) // MINUTE_MS * MINUTE_MS + 17_000
    return SimulatorSettings(
        bootstrap=bootstrap,
        facilities=FACILITIES,
        sensors=300,
        batches=BATCHES,
        start_ms=start_ms,
        speed=SPEED,
        ledger_s=3,
        seed=7,
        faults=(
            Fault.parse("step:sensors=pump-001.bearing-temperature,from_s=100,for_s=60,size=48"),
            Fault.parse("stuck:facility=plant-0004,sensors=boiler-001.steam-pressure,from_s=40"),
            Fault.parse("ramp:sensors=motor-002.vibration,from_s=90,for_s=120,size=9"),
        ),
        links=LinkFaults(
            duplicates=0.05,
            outages=(Outage(facility="plant-0002", at_s=80, for_s=110, replay=3),),
            lost=(Lost(facility="plant-0003", first=95, last=101),),
        ),
    )


@pytest.fixture(scope="session")
def running(stack: Stack) -> Iterator[Running]:
    """Both jobs, while tests want them."""
    # a topic has to be there before a job subscribes to patterns of topics
    ensure_topics(stack.bootstrap, map(facility_name, range(FACILITIES)))
    jobs = start_jobs(stack, LIVE)
    yield Running(stack, jobs)
    for job_id in jobs.values():
        stack.rest.cancel(job_id)


@pytest.fixture(scope="session")
def spine(running: Running) -> Spine:
    """The scenario sent, with a kill -9 of each job's TaskManager in it."""
    stack = running.stack
    run = Spine(stack, running.jobs, scenario(stack.bootstrap))

    def send() -> None:
        run.summary = simulate(run.settings, lambda progress: None)

    threads = [Thread(target=send)]
    with Tail(stack.bootstrap, ["rollups"], committed=False) as tail:
        threads[0].start()
        began_s = time.monotonic()
        while threads[0].is_alive() or (not _resumed(run) and time.monotonic() < began_s + 120):
            run.heard += tail.poll()
            for after_s, job in KILLS.items():
                if job not in run.killed_s and time.monotonic() > began_s + after_s:
                    kill_taskmanager_of(run, job)
                    # what a supervisor does; the jobs go on in the spare slot meanwhile
                    threads.append(Thread(target=stack.start))
                    threads[-1].start()
    for thread in threads:
        thread.join()
    return run


def _resumed(run: Spine) -> bool:
    """Whether the rollup job wrote something after its kill."""
    killed_s = run.killed_s.get("rollup_readings", 0.0)
    return any(message.read_s > killed_s + 1.0 for message in run.heard)


def kill_taskmanager_of(run: Spine, job: str) -> None:
    """kill -9 the process that the job runs in."""
    (ident,) = run.stack.rest.taskmanagers_of(run.jobs[job])
    names = {child.log.stem: name for name, child in run.stack.children.items()}
    run.stack.kill(names[ident])
    run.killed_s[job] = time.time()
