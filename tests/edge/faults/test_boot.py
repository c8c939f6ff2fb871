"""Files that are damaged when a gateway starts: it starts, says so, and goes on.

Short form: each kind of file once, several to a start. Long form (HARDIOT_FAULTS=long): 100 starts
with damages drawn by chance. What no start can make good is a catalogue without a whole copy.
"""

from __future__ import annotations

import logging
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.local.mosquitto import Mosquitto
from tests.edge.faults import LONG, SLOWNESS
from tests.edge.faults.conftest import MakeGateway
from tests.edge.faults.machines import MINUTE_MS, TICK_MS, Machines
from tests.edge.faults.page import begin, metric, taken, wait_for
from tests.edge.faults.readings import Held, look
from tests.edge.faults.tap import Tap

log = logging.getLogger(__name__)

MOST, SEGMENT = 32 * 1024**2, 64 * 1024
SENSORS, MORE = 200, 5
OLDEST, NEWEST = "oldest", "newest"
CUT, FLIP = "cut", "flip"
WRONG_SETTINGS = 2
# what a start says of a file, as the event of its log; None: it has a second copy of what it needs
SAYS = {
    NEWEST: "started", OLDEST: None, "pointer": None, "losses": None, "epoch": None,
    "checkpoint": "checkpoint_unusable", "births.json": "births_unusable",
    "catalogue.json": "catalogue_damaged", "catalogue.copy.json": None,
}  # fmt: skip

Damages = dict[str, str]
SHORT: list[Damages] = [
    {NEWEST: CUT, "checkpoint": FLIP, "catalogue.json": CUT},
    {OLDEST: FLIP, "pointer": CUT, "births.json": FLIP, "catalogue.copy.json": FLIP},
    {NEWEST: FLIP, "checkpoint": CUT, "epoch": CUT, "losses": FLIP},
]


@dataclass
class Plant:
    """A spool as it was left by kill -9, and the machines that filled it."""

    spool: Path
    machines: Machines
    held: Held


@pytest.fixture
def plant(mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path) -> Plant:
    spool = tmp_path / "spool"
    box = gateway(mosquitto.port, spool, MOST, SEGMENT)
    begin(box)
    # so long ago that the event time of all starts together stays behind ours
    first_ms = (time.time_ns() // 10**6 // MINUTE_MS - 30) * MINUTE_MS
    machines = Machines(mosquitto.port, SENSORS, seconds=150, per_s=60, first_ms=first_ms)
    machines.start()
    machines.join(60)
    wait_for(lambda: taken(box) == SENSORS * 150, "not everything was taken in")
    time.sleep(1.5)  # the last ticks, and a checkpoint
    box.kill()
    shutil.copytree(spool, tmp_path / "before")
    return Plant(tmp_path / "before", machines, look(spool, machines, MOST, SEGMENT))


def drawn(rnd: random.Random) -> Damages:
    """One to three files; of the catalogue, one copy at most."""
    names = [*SAYS]
    names.remove(rnd.choice(["catalogue.json", "catalogue.copy.json"]))
    return {name: rnd.choice([CUT, FLIP]) for name in rnd.sample(names, rnd.randint(1, 3))}


def test_damaged_files_do_not_keep_it_from_starting(
    plant: Plant, tap: Tap, gateway: MakeGateway, tmp_path: Path
):
    rnd = random.Random(7)
    next_ms, slowest_s = plant.machines.end_ms, 0.0
    for damages in [*SHORT, *(drawn(rnd) for _ in range(100 if LONG else 0))]:
        spool = tmp_path / "damaged"
        shutil.copytree(plant.spool, spool)
        for name, how in damages.items():
            damage(spool, name, how, rnd)
        box = gateway(tap.port, spool, MOST, SEGMENT)
        box.start()
        more = Machines(tap.broker, SENSORS, MORE, per_s=50, first_ms=next_ms)
        more.start()
        next_ms = more.end_ms
        wanted = set(range(more.first_ms, more.end_ms, TICK_MS))
        wait_for(lambda want=wanted: want <= set(tap.acknowledged), f"no more: {damages}", 30)
        for event in filter(None, map(SAYS.get, damages)):
            assert box.events(event), (damages, event)
        (started,) = box.events("started")
        slowest_s = max(slowest_s, started["recovery_s"])
        said = sum(started[key] for key in ("damaged_records", "damaged_files", "torn_bytes"))
        assert metric(box, "damaged_segments") == started["damaged_files"]
        box.kill()
        held = look(spool, plant.machines, MOST, SEGMENT)
        gone = _assert_kept_or_declared(held, plant, damages)
        # of a newest file all is looked at; bits between two records mean nothing, and are not
        assert said or not gone or NEWEST not in damages or OLDEST in damages, damages
        first = (more.first_ms - plant.machines.first_ms) // TICK_MS
        assert set(range(first, first + MORE)) <= held.seconds.keys(), damages
        shutil.rmtree(spool)
    log.info(f"{len(SHORT) + (100 if LONG else 0)} starts; recovery at most {slowest_s:.3f} s")
    assert slowest_s < 2 * SLOWNESS


def _assert_kept_or_declared(held: Held, plant: Plant, damages: Damages) -> set[tuple[int, int]]:
    """Each number of before can be read, as it was, or is declared lost, or the cloud is told that
    nobody knows where its epoch ended. Returns: those that are gone."""
    gone = set(plant.held.numbers) - set(held.numbers)
    unknown = gone - held.lost_numbers()
    if unknown:
        assert NEWEST in damages and held.ended[plant.held.epoch] is None, (damages, held.ended)
        assert min(unknown) > max(n for n in held.numbers if n[0] == plant.held.epoch), damages
    if not {OLDEST, NEWEST} & damages.keys():
        assert not gone, damages
    for second, values in plant.held.seconds.items():
        if second in held.seconds:
            assert held.seconds[second].tobytes() == values.tobytes(), (damages, second)
    return gone


def damage(spool: Path, name: str, how: str, rnd: random.Random) -> None:
    """Cut a file somewhere, or flip one bit of it; of a segment, within what is written."""
    path = spool / name
    if name in (OLDEST, NEWEST):
        segments = sorted((spool / "raw").glob("*.seg"))
        assert len(segments) > 2
        path = segments[0 if name == OLDEST else -1]
    data = bytearray(path.read_bytes())
    at = rnd.randrange(max(len(data.rstrip(b"\0")), 1))
    if how == CUT:
        del data[at:]
    else:
        data[at] ^= 1 << rnd.randrange(8)
    path.write_bytes(data)


def test_without_a_whole_catalogue_it_refuses_to_start(plant: Plant, tmp_path: Path):
    settings = tmp_path / "gateway.yaml"
    settings.write_text(f"facility: plant-0001\nspool: {{folder: {plant.spool}}}\n")
    for name in ("catalogue.json", "catalogue.copy.json"):
        damage(plant.spool, name, FLIP, random.Random(7))
    command = [sys.executable, "-m", "edge", str(settings)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == WRONG_SETTINGS
    lines = ended.stderr.strip().splitlines()
    assert [line.startswith(f"{plant.spool}/catalogue") for line in lines[:2]] == [True, True]
    assert lines[2].startswith("put back a copy, from a backup or from topic catalogue")
    assert len(lines) == 3
