"""A byte flipped, or the file cut, at many offsets of each file: what is missing is declared."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest

from edge.spool import Log, Spool
from tests.edge.spool.disks import MemoryDisk
from tests.edge.spool.promises import FOLDER, Load, numbers_lost, open_small, read_all, small
from tests.edge.spool.test_crash import goes_on

LONG = os.environ.get("HARDIOT_FAULTS") == "long"
OFFSETS = 1000 if LONG else 40

RAW = ("old", "ended", "before a hole", "newest")
FILES = (*RAW, "alerts", "pointer", "losses", "epoch")
LARGER = small(max_bytes=432 * 1024)

Number = tuple[int, int]


@dataclass(frozen=True)
class Whole:
    """A spool with evictions, a hole of acknowledged files, and two epochs, before any damage."""

    disk: MemoryDisk
    load: Load
    pending: dict[Number, bytes]
    lost: dict[Number, str]
    files: dict[str, Path]


@cache
def whole() -> Whole:
    disk = MemoryDisk()
    load = Load(open_small(disk, settings=LARGER), Random(1))
    fill(load, 36)
    torn = load.spool.append(b"torn", time_ms=1, readings=1, fingerprint=1)
    disk = torn_commit(disk, load.spool)
    load.attach(open_small(disk, settings=LARGER))
    assert load.spool.recovery.torn_bytes and load.spool.recovery.new_epoch
    assert load.spool.append(b"", time_ms=1, readings=0, fingerprint=0) != torn
    load.waiting[(load.spool.epoch, 0)], load.held[(load.spool.epoch, 0)] = b"", (0, 0)
    fill(load, 22)
    last = load.spool.committed(Log.RAW)
    middle = load.spool.read(Log.RAW, last - 35, last - 9, 1 << 20)
    load.acknowledge(Log.RAW, middle)
    load.spool.covered(last)
    load.spool.save_pointer()
    pending = {(r.epoch, r.sequence): r.body for r in read_all(load.spool, Log.RAW)}
    segments = sorted(p for p in disk.names_now if p.parent == FOLDER / "raw")
    files = {name: FOLDER / name for name in ("pointer", "losses", "epoch")}
    ends = [int(path.name[:16], 16) for path in segments]
    hole = max(range(1, len(ends)), key=lambda i: ends[i] - ends[i - 1])
    files |= {"old": segments[0], "newest": segments[-1], "before a hole": segments[hole - 1]}
    files["ended"] = segments[ends.index(load.spool._store.books.epochs.table[-1].base) - 1]
    files["alerts"] = FOLDER / "alerts" / "0000000000000000.seg"
    return Whole(disk, load, pending, numbers_lost(load.spool), files)


def fill(load: Load, rounds: int) -> None:
    for turn in range(rounds):
        for _ in range(3):
            load.append(4000)
        if turn % 5 == 0:
            load.alert()
        load.commit()


def torn_commit(disk: MemoryDisk, spool: Spool) -> MemoryDisk:
    """Commit, with the power cut before the sync of the raw log; half of the write is there."""
    images: list[MemoryDisk] = []
    disk.after_each = lambda name: images.append(disk.copy())
    spool.commit()
    torn = images[0]  # after the write
    raw = max(path for path in torn.names_now if path.parent == FOLDER / "raw")
    data = torn.data(raw)
    end = len(bytes(data).rstrip(b"\0"))
    data[end - 150 : end] = bytes(150)
    return torn.copy()


def examine(disk: MemoryDisk, unknown_end: bool = False) -> tuple[set[Number], Spool]:
    """Open the damaged disk. Returns the numbers that are missing, which are declared exactly."""
    before = whole()
    spool = open_small(disk, settings=LARGER)
    held = {(r.epoch, r.sequence): r.body for r in read_all(spool, Log.RAW)}
    lost = numbers_lost(spool)
    everything = before.load.raw
    assert all(everything[number] == body for number, body in held.items())
    missing = before.pending.keys() - held.keys()
    news = lost.keys() - before.lost.keys()
    assert before.lost.keys() <= lost.keys()
    if unknown_end and missing != news:
        ended = dict(spool.ended)
        assert ended[before.load.spool.epoch] is None
        beyond = missing - news
        assert beyond and not news - missing
        assert min(beyond) > max([*(n for n in held if n[0] == min(beyond)[0]), *news, (0, 0)])
    else:
        assert missing == news
    for row in spool.lost:
        if row.readings is not None:
            numbers = [(row.epoch, n) for n in range(row.first, row.last + 1)]
            assert row.readings == sum(before.load.held[n][0] for n in numbers)
            assert row.fingerprint == sum(before.load.held[n][1] for n in numbers) % 2**64
    read_all(spool, Log.ALERTS)
    goes_on(spool, before.load, held.keys() | lost.keys())
    again = open_small(disk.copy(), settings=LARGER)
    assert numbers_lost(again) == numbers_lost(spool)
    return missing, spool


def offsets(disk: MemoryDisk, path: Path) -> list[int]:
    """Spread over what the file holds, its two slots or its records."""
    data = bytes(disk.data(path))
    end = len(data) if path.parent == FOLDER else len(data.rstrip(b"\0"))
    used = [at for at in range(0, end, max(end // OFFSETS // 4, 1)) if data[at]]
    return used[:: max(len(used) // OFFSETS, 1)]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_costs_one_record_at_most(name: str) -> None:
    path = whole().files[name]
    costly = 0
    for at in offsets(whole().disk, path):
        disk = whole().disk.copy()
        disk.data(path)[at] ^= 1 << at % 8
        missing, _ = examine(disk.copy())
        assert len(missing) <= (name in RAW)
        costly += len(missing)
    assert (costly > 0) == (name in RAW)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_costs_what_it_held(name: str) -> None:
    path = whole().files[name]
    for at in offsets(whole().disk, path):
        disk = whole().disk.copy()
        del disk.data(path)[at:]
        missing, spool = examine(disk.copy(), unknown_end=name == "newest")
        epoch = whole().load.spool.epoch
        if name == "newest":
            assert (spool.epoch != epoch) and spool.ended[-1] == (epoch, None)
            assert spool.pending(Log.RAW)[-1][0] > whole().load.spool.committed(Log.RAW)
        elif name in RAW:
            assert len(missing) < 16 and len({number[0] for number in missing}) < 2
        else:
            assert not missing


@pytest.mark.parametrize("how", ["cut", "removed"])
def test_a_newest_file_that_is_not_whole_ends_its_epoch(how: str) -> None:
    """Nothing else speaks of the records that it held: the pointer was not saved since."""
    disk = MemoryDisk()
    load = Load(open_small(disk, settings=LARGER), Random(1))
    fill(load, 20)
    path = max(p for p in disk.names_now if p.parent == FOLDER / "raw")
    if how == "cut":
        del disk.data(path)[64:]
    else:
        del disk.names_now[path]
    spool = open_small(disk.copy(), settings=LARGER)
    assert spool.ended == ((load.spool.epoch, None),) and spool.lost == ()
    held = {(r.epoch, r.sequence) for r in read_all(spool, Log.RAW)}
    assert held < load.raw.keys()
    goes_on(spool, load, held)
    assert spool.pending(Log.RAW)[-1][0] > load.spool.committed(Log.RAW)


def test_a_damaged_file_is_set_aside_and_still_served() -> None:
    disk = whole().disk.copy()
    path = whole().files["old"]
    disk.data(path)[300] ^= 1
    spool = open_small(disk, settings=LARGER)
    indices = [r.index for r in read_all(spool, Log.RAW)]
    assert path not in disk.names_now and path.with_suffix(".damaged") in disk.names_now
    again = open_small(disk.copy(), settings=LARGER)
    assert again.recovery.damaged_files == 1
    assert [r.index for r in read_all(again, Log.RAW)] == indices
