"""hardiot bench: figures with their load and machine; nothing is gated on them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from jobs.cli.bench import alerts, rollup, simulate
from jobs.cli.bench.machine import describe
from jobs.cli.output import Format, OutputOption, show_item

# every benchmark prints these, null where it has none; more of its own come after them
KEYS = (
    "readings_per_cpu_s",
    "readings_per_s",
    "latency_p50_ms",
    "latency_p99_ms",
    "bytes_per_reading",
    "points_per_s",
    "load",
    "machine",
)


class Bench(StrEnum):
    """What can be measured."""

    SIMULATE = "simulate"
    ROLLUP = "rollup"
    ALERTS = "alerts"


def bench(
    name: Annotated[Bench, typer.Argument(help="What to measure.")],
    seconds: Annotated[int, typer.Option(min=10, help="About how long to measure.")] = 60,
    facilities: Annotated[int, typer.Option(help="Gateways, of 5,000 sensors each.")] = 100,
    taskmanagers: Annotated[int, typer.Option(help="Slots of job rollup_readings.")] = 1,
    output: OutputOption = Format.TABLE,
) -> None:
    """Measure on this machine and print one object.

    Example: hardiot bench rollup --output json
    """
    if name is Bench.SIMULATE:
        found = simulate.measure()
    elif name is Bench.ROLLUP:
        found = rollup.measure(facilities, seconds, taskmanagers)
    else:
        found = alerts.measure(facilities, seconds)
    result: dict[str, Any] = dict.fromkeys(KEYS) | {"machine": describe()} | found
    show_item(result, output, title=f"bench {name}")
