"""hardiot bench: figures with their load and machine; nothing is gated on them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.cli.bench import (
    alerts,
    drain,
    influx,
    mqtt,
    rollup,
    rules,
    simulate,
    spool,
    watch_loop,
)
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
    SPOOL = "spool"
    MQTT = "mqtt"
    DRAIN = "drain"
    RULES = "rules"
    ARCHIVE = "archive"
    INFLUX = "influx"
    QUERY = "query"


def bench(
    name: Annotated[Bench, typer.Argument(help="What to measure.")],
    seconds: Annotated[
        int, typer.Option(min=10, help="About how long to measure; drain: the outage.")
    ] = 60,
    facilities: Annotated[int, typer.Option(help="Gateways, of 5,000 sensors each.")] = 100,
    taskmanagers: Annotated[int, typer.Option(help="Slots of the job, in rollup and rules.")] = 1,
    folder: Annotated[
        Path | None, typer.Option(help="New folder on the disk that spool measures.")
    ] = None,
    rate: Annotated[int, typer.Option(help="Readings a second that mqtt publishes.")] = mqtt.RATE,
    rule_count: Annotated[
        int,
        typer.Option("--rules", min=1, help="Rules; the 101st and later ones match nothing."),
    ] = 100,
    in_process: Annotated[
        bool, typer.Option(help="rules: in a plain loop without Flink, and what each part costs.")
    ] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Measure on this machine and print one object.

    Example: hardiot bench rollup --output json
    """
    if name is Bench.SIMULATE:
        found = simulate.measure()
    elif name is Bench.ROLLUP:
        found = rollup.measure(facilities, seconds, taskmanagers)
    elif name is Bench.ARCHIVE:
        from jobs.cli.bench import archive  # as with query

        found = archive.measure(facilities, seconds, taskmanagers)
    elif name is Bench.INFLUX:
        found = influx.measure(facilities, seconds)
    elif name is Bench.QUERY:
        from jobs.cli.bench import query  # PyIceberg takes two seconds, which no command waits for

        found = query.measure()
    elif name is Bench.SPOOL:
        found = spool.measure(seconds, folder)
    elif name is Bench.MQTT:
        found = mqtt.measure(seconds, rate)
    elif name is Bench.RULES and in_process:
        found = watch_loop.measure(rule_count, seconds)
    elif name is Bench.RULES:
        found = rules.measure(rule_count, facilities, seconds, taskmanagers)
    elif name is Bench.DRAIN:
        found = drain.measure(seconds)
    else:
        found = alerts.measure(facilities, seconds)
    result: dict[str, Any] = dict.fromkeys(KEYS) | {"machine": describe()} | found
    show_item(result, output, title=f"bench {name}")
