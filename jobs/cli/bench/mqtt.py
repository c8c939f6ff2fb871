"""An edge gateway between a real broker and its disk: Sparkplug in by QoS 1, nobody to send to.

Broker, gateway and publisher share the machine. The publisher is this process: it keeps its
schedule whatever the gateway does, and what the gateway cannot take yet waits at the broker.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.simulator.build import expected_batches
from edge.simulator.progress import Progress, Summary
from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from jobs.cli.bench.durations import between, quantile_ms
from jobs.cli.bench.gateway import FACILITY, GATEWAY, Point, RealGateway, has_own_environment
from jobs.cli.output import log
from jobs.common.errors import HardiotError
from jobs.local.mosquitto import Mosquitto
from jobs.local.paths import BUILD
from jobs.local.ports import LOOPBACK
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total

RATE = 60_000  # readings a second, of as many sensors
IDLE_SENSORS = 5_000
METRICS = 100  # of a message
# for the births of all sensors; and a share of what is measured, so that with 600 s of it memory is
# looked at after 150 s: a gateway keeps in mind what came in the last 120 s
WARM_UP_S = 10.0
_WARM_UP_SHARE = 0.25
IDLE_S = 20.0
_CAUGHT_UP_S = 3.0  # of readings on their way, at most
_EVERY_S = 3.0  # between two samples
_BIRTHS_S = 3  # of readings, for the gateway to know its sensors
_DRAIN_S = 120.0


def measure(seconds: int, rate: int = RATE, idle_s: float = IDLE_S) -> dict[str, Any]:
    """Publish for so long and see what reaches the disk, and when; then, a gateway with nothing
    to do.

    Raises: HardiotError: a reading is missing on disk, or there more than once, or not as sent.
    """
    if not has_own_environment():
        log.print("the gateway runs in this environment, and is larger in it: `make edge-env`")
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-mqtt-", dir=BUILD) as made:
        with Mosquitto(Path(made) / "mosquitto") as broker:
            loaded = _loaded(broker, Path(made) / "loaded", seconds, rate)
        with Mosquitto(Path(made) / "mosquitto-idle") as broker:
            return loaded | _idle(broker, Path(made) / "idle", idle_s)


@dataclass
class Sampler:
    """Called with the publisher's progress, each second; looks at the gateway less often.

    The first look that counts is one at a gateway that has caught up with the births.
    """

    broker: Mosquitto
    gateway: RealGateway
    warm_up_s: float
    points: list[Point] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        """Look, if it is time to."""
        if self.points:
            if time.monotonic() - self.points[-1].at_s >= _EVERY_S:
                self.look()
        elif progress.seconds >= self.warm_up_s:
            late = progress.seconds > 3 * self.warm_up_s  # it never will
            if late or self._behind(progress) <= _CAUGHT_UP_S * progress.readings_per_s:
                self.look()

    def _behind(self, progress: Progress) -> int:
        """Readings that were published and are not on disk yet."""
        return progress.readings - self.gateway.stored()

    def look(self) -> None:
        """Note a moment."""
        self.points.append(self.gateway.point(self.broker))


def _loaded(broker: Mosquitto, folder: Path, seconds: int, rate: int) -> dict[str, Any]:
    warm_up_s = max(WARM_UP_S, seconds * _WARM_UP_SHARE)
    machines = _machines(broker, rate, warm_up_s + seconds)
    log.print(f"publishing {rate:,} readings a second for {seconds} s")
    with RealGateway(folder, broker.port) as gateway:
        sampler = Sampler(broker, gateway, warm_up_s)
        summary = simulate(machines, sampler)
        sampler.look()
        log.print(f"waiting for the last of {summary.readings:,} readings")
        drained_s = _drain(gateway, summary)
    log.print("comparing what is on disk with what was sent")
    sent = expected_batches(
        machines.model_copy(update={"start_ms": summary.start_ms}), FACILITY, GATEWAY
    )
    _compare(sent, gateway.spooled())
    load = (
        f"{rate} sensors at 1 Hz, Sparkplug messages of {METRICS} metrics by QoS 1, Mosquitto, "
        f"publisher and gateway on one machine, no Kafka; {summary.readings:,} readings sent"
    )
    return _figures(sampler.points) | {
        "load": load,
        "offered_per_s": rate,
        "publisher_behind_ms": summary.behind_ms,
        "drained_s": drained_s,
        "lost_or_repeated": 0,  # or it would have been an error
    }


def _machines(broker: Mosquitto, sensors: int, seconds: float) -> SimulatorSettings:
    return SimulatorSettings.model_validate(
        {
            "facilities": 1,
            "sensors": sensors,
            "seconds": seconds,
            "mqtt": {"host": LOOPBACK, "port": broker.port, "metrics_per_message": METRICS},
        }
    )


def _drain(gateway: RealGateway, summary: Summary) -> float:
    """Wait until as many readings are on disk as were sent. Returns: seconds."""
    began_s = time.monotonic()
    while (stored := gateway.stored()) < summary.readings:
        if time.monotonic() - began_s > _DRAIN_S:
            raise HardiotError(f"{summary.readings:,} readings sent, {stored:,} on disk")
        time.sleep(0.2)
    return time.monotonic() - began_s


def _compare(sent: Iterable[Batch], spooled: Iterable[Batch]) -> None:
    """Slots are those of the births, which come in the catalogue's order."""
    expected, found = _sum(sent), _sum(spooled)
    if expected != found:
        raise HardiotError(
            f"{expected[0]:,} readings sent, {found[0]:,} on disk; fingerprints {expected[1]:x} "
            f"and {found[1]:x}"
        )


