"""A gateway as a process of its own, as benchmarks look at it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import yaml

from edge import codec
from edge.settings import SpoolSettings
from edge.simulator.fleet import facility_name, gateway_name
from edge.spool.record import Log
from edge.spool.spool import Spool
from edge.timings import Durations
from jobs.cli.bench.machine import cpu_s
from jobs.common.errors import ClusterError, HardiotError
from jobs.local.mosquitto import Mosquitto
from jobs.local.paths import BUILD, ROOT
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import Child, spawn, stop, wait_ready
from udfs.batch import Batch

FACILITY, GATEWAY = facility_name(0), gateway_name(0)
_OWN = BUILD / "edge-venv" / "bin" / "python"
_LIMIT_S = 30.0


def python() -> Path:
    """The interpreter with what a gateway needs and nothing more, where it is set up.

    In ours pyarrow finds pandas, which the jobs need, and loads it: 35 MB that no gateway has.
    """
    return _OWN if _OWN.exists() else Path(sys.executable)


def has_own_environment() -> bool:
    """Whether the gateway runs with its own requirements: `make edge-env`."""
    return _OWN.exists()


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a run. stored: readings on disk. own_cpu_s: of this process."""

    at_s: float
    stored: int
    gateway_cpu_s: float
    broker_cpu_s: float
    own_cpu_s: float
    rss_mb: float
    commits: Durations
    acks: Durations


class RealGateway:
    """python -m edge, with nobody at Kafka's address: what it takes in stays in its spool."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._page, nobody = free_ports(2)
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "facility": FACILITY,
            "gateway": GATEWAY,
            "mqtt": {"host": LOOPBACK, "port": broker_port},
            "spool": {"folder": str(folder / "spool")},
            "uplink": {"bootstrap": f"{LOOPBACK}:{nobody}"},
            "http": {"port": self._page},
        }
        self._settings = folder / "gateway.yaml"
        self._settings.write_text(yaml.safe_dump(settings))
        self._child: Child | None = None

    def __enter__(self) -> Self:
        command = [str(python()), "-m", "edge", str(self._settings)]
        env = {"PYTHONPATH": str(ROOT)}
        self._child = spawn("gateway", command, self._folder / "gateway.log", self._folder, env)
        try:
            wait_ready("the gateway", self._connected, [self._child], _LIMIT_S)
        except ClusterError:
            stop([self._child], _LIMIT_S)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is not None:
            stop([self._child], _LIMIT_S)

    def point(self, broker: Mosquitto) -> Point:
        """Now."""
        assert self._child is not None
        status, process = self._status(), psutil.Process(self._child.pid)
        return Point(
            time.monotonic(),
            status["spool"]["stored"],
            cpu_s(self._child),
            _cpu_s(broker.pid),
            time.process_time(),
            process.memory_info().rss / 1e6,
            _durations(status["spool"]["commits"]),
            _durations(status["inputs"][0]["acks"]),
        )

    def stored(self) -> int:
        """Readings on disk, of this epoch of the spool."""
        return int(self._status()["spool"]["stored"])

    def spooled(self) -> Iterator[Batch]:
        """What its spool holds, once it is stopped."""
        spool = Spool.open(SpoolSettings(folder=self._folder / "spool"), time.time_ns() // 10**6)
        for stored in spool.tail(Log.RAW, -1):
            yield codec.decode(stored.body, stored.epoch, stored.sequence, FACILITY, GATEWAY)
        spool.close()

    def _connected(self) -> bool:
        try:
            return httpx.get(f"{self._address}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def _status(self) -> dict[str, Any]:
        try:
            return dict(httpx.get(f"{self._address}/status.json", timeout=10).json())
        except httpx.HTTPError as error:
            raise HardiotError(f"the gateway does not answer: {error}") from None

    @property
    def _address(self) -> str:
        return f"http://{LOOPBACK}:{self._page}"


def _cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _durations(raw: dict[str, Any]) -> Durations:
    return Durations(tuple(raw["counts"]), raw["sum_s"])
