"""What both command lines of the simulator share: settings, signals, a progress line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from edge.documents import explain
from edge.errors import EdgeError
from edge.simulator.faults import Fault
from edge.simulator.progress import Progress
from edge.simulator.settings import BrokerSettings, SimulatorSettings, read_settings

MQTT_HELP = "Send as machines to this MQTT broker, HOST:PORT, and not to Kafka."


def settings_with(
    scenario: Path | None, given: dict[str, Any], faults: list[str], mqtt: str | None = None
) -> SimulatorSettings:
    """The scenario's settings, with the options that were given in their place.

    Args: given: options by name, None where one was not given. faults: lines for `Fault.parse`.
        mqtt: HOST:PORT of the broker, in place of the scenario's.
    Raises: EdgeError: all mistakes.
    """
    base = read_settings(scenario) if scenario else SimulatorSettings()
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes["faults"] = (*base.faults, *(Fault.parse(text) for text in faults))
    if mqtt is not None:
        changes["mqtt"] = (dict(base.mqtt) if base.mqtt else {}) | BrokerSettings.parse(mqtt)
    if "bootstrap" in changes and (base.mqtt or mqtt):
        raise EdgeError("bootstrap is of Kafka and mqtt of a broker of machines: give one of them")
    try:
        return SimulatorSettings.model_validate(dict(base) | changes)
    except ValidationError as error:
        raise EdgeError(explain(error)) from None


def log_to_stderr() -> None:
    """What goes to stdout is for programs."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def line(progress: Progress) -> str:
    """Progress as people read it."""
    return (
        f"{progress.seconds:7.1f} s  {progress.readings_per_s:12,.0f} readings/s  "
        f"{progress.batches:8,} batches  {progress.messages:9,} messages  "
        f"behind {progress.behind_ms:,.0f} ms"
    )
