"""From a reading to its alert in a Kafka consumer's hands, with both jobs under load."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge.simulator.fleet import facility_name
from jobs.cli.jobs import LIVE, start_jobs
from jobs.cli.output import log
from jobs.cli.simulate import command
from jobs.cli.watch import read_alert
from jobs.common.errors import HardiotError
from jobs.common.tail import Message, Tail
from jobs.common.topics import ensure_topics
from jobs.local.paths import RUNS
from jobs.local.stack import Stack
from udfs.records import ALERTS

SENSORS = 5_000
WARM_UP_S = 20
EVERY_S = 2  # another pump fails everywhere


def measure(facilities: int, seconds: int) -> dict[str, Any]:
    """Bearings get hot one after the other at every facility; every alert is timed."""
    with Stack(RUNS / "bench", 2, report=log.print) as stack:
        ensure_topics(stack.bootstrap, map(facility_name, range(facilities)))
        start_jobs(stack, LIVE)
        scenario = stack.folder / "scenario.yaml"
        _write_scenario(scenario, facilities, seconds)
        log.print(f"measuring for {seconds} s after {WARM_UP_S} s of warm-up")
        with Tail(stack.bootstrap, [ALERTS], committed=False) as tail:
            simulator = stack.spawn("simulator", command(scenario, stack.bootstrap))
            messages = _read(tail, lambda: simulator.alive, WARM_UP_S + seconds + 30)
    sent, event = _latencies(messages)
    if not len(sent):
        raise HardiotError("no alert came; see build/run/bench/log")
    return {
        "readings_per_s": facilities * SENSORS,
        "latency_p50_ms": percentile(sent, 50),
        "latency_p99_ms": percentile(sent, 99),
        "load": f"{facilities} gateways of {SENSORS} sensors at 1 Hz, both jobs, one slot each; "
        f"{len(sent)} alerts, from the batch's sending to a consumer",
        "latency_p999_ms": percentile(sent, 99.9),
        "reading_to_alert_p50_ms": percentile(event, 50),
        "reading_to_alert_p99_ms": percentile(event, 99),
        "reading_to_alert_p999_ms": percentile(event, 99.9),
        "alerts": len(sent),
    }


def _write_scenario(path: Path, facilities: int, seconds: int) -> None:
    faults = [
        {
            "kind": "step",
            "sensors": f"pump-{number + 1:03d}.bearing-temperature",
            "from_s": WARM_UP_S + number * EVERY_S,
            "for_s": 4,
            "size": 60,
        }
        for number in range(seconds // EVERY_S)
    ]
    scenario = {
        "facilities": facilities,
        "sensors": SENSORS,
        "seconds": WARM_UP_S + seconds,
        "stagger_ticks": True,
        "faults": faults,
    }
    path.write_text(yaml.safe_dump(scenario))


def _read(tail: Tail, alive: Any, limit_s: float) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found = tail.poll(0.05)
        messages += found
        if not found and not alive():
            break
    return messages


def _latencies(messages: list[Message]) -> tuple[Any, Any]:
    """(from sending, from the reading's own time), in ms, of the alerts that one reading raises."""
    sent, event = [], []
    for message in messages:
        alert = read_alert(message)
        if alert["rule"] == "bearing-temperature-critical" and alert["status"] == "firing":
            sent.append(alert["latency_ms"])
            event.append(message.read_s * 1000 - alert["event_ms"])
    return np.array(sent), np.array(event)


def percentile(values: Any, share: float) -> float:
    return round(float(np.percentile(values, share)), 1)
