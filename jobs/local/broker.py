"""One Kafka broker without Flink, on loopback, with a folder of its own: for benchmarks and tests.

with Broker(folder) as broker:
    ensure_topics(broker.bootstrap, ["plant-1"])
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from jobs.common.errors import ClusterError
from jobs.local import kafka
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import Child, finish, spawn, stop, wait_ready

_LIMIT_S = 60.0


class Broker:
    """A broker; `stop` and `start` keep its port and its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._port, self._controller = free_ports(2)
        self.bootstrap = f"{LOOPBACK}:{self._port}"
        self.child: Child | None = None

    def start(self) -> None:
        """Start it and wait until it is in service. Raises: ClusterError: it ended, or is late."""
        properties = self.folder / "kafka.properties"
        if not properties.exists():
            self._format(properties)
        log = self.folder / "kafka.out"
        self.child = spawn("kafka", kafka.broker_command(properties), log, self.folder)
        try:
            wait_ready("Kafka", lambda: kafka.is_ready(self._port), [self.child], _LIMIT_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it."""
        if self.child is not None:
            stop([self.child], 10.0)

    def _format(self, properties: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = self.folder / "data"
        properties.write_text(kafka.server_properties(data, self._port, self._controller))
        log = self.folder / "format.out"
        tool = spawn("format", kafka.format_command(properties), log, self.folder)
        if finish(tool, _LIMIT_S) != 0:
            raise ClusterError(f"Kafka's folder was not prepared: see {log}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
