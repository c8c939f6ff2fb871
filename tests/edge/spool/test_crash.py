"""Power cuts: at each boundary of a run, each state that a disk may be in, opened again."""

from __future__ import annotations

import os
from functools import partial
from random import Random

from edge.spool import Log, Spool
from tests.edge.spool.disks import MemoryDisk
from tests.edge.spool.promises import Load, numbers_lost, open_small, read_all

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
CHANCES = 20 if LONG else 1


def check(disk: MemoryDisk, load: Load, seed: int) -> None:
    """Open what a power cut left, and hold it against what was promised."""
    spool = open_small(disk)
    assert None not in dict(spool.ended).values(), "a power cut leaves no end unknown"
    held = {(r.epoch, r.sequence): r.body for r in read_all(spool, Log.RAW)}
    lost = numbers_lost(spool)
    for number, body in load.raw.items():
        if number in held:
            assert held[number] == body
        elif number in lost:
            assert lost[number] == "spool_full", (number, lost[number])
        else:
            assert number in load.acknowledged, f"{number} is gone (seed {seed})"
    assert not held.keys() & lost.keys()
    alerts = {r.index: r.body for r in read_all(spool, Log.ALERTS)}
    for index, body in load.alerts.items():
        assert alerts.get(index, body) == body
        assert index in alerts or index in load.acknowledged_alerts
    goes_on(spool, load, held.keys() | lost.keys())


def goes_on(spool: Spool, load: Load, used: set[tuple[int, int]]) -> None:
    """The spool takes more, under numbers that were never promised, and has it."""
    number = spool.append(b"news", time_ms=1, readings=1, fingerprint=1)
    assert number not in load.raw and number not in used
    spool.commit()
    assert read_all(spool, Log.RAW)[-1].body == b"news"
    assert spool.used_bytes <= spool.max_bytes


def check_torn(disk: MemoryDisk, load: Load, seed: int, name: str) -> None:
    check(disk.image(Random(seed)), load, seed)


def run(load: Load, rounds: int) -> None:
    """Some segments of raw records and alerts; what is acknowledged lags, then stops."""
    for turn in range(rounds):
        for _ in range(load.random.randrange(1, 5)):
            load.append(6000)
        if turn % 3 == 0:
            load.alert()
        load.commit()
        if turn % 4 == 3 and turn < rounds // 2:
            for log in (Log.RAW, Log.ALERTS):
                if records := read_all(load.spool, log)[: load.random.randrange(1, 12)]:
                    load.acknowledge(log, records)
            load.spool.covered(load.spool.committed(Log.RAW))
            load.spool.save_pointer()


def test_each_boundary_of_a_run_can_be_a_power_cut() -> None:
    seen: list[str] = []
    disk = MemoryDisk()
    random = Random(4)

    def cut(name: str) -> None:
        seen.append(name)
        seed = len(seen)
        check(disk.image(None), load, seed)
        check(disk.image(None, unsynced=True), load, seed)
        for chance in range(CHANCES):
            check(disk.image(Random(seed * 1000 + chance)), load, seed)

    load = Load(open_small(disk), random)
    disk.after_each = cut
    run(load, 42)
    assert {"create", "rename", "unlink", "truncate", "sync", "sync folder"} <= set(seen)
    assert load.dropped, "nothing was evicted"


def test_opening_can_be_cut_at_each_boundary() -> None:
    """A torn disk is opened, and the power goes again meanwhile."""
    for seed in range(20 if LONG else 2):
        disk = MemoryDisk()
        load = Load(open_small(disk), Random(seed))
        run(load, 20)
        load.append()
        load.alert()
        images: list[MemoryDisk] = []
        disk.after_each = lambda name, d=disk, i=images, s=seed: i.append(d.image(Random(s)))
        load.spool.commit()
        for torn in images:
            torn.after_each = partial(check_torn, torn, load, seed)
            check(torn, load, seed)


def test_a_new_spool_can_be_cut_at_each_boundary() -> None:
    disk = MemoryDisk()
    nothing = Load(open_small(MemoryDisk()), Random(0))
    cuts = []

    def cut(name: str) -> None:
        for chance in range(5):
            check(disk.image(Random(chance)), nothing, chance)
        cuts.append(name)

    disk.after_each = cut
    open_small(disk)
    assert len(cuts) > 15
