"""A disk that is full, fails or is slow, under a gateway process and QoS 1 load.

Short forms take seconds. Long form (HARDIOT_FAULTS=long): a disk of 16 MB, 40 MB through it.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from jobs.local.mosquitto import Mosquitto
from tests.edge.faults import LONG
from tests.edge.faults.box import Box
from tests.edge.faults.conftest import MakeGateway
from tests.edge.faults.disks import fill, image_disk, injected, memory_mb, mounted, small_disk
from tests.edge.faults.machines import MINUTE_MS, TICK_MS, Machines
from tests.edge.faults.page import LIMIT_S, answers, begin, status, stored, taken, wait_for
from tests.edge.faults.readings import Held, assert_values, look
from tests.edge.faults.tap import Tap

log = logging.getLogger(__name__)

MB = 1024**2
SPOOL_FAILED = 70
MOST, SEGMENT = 64 * MB, MB
_LAST_TICKS_S = 1.5


# -- full


@pytest.mark.parametrize(
    ("disk_mb", "segment_kb", "sensors", "per_s"),
    [(16, 1024, 1000, 200) if LONG else (4, 96, 200, 800)],
)
def test_a_full_disk_keeps_the_newest_and_declares_the_rest(
    mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path,
    disk_mb: int, segment_kb: int, sensors: int, per_s: int,
):  # fmt: skip
    seconds = round(2.5 * disk_mb * MB / (8 * sensors))
    with small_disk(tmp_path / "disk", disk_mb) as disk:
        # the disk ends long before max_bytes does
        spool, most, segment = disk / "spool", 16 * disk_mb * MB, segment_kb * 1024
        box = gateway(mosquitto.port, spool, most, segment)
        begin(box)
        machines = Machines(mosquitto.port, sensors, seconds, per_s)
        machines.start()
        memory = _watch(box, machines)
        said, ready, healthy = status(box), answers(box, "/readyz"), answers(box, "/healthz")
        assert (box.stop(), machines.unacknowledged) == (0, 0)
        held = look(spool, machines, most, segment)
        box.start()  # on a disk that is full
        assert status(box)["spool"]["epoch"] == held.epoch
        box.kill()
    lost = said["spool"]["lost"]["spool_full"]
    log.info(
        f"{seconds} batches through {disk_mb} MB, {lost} declared lost, {len(held.minutes)} "
        f"rollups and {held.alerts} alerts kept; memory {memory[0]:.0f} to {max(memory):.0f} MiB"
    )
    assert lost > 0 and said["spool"]["failed"] == "" and ready and healthy
    _assert_whole(held, machines, said["spool"]["unkept"])
    half = memory[len(memory) // 2 :]
    assert np.polyfit(np.linspace(0, 1, len(half)), half, 1)[0] < 16, memory
    assert box.events("spool_failed") == []


def _watch(box: Box, machines: Machines) -> list[float]:
    """Until everything is taken in. Returns: its memory by the time, MiB."""
    memory: list[float] = []

    def done() -> bool:
        assert box.alive, box.log.read_text()[-3000:]
        memory.append(memory_mb(box.pid))
        return not machines.is_alive() and stored(box) == machines.seconds * machines.sensors

    wait_for(done, "not everything was taken in", 600)
    return memory


def _assert_whole(held: Held, machines: Machines, unkept: int) -> None:
    """On disk or declared, each number once; what was dropped is there as rollups, but for what the
    gateway says that it had no room for: the machines here outrun the disk.
    """
    numbers, lost = set(held.numbers), held.lost_numbers()
    assert numbers | lost == {(held.epoch, n) for n in range(held.next_sequence)}
    assert not numbers & lost
    assert {row.reason for row in held.lost} == {"spool_full"}
    assert_values(held, machines)
    newest = sorted(held.seconds)
    assert newest == list(range(newest[0], machines.seconds)), "not the newest readings"
    assert held.alerts > 0
    dropped = sum(row.readings or 0 for row in held.lost)
    assert dropped == newest[0] * machines.sensors
    assert held.dropped_rollups == 0
    assert sum(minute.readings() for minute in held.minutes) == dropped - unkept
    assert unkept < dropped / 2
    first = machines.first_ms
    minutes = {(first + n * TICK_MS) // MINUTE_MS * MINUTE_MS for n in range(newest[0])}
    told = {minute.minute_ms for minute in held.minutes}
    assert told == minutes or (unkept and told < minutes)


def test_new_sensors_on_a_disk_without_a_free_byte(
    mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path
):
    """The catalogue must grow before their batches may be written: a spare file goes for it."""
    with small_disk(tmp_path / "disk", 4) as disk:
        box = gateway(mosquitto.port, disk / "spool", MOST, 128 * 1024)
        begin(box)
        old = Machines(mosquitto.port, sensors=100, seconds=20, per_s=40)
        old.start()
        _finish(box, old)
        ballast = fill(disk)  # another program's
        new = Machines(mosquitto.port, sensors=300, seconds=20, per_s=40, first_ms=old.end_ms)
        new.start()
        _finish(box, new)
        assert ballast.stat().st_size and box.stop() == 0
        held = look(disk / "spool", new, MOST, 128 * 1024, since_ms=new.first_ms)
    assert sorted(held.seconds) == list(range(20)) and held.lost == ()
    assert_values(held, new)


# -- gone


def test_a_disk_that_is_taken_away_is_no_loss(
    tap: Tap, mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path
):
    """Its files cannot be found, but they are not gone: nothing may be declared lost."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    machines = Machines(mosquitto.port, sensors=200, seconds=150, per_s=25)
    with image_disk(image, folder, 64) as disk:
        box = gateway(tap.port, disk / "spool", MOST, SEGMENT)
        begin(box)
        machines.start()
        wait_for(lambda: len(tap.acknowledged) > 40, "no load")
    assert box.wait() == SPOOL_FAILED
    assert "start the gateway again" in box.events("spool_failed")[-1]["error"]
    with mounted(folder, "-t", "ext4", "-o", "loop", str(image)) as disk:
        box.start()
        _finish(box, machines)
        box.kill()
        _assert_all_once(disk / "spool", machines)