def _sum(batches: Iterable[Batch]) -> tuple[int, int]:
    readings = fingerprints = 0
    for batch in batches:
        readings += len(batch)
        fingerprints = total(fingerprints, fingerprint(batch))
    return readings, fingerprints


def _figures(points: list[Point]) -> dict[str, Any]:
    begin, end = points[0], points[-1]
    wall_s, readings = end.at_s - begin.at_s, end.stored - begin.stored
    commits, acks = between(begin.commits, end.commits), between(begin.acks, end.acks)
    minutes = [(point.at_s - begin.at_s) / 60 for point in points]
    gateway_s = end.gateway_cpu_s - begin.gateway_cpu_s
    return {
        "readings_per_cpu_s": readings / gateway_s,
        "readings_per_s": readings / wall_s,
        "bytes_per_reading": None,
        "measured_s": wall_s,
        "gateway_cpu_s": gateway_s,
        "broker_cpu_s": end.broker_cpu_s - begin.broker_cpu_s,
        "publisher_cpu_s": end.own_cpu_s - begin.own_cpu_s,
        "commits": commits.count,
        "commit_p50_ms": quantile_ms(commits, 0.5),
        "commit_p99_ms": quantile_ms(commits, 0.99),
        "puback_p50_ms": quantile_ms(acks, 0.5),
        "puback_p99_ms": quantile_ms(acks, 0.99),
        "first_rss_mb": begin.rss_mb,
        "rss_mb": end.rss_mb,
        "rss_mb_per_minute": float(np.polyfit(minutes, [p.rss_mb for p in points], 1)[0]),
    }


def _idle(broker: Mosquitto, folder: Path, idle_s: float) -> dict[str, Any]:
    """A gateway that was started again, and knows its sensors."""
    log.print(f"a gateway that knows {IDLE_SENSORS:,} sensors, and has nothing to do")
    with RealGateway(folder, broker.port) as gateway:
        _drain(gateway, simulate(_machines(broker, IDLE_SENSORS, _BIRTHS_S), lambda _: None))
    with RealGateway(folder, broker.port) as gateway:
        time.sleep(idle_s / 4)
        begin = gateway.point(broker)
        time.sleep(idle_s)
        end = gateway.point(broker)
    share = (end.gateway_cpu_s - begin.gateway_cpu_s) / (end.at_s - begin.at_s)
    return {"idle_rss_mb": end.rss_mb, "idle_cpu_percent": 100 * share}
