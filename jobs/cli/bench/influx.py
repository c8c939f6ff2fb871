"""publish_rollups from a full Kafka to a real InfluxDB: one lane, one writer, a count of all."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import psutil
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from edge.simulator.fleet import fleet
from edge.simulator.settings import PLANT
from edge.simulator.template import read_template
from jobs.cli.bench.machine import cpu_s
from jobs.cli.output import log
from jobs.common.errors import HardiotError
from jobs.common.topics import ensure_topics
from jobs.influx.policy import USUAL
from jobs.local.broker import Broker
from jobs.local.influxdb import InfluxDb
from jobs.local.paths import RUNS
from jobs.local.ports import LOOPBACK, free_ports
from jobs.local.process import Child, spawn, stop
from udfs import catalogue, rollup
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup

SENSORS = 5_000
POINTS_A_S = 100_000  # so many points are laid up for a second of measuring
START_MS = 1_790_000_040_000
LIMIT_S = 900
END = 0.97

_BUCKET = "bench"
_POLICY = """\
url: {url}
org: {org}
groups: [{{name: all, facilities: ["*"], bucket: {bucket}, token_file: "{token}"}}]
sensors: [{{fields: [{fields}]}}]
"""


class Point(NamedTuple):
    """A moment of the run: points acknowledged, and CPU of publisher, InfluxDB and Kafka."""

    at_s: float
    points: float
    publisher_cpu_s: float
    influxdb_cpu_s: float
    broker_cpu_s: float


def measure(facilities: int, seconds: int, sensors: int = SENSORS) -> dict[str, Any]:
    """Fill Kafka, start the publisher on it; what comes after the first minute is measured."""
    minutes = max(seconds * POINTS_A_S // (facilities * sensors), 3)
    folder = RUNS / "bench-influx"
    shutil.rmtree(folder, ignore_errors=True)
    with Broker(folder / "kafka") as broker, InfluxDb(folder / "influxdb") as server:
        plants = fleet(read_template(PLANT), facilities, sensors)
        log.print(f"laying up {minutes} minutes of {facilities * sensors:,} sensors in Kafka")
        _fill(broker.bootstrap, plants, minutes)
        (port,) = free_ports(1)
        child = _publisher(folder, broker, server, port)
        try:
            found = _measured(child, port, broker, server, facilities * sensors, minutes)
            _wait(child, port, broker, server, facilities * (sensors + 1) * minutes)
        finally:
            stop([child], 10)
        found |= _proof(server, facilities * sensors * minutes)
    shutil.rmtree(folder, ignore_errors=True)
    load = (
        f"{facilities} gateways of {sensors} sensors, {minutes} minutes, {len(USUAL)} fields a "
        "point, 10,000 points a request, gzip, one writer; Kafka and InfluxDB on this machine, too"
    )
    return found | {"load": load}


def _fill(bootstrap: str, plants: list[Catalogue], minutes: int) -> None:
    ensure_topics(bootstrap, [plants[0].facility])
    producer = Producer(
        {"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 20,
         "message.max.bytes": 16_000_000}
    )  # fmt: skip
    for of in plants:
        producer.produce("catalogue", catalogue.encode(of), of.key)
    for minute in range(minutes):
        for of in plants:
            producer.produce("rollups", rollup.encode(_minute(of, minute)), f"{of.facility}/gw-1")
            producer.poll(0)
        producer.flush()
    if producer.flush(60):
        raise HardiotError(f"{bootstrap}: Kafka did not take the rollups")


def _minute(of: Catalogue, minute: int) -> MinuteRollup:
    """A minute at 1 Hz whose values have two places, as most sensors' have."""
    count = len(of)
    random = np.random.default_rng(minute)
    low = np.round(random.normal(50, 10, count), 2)
    mean, high = low + 0.37, low + 0.81
    each = np.full(count, 60, np.uint32)
    return MinuteRollup(
        of.facility, of.gateway, START_MS + minute * 60_000, 1, True, 0, 60, 1, of.version, "",
        sensor=None, count=each, sum=mean * 60, sum_sq=mean * mean * 60.0, min=low, max=high,
        first=low, last=high, bad=np.zeros(count, np.uint32),
    )  # fmt: skip


def _publisher(folder: Path, broker: Broker, server: InfluxDb, port: int) -> Child:
    token = folder / "token"
    token.write_text(server.make_bucket(_BUCKET).get_secret_value())
    policy = folder / "influx.yaml"
    fields = ", ".join(USUAL)
    policy.write_text(
        _POLICY.format(url=server.url, org=server.org, bucket=_BUCKET, token=token, fields=fields)
    )
    args = ["--bootstrap", broker.bootstrap, "--policy", str(policy), "--metrics-port", str(port)]
    command = [sys.executable, "-m", "jobs.publish_rollups", *args]
    return spawn("publish_rollups", command, folder / "publish.out", folder)


def _measured(
    child: Child, port: int, broker: Broker, server: InfluxDb, series: int, minutes: int
) -> dict[str, Any]:
    def at(points: float) -> Point:
        return _wait(child, port, broker, server, points)

    log.print("the first minute: every series is new")
    begin, start = at(1), at(series * 1.02)
    log.print("measuring")
    end = at(series * minutes * END)
    seconds = end.at_s - start.at_s
    process = psutil.Process(child.pid)
    return {
        "points_per_s": (end.points - start.points) / seconds,
        "new_series_per_s": (start.points - begin.points) / (start.at_s - begin.at_s),
        "measured_points": round(end.points - start.points),
        "measured_s": seconds,
        "publisher_cpu_s": end.publisher_cpu_s - start.publisher_cpu_s,
        "influxdb_cpu_s": end.influxdb_cpu_s - start.influxdb_cpu_s,
        "broker_cpu_s": end.broker_cpu_s - start.broker_cpu_s,
        "publisher_rss_mb": process.memory_info().rss / 1e6,
        "series": series,
    }


def _wait(child: Child, port: int, broker: Broker, server: InfluxDb, points: float) -> Point:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and child.alive:
        done = _points(port)
        if done >= points:
            times = psutil.Process(server.pid).cpu_times()
            influxdb_s = float(times.user + times.system)
            kafka_s = cpu_s(broker.child) if broker.child is not None else 0.0
            return Point(time.monotonic(), done, cpu_s(child), influxdb_s, kafka_s)
        time.sleep(0.2)
    raise HardiotError(f"only {done:,.0f} points in {LIMIT_S} s; see {child.log}")


def _points(port: int) -> float:
    """Points that InfluxDB acknowledged; 0 before the publisher answers."""
    try:
        text = httpx.get(f"http://{LOOPBACK}:{port}/metrics", trust_env=False).text
    except httpx.TransportError:
        return 0.0
    samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
    return sum(s.value for s in samples if s.name == "hardiot_publish_points_total")


def _proof(server: InfluxDb, expected: int) -> dict[str, Any]:
    """How many points the bucket lacks or has too many."""
    query = (
        f'from(bucket: "{_BUCKET}") |> range(start: 0, stop: 2100-01-01T00:00:00Z)'
        f' |> filter(fn: (r) => r._measurement == "rollup" and r._field == "{USUAL[0]}")'
        " |> count() |> group() |> sum()"
    )
    log.print("counting in InfluxDB")
    with server.client(timeout=600_000) as client:
        (table,) = client.query_api().query(query)
    return {"lost_or_repeated": expected - int(table.records[0].get_value())}