# -- failing, slow

_CALLS = [("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")]


@pytest.mark.parametrize(("call", "error"), _CALLS if LONG else _CALLS[:2])
def test_a_failing_call_ends_it_and_costs_nothing(
    tap: Tap, mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path, call: str, error: str
):
    spool, trace = tmp_path / "spool", tmp_path / "strace.log"
    box = gateway(tap.port, spool, MOST, SEGMENT)
    machines = Machines(mosquitto.port, sensors=200, seconds=900 if LONG else 80, per_s=25)
    begin(box)
    machines.start()
    for _ in range(10 if LONG else 1):
        before = len(tap.acknowledged)
        wait_for(lambda at=before: len(tap.acknowledged) > at + 10, "no load")
        with injected(box.pid, call, f"error={error}:when=1", trace):
            assert box.wait() == SPOOL_FAILED
        failed = next(line for line in trace.read_text().splitlines() if "INJECTED" in line)
        assert "start the gateway again" in box.events("spool_failed")[-1]["error"]
        acknowledged = set(tap.acknowledged)
        held = look(spool, machines, MOST, SEGMENT)
        at_disk = {machines.first_ms + n * TICK_MS for n in held.seconds}
        assert acknowledged <= at_disk
        if call == "fdatasync" and f"{spool}/raw/" in failed:
            # written, not synced: the newest of it must not be acknowledged
            assert max(at_disk) not in acknowledged, failed
        box.start()
    _finish(box, machines)
    box.kill()
    _assert_all_once(spool, machines)


def test_a_slow_disk_holds_up_the_broker_and_nothing_else(
    tap: Tap, mosquitto: Mosquitto, gateway: MakeGateway, tmp_path: Path
):
    spool = tmp_path / "spool"
    box = gateway(tap.port, spool, MOST, SEGMENT)
    machines = Machines(mosquitto.port, sensors=200, seconds=3000 if LONG else 200, per_s=50)
    begin(box)
    machines.start()
    wait_for(lambda: len(tap.acknowledged) > 20, "no load")
    memory, before = [], len(tap.acknowledged)
    with injected(box.pid, "fdatasync", "delay_exit=2000000", tmp_path / "strace.log"):
        end_s = time.monotonic() + (60 if LONG else 5)
        while time.monotonic() < end_s:
            assert answers(box, "/healthz")
            memory.append(memory_mb(box.pid))
            time.sleep(0.1)
        behind = machines.sent - len(tap.acknowledged)
    assert before < len(tap.acknowledged), "it stood still"
    assert behind > 20, "it was not slow"
    log.info(f"memory {memory[0]:.0f} to {max(memory):.0f} MiB; {behind} messages behind")
    assert max(memory) - memory[0] < 64, memory
    _finish(box, machines)
    box.kill()
    _assert_all_once(spool, machines)


def _finish(box: Box, machines: Machines) -> None:
    """Until the machines are done and nothing more comes."""
    machines.join(LIMIT_S)
    assert machines.unacknowledged == 0
    seen = [(-1, -1), (taken(box), stored(box))]
    while seen[-1] != seen[-2]:
        time.sleep(_LAST_TICKS_S)
        seen.append((taken(box), stored(box)))


def _assert_all_once(spool: Path, machines: Machines) -> None:
    held = look(spool, machines, MOST, SEGMENT)
    assert sorted(held.seconds) == list(range(machines.seconds))
    assert held.lost == ()
    assert_values(held, machines)
