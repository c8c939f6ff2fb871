"""A program that runs until it is told to end: signals, metrics, exit codes.

sys.exit(serve(lambda: begin(argv)))
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, start_http_server

from jobs.common.errors import HardiotError


class Service(Protocol):
    """What `serve` runs. metrics_port: 0: none."""

    @property
    def metrics_port(self) -> int: ...

    @property
    def registry(self) -> CollectorRegistry: ...

    def run(self) -> None:
        """Until `stop`. Raises: HardiotError."""

    def stop(self) -> None:
        """End what was begun, and come back from `run`."""


def on_end(stop: Callable[[], None]) -> None:
    """Call `stop` when the process is asked to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())


def serve(begin: Callable[[], Service]) -> int:
    """Run a program. Returns: its exit code; 1: it failed, 2: it could not begin."""
    try:
        service = begin()
    except HardiotError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    on_end(service.stop)
    if service.metrics_port:
        start_http_server(service.metrics_port, registry=service.registry)
    try:
        service.run()
    except HardiotError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0
