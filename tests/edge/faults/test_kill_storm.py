"""kill -9, again and again, under QoS 1 load: every reading is there, once.

Short form: 6 kills. Long form (HARDIOT_FAULTS=long): 200, the machine a day later must still hold.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import codec
from edge.settings import SpoolSettings
from edge.simulator.build import expected_readings
from edge.simulator.devices import times_of
from edge.simulator.settings import SimulatorSettings
from edge.spool.record import Log
from edge.spool.spool import Spool
from jobs.local.mosquitto import Mosquitto
from jobs.local.ports import LOOPBACK
from tests.edge.faults import LONG, SLOWNESS
from tests.edge.faults.box import Box, broker

KILLS = 200 if LONG else 6
SENSORS, SEED = 1000, 7
FACILITY, GATEWAY = "plant-0001", "gw-1"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "mosquitto") as running:
        yield running


def machines(seconds: int) -> SimulatorSettings:
    start_ms = (time.time_ns() // 10**9 + 2) * 1000
    return SimulatorSettings(
        facilities=1, sensors=SENSORS, seconds=seconds, seed=SEED, start_ms=start_ms
    )


def run_machines(settings: SimulatorSettings, port: int, folder: Path) -> subprocess.Popen[bytes]:
    scenario = folder / "scenario.yaml"
    scenario.write_text(
        f"facilities: 1\nsensors: {SENSORS}\nseed: {SEED}\nstart_ms: {settings.start_ms}\n"
        f"seconds: {settings.seconds}\nlinks: {{duplicates: 0.05}}\n"
    )
    command = ["run", "--scenario", str(scenario), "--mqtt", f"{LOOPBACK}:{port}"]
    with (folder / "machines.log").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "edge.simulator", *command], stdout=out, stderr=out
        )


def spooled(box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """(slot, time, value) of every reading on disk, and the numbers of the batches."""
    settings = SpoolSettings(folder=box.folder / "spool", max_bytes=256 * 1024**2)
    spool = Spool.open(settings, time.time_ns() // 10**6)
    slots, times, values, numbers = [], [], [], []
    for stored in spool.tail(Log.RAW, -1):
        batch = codec.decode(stored.body, stored.epoch, stored.sequence, FACILITY, GATEWAY)
        slots.append(batch.slots())
        times.append(times_of(batch))
        values.append(batch.value)
        numbers.append((stored.epoch, stored.sequence))
    assert spool.lost == ()
    spool.close()
    return np.concatenate(slots), np.concatenate(times), np.concatenate(values), numbers


def test_no_kill_costs_a_reading_or_makes_it_two(mosquitto: Mosquitto, tmp_path: Path):
    rnd = random.Random(SEED)
    pauses = [rnd.uniform(0.5, 3) for _ in range(KILLS)]
    settings = machines(round(sum(pauses)) + KILLS + 4)
    box = Box(tmp_path, FACILITY, mqtt=broker(mosquitto.port),
              uplink={"bootstrap": f"{LOOPBACK}:1"})  # fmt: skip
    box.start()
    sender = run_machines(settings, mosquitto.port, tmp_path)
    for pause in pauses:
        time.sleep(pause)
        box.kill()
        box.start()
    assert sender.wait(120) == 0, (tmp_path / "machines.log").read_text()[-2000:]
    time.sleep(4)  # what the broker still holds, and the last tick
    assert box.stop() == 0

    expected = expected_readings(settings, FACILITY, GATEWAY)
    slot, at, value, numbers = spooled(box)
    assert numbers == [(numbers[0][0], n) for n in range(len(numbers))]
    order = np.lexsort((at, slot))
    np.testing.assert_array_equal(slot[order], expected.slot)
    np.testing.assert_array_equal(at[order], expected.time_ms)
    assert value[order].tobytes() == expected.value.tobytes()
    assert max(box.started_s) < 2 * SLOWNESS, box.started_s
