"""Live alerts while a gateway's backlog drains beside them, against the same without a backlog."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge.simulator.fleet import facility_name
from jobs.cli.bench.alerts import percentile
from jobs.cli.jobs import LIVE, start_jobs
from jobs.cli.output import log
from jobs.cli.simulate import command
from jobs.cli.watch import read_alert
from jobs.common.errors import HardiotError
from jobs.common.tail import Message, Tail
from jobs.common.topics import ensure_topics
from jobs.local.paths import RUNS
from jobs.local.ports import LOOPBACK
from jobs.local.site import Site
from jobs.local.stack import Stack
from udfs.records import ALERTS, BACKLOG

SENSORS = 5_000
PUMPS = 300  # of so many sensors; the next ones fail every second, each for three
PER_S = 5
WARM_UP_S, NORMAL_S = 25, 40
FACTOR = 4  # what gateways are set to, unless told otherwise


def measure(outage_s: int) -> dict[str, Any]:
    """One plant, both jobs; its link is cut for so long after a normal time."""
    cut_s, drain_s = WARM_UP_S + NORMAL_S, outage_s / FACTOR
    seconds = round(cut_s + outage_s + drain_s + 20)
    with Stack(RUNS / "bench", 2, report=log.print, edge=True) as stack:
        site = Site(stack, [facility_name(0)])
        ensure_topics(stack.bootstrap, site.facilities)
        start_jobs(stack, LIVE)
        scenario = stack.folder / "scenario.yaml"
        _write_scenario(scenario, seconds)
        site.start_broker()
        began_s = time.time()
        link = site.start_link(cut_s, outage_s)
        site.start_gateways(site.facilities, link)
        log.print(f"normal for {NORMAL_S} s, then {outage_s} s without a link, then the drain")
        with Tail(stack.bootstrap, [ALERTS], [BACKLOG], committed=False) as tail:
            way = f"{LOOPBACK}:{site.broker_port}"
            machines = stack.spawn("simulator", command(scenario, mqtt=way))
            messages = _read(tail, lambda: machines.alive, seconds + 60)
    return _result(messages, began_s + cut_s, began_s + cut_s + outage_s, outage_s)


def _write_scenario(path: Path, seconds: int) -> None:
    faults = [
        {
            "kind": "step",
            "sensors": f"pump-{(second * PER_S + each) % PUMPS + 1:03d}.bearing-temperature",
            "from_s": second,
            "for_s": 3,
            "size": 48,
        }
        for second in range(15, seconds)
        for each in range(PER_S)
    ]
    scenario = {"facilities": 1, "sensors": SENSORS, "seconds": seconds, "faults": faults}
    path.write_text(yaml.safe_dump(scenario))


def _read(tail: Tail, alive: Any, limit_s: float) -> list[Message]:
    messages: list[Message] = []
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline and alive():
        messages += tail.poll(0.02)
    return messages


def _result(messages: list[Message], cut_s: float, back_s: float, outage_s: int) -> dict[str, Any]:
    drained = [m.read_s for m in messages if m.topic.startswith(f"{BACKLOG}.")]
    if not drained:
        raise HardiotError("no backlog came; see build/run/bench/log")
    began_s, ended_s = min(drained), max(drained)
    normal = _latencies(messages, cut_s - NORMAL_S, cut_s)
    during = _latencies(messages, began_s, ended_s)
    if not len(normal) or not len(during):
        raise HardiotError("no alert came in one of the two times; see build/run/bench/log")
    p99 = percentile(during, 99)
    return {
        "readings_per_s": SENSORS,
        "latency_p50_ms": percentile(during, 50),
        "latency_p99_ms": p99,
        "load": f"one gateway of {SENSORS} sensors at 1 Hz, both jobs; link cut for {outage_s} s; "
        f"{len(during)} live alerts in the drain, {len(normal)} before, from the reading's time to "
        "a consumer",
        "normal_p50_ms": percentile(normal, 50),
        "normal_p99_ms": percentile(normal, 99),
        "p99_ratio": round(p99 / percentile(normal, 99), 2),
        "first_backlog_after_s": round(began_s - back_s, 1),
        "drain_s": round(ended_s - began_s, 1),
        "drain_factor": round(outage_s / (ended_s - began_s), 2),
    }


def _latencies(messages: list[Message], from_s: float, to_s: float) -> Any:
    """From the reading's own time to the reader, in ms, of live alerts on readings of a time."""
    found = []
    for message in messages:
        if message.topic != ALERTS:
            continue
        alert = read_alert(message)
        wanted = alert["rule"] == "bearing-temperature-critical" and not alert["late"]
        timely = from_s <= alert["event_ms"] / 1000 < to_s
        if wanted and timely and alert["status"] == "firing":
            found.append(message.read_s * 1000 - alert["event_ms"])
    return np.array(found)
