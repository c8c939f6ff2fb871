"""Machines inside the process of their gateway: for demos without a broker, and for benchmarks.

source = Machines(settings, direct, catalogue_of, report=print)     # an input of a gateway
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from threading import Event, Thread
from typing import Any

from edge.errors import EdgeError
from edge.inputs.direct import DirectInput
from edge.inputs.result import Inbox
from edge.registry import Registry
from edge.settings import GatewaySettings
from edge.simulator.build import FleetBuilder
from edge.simulator.progress import Progress
from edge.simulator.settings import SimulatorSettings
from edge.status import Connection, InputStatus

Report = Callable[[dict[str, Any]], None]

_REPORT_S = 1.0
_JOIN_S = 5.0


class Machines:
    """The machines of one gateway of a scenario, as one of its inputs (`edge.inputs.source`)."""

    def __init__(
        self,
        scenario: SimulatorSettings,
        settings: GatewaySettings,
        inbox: Inbox,
        registry: Registry,
        report: Report,
    ) -> None:
        """Args: report: told of progress about once a second, and at the end.

        Raises: EdgeError: the scenario has no such gateway, or what `FleetBuilder` finds wrong.
        """
        self._scenario, self._report = scenario, report
        self._fleet = FleetBuilder(scenario)
        names = [(made.facility, made.gateway) for made in self._fleet.catalogues]
        wanted = (settings.facility, settings.gateway)
        if wanted not in names:
            raise EdgeError(f"the scenario has no gateway {'/'.join(wanted)}")
        self._index = names.index(wanted)
        self._direct = DirectInput(inbox, registry)
        self._registry = registry
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="machines", daemon=True)
        self._readings = self._batches = 0
        self._rate = self._behind_ms = 0.0
        self._since_ms = _wall_ms()

    def start(self) -> None:
        """Switch the machines on."""
        self._direct.catalogue(self._fleet.catalogues[self._index])
        self._thread.start()

    def stop(self) -> None:
        """Switch them off."""
        self._stopping.set()
        self._thread.join(_JOIN_S)

    def status(self, now_ms: int) -> InputStatus:
        """How it goes."""
        connection = Connection("machines", True, self._since_ms)
        return InputStatus(connection, self._readings, self._rate)

    def _run(self) -> None:
        began_s, ticks = time.monotonic(), self._scenario.ticks
        start_ms = self._scenario.first_tick_ms(_wall_ms())
        plant = self._fleet.gateway(self._index, start_ms)
        told_s, told = began_s, 0
        sequence = 0
        while ticks is None or sequence < ticks:
            due_ms = start_ms + (sequence + 1) * self._scenario.tick_ms
            self._behind_ms = max(_wall_ms() - due_ms, 0.0)
            if self._stopping.wait(max(due_ms - _wall_ms(), 0) / 1000):
                return
            batch = plant.batch(sequence)
            self._direct.offer(batch, _wall_ms())
            self._readings += len(batch)
            self._batches += 1
            sequence += 1
            now_s = time.monotonic()
            if now_s - told_s >= _REPORT_S:
                self._rate = (self._readings - told) / (now_s - told_s)
                told_s, told = now_s, self._readings
                self._tell(now_s - began_s)
        self._rate = 0.0
        self._tell(time.monotonic() - began_s, ended=True)

    def _tell(self, seconds: float, ended: bool = False) -> None:
        progress = Progress(
            seconds=seconds,
            batches=self._batches,
            readings=self._readings,
            messages=self._batches,
            duplicates=0,
            backlog=0,
            readings_per_s=self._rate,
            behind_ms=self._behind_ms,
        )
        self._report(asdict(progress) | ({"ended": True} if ended else {}))


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
