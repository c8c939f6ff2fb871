"""The power goes: what a real disk holds at that instant must hold all that was acknowledged.

The spool lies on an ext4 in a file. At random instants the gateway is stopped (SIGSTOP, so that no
sync is under way), and the file is copied as it is. What the kernel had not yet written to this
disk is not in the copy: it has what was synced, and whatever else happened to be written back; the
copy's journal is replayed when it is mounted, as after a power cut. It does not model what the
disk itself has in its own cache without having told so, writes within one sync that arrive out of
order, or half sectors: tests/edge/spool has a disk for these.

What was acknowledged is known from the bytes between gateway and broker: each reading whose PUBACK
went by before the copy began must be in the copy. Short form: 3 instants; long form: 100.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.edge.faults import LONG, SLOWNESS
from tests.edge.faults.conftest import MakeGateway
from tests.edge.faults.disks import image_disk, mounted
from tests.edge.faults.machines import TICK_MS, Machines
from tests.edge.faults.page import begin, wait_for
from tests.edge.faults.readings import assert_values, look
from tests.edge.faults.tap import Tap

log = logging.getLogger(__name__)

CUTS = 100 if LONG else 3
MOST, SEGMENT = 32 * 1024**2, 256 * 1024
_NOBODY = 1  # a port without a broker


def test_what_was_acknowledged_is_on_disk_when_the_power_goes(
    tap: Tap, gateway: MakeGateway, tmp_path: Path
):
    rnd, image = random.Random(7), tmp_path / "disk.img"
    with image_disk(image, tmp_path / "disk", 64) as disk:
        box = gateway(tap.port, disk / "spool", MOST, SEGMENT)
        machines = Machines(
            tap.broker, sensors=200, seconds=60 * CUTS + 600, per_s=15 if LONG else 40
        )
        begin(box)
        machines.start()
        wait_for(lambda: len(tap.acknowledged) > 20, "no load")
        open_s, start_s = [], []
        for number in range(CUTS):
            time.sleep(rnd.uniform(0.05, 1.2))
            copy = tmp_path / f"cut-{number}.img"
            with _standing_still(box.pid):
                acknowledged = set(tap.acknowledged)
                subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
            found = _boot(copy, tmp_path / f"cut-{number}", gateway, machines, acknowledged)
            open_s.append(found[0])
            start_s.append(found[1])
            copy.unlink()
        box.kill()
        machines.tell()
        machines.join(60)
    log.info(f"{len(tap.acknowledged)} messages acknowledged, {CUTS} cuts; recovery at most "
          f"{max(open_s):.3f} s, start {max(start_s):.2f} s")  # fmt: skip
    assert max(open_s) < 2 * SLOWNESS


@contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: all(_stopped(task) for task in Path(f"/proc/{pid}/task").iterdir()), "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _boot(
    copy: Path, folder: Path, gateway: MakeGateway, machines: Machines, acknowledged: set[int]
) -> tuple[float, float]:
    """A gateway on the copy: it starts, and has everything. Returns: seconds of recovery, start."""
    with mounted(folder, "-t", "ext4", "-o", "loop", str(copy)) as disk:
        box = gateway(_NOBODY, disk / "spool", MOST, SEGMENT)
        box.start()
        (started,) = box.events("started")
        box.kill()
        held = look(disk / "spool", machines, MOST, SEGMENT)
    at_disk = {machines.first_ms + n * TICK_MS for n in held.seconds}
    missing = sorted(acknowledged - at_disk)
    assert not missing, f"{len(missing)} acknowledged messages are gone, the first {missing[0]}"
    assert {row.reason for row in held.lost} <= {"unknown_end"} and held.damaged == 0
    assert_values(held, machines)
    return started["recovery_s"], box.started_s[0]


def test_the_copy_shows_what_was_not_synced(tmp_path: Path):
    """The model bites: a write without a sync is not in it."""
    image = tmp_path / "disk.img"
    with image_disk(image, tmp_path / "disk", 16) as disk:
        synced, not_synced = disk / "synced", disk / "not-synced"
        for path in (synced, not_synced):
            path.write_bytes(b"here" * 1000)
        descriptor = os.open(synced, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        not_synced.write_bytes(b"later" * 1000)
        copy = tmp_path / "copy.img"
        subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
    with mounted(tmp_path / "copy", "-t", "ext4", "-o", "loop", str(copy)) as disk:
        assert (disk / "synced").read_bytes() == b"here" * 1000
        assert b"later" not in (disk / "not-synced").read_bytes()
