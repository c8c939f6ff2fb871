"""A full spool, the centre out of reach: what goes, in which order, and that it is declared."""

from __future__ import annotations

import errno
from random import Random

import pytest

from edge.spool import Kind, Log, Spool
from tests.edge.spool.disks import MemoryDisk
from tests.edge.spool.promises import NOW_MS, Load, numbers_lost, open_small, read_all, small


def test_declared_is_missing_and_what_was_dropped_was_rolled_up() -> None:
    load = Load(open_small(MemoryDisk()), Random(7))
    spool = load.spool
    for _ in range(150):
        load.append(4000)
        load.append(4000)
        load.commit()
        assert spool.used_bytes <= spool.max_bytes
    held = {(r.epoch, r.sequence) for r in read_all(spool, Log.RAW)}
    lost = numbers_lost(spool)
    assert load.raw.keys() - held == lost.keys()
    assert set(lost.values()) == {"spool_full"}
    assert [(r.epoch, r.sequence) for r in load.dropped] == sorted(lost)
    (row,) = spool.lost
    assert row.readings == sum(load.held[n][0] for n in lost)
    assert row.fingerprint == sum(load.held[n][1] for n in lost) % 2**64
    assert spool.totals(spool.epoch)[0] == sum(held[0] for held in load.held.values())
    rollups = read_all(spool, Log.ROLLUPS)
    assert sum(int(r.body.split()[-1]) for r in rollups) == len(lost)


def test_raw_goes_before_rollups_and_rollups_before_alerts() -> None:
    load = Load(open_small(MemoryDisk()), Random(7))
    spool = load.spool
    order: list[Log] = []
    for turn in range(420):
        kind = (Kind.ALERT, Kind.ROLLUP)[turn % 2] if turn >= 20 else None
        if kind is None:
            load.append(4000)
        else:
            spool.append_record(kind, bytes(1500), NOW_MS)
        spool.commit()
        dropped = [log for log in Log if spool.dropped(log)]
        order += [log for log in dropped if log not in order]
        assert spool.used_bytes <= spool.max_bytes
    assert order == [Log.RAW, Log.ROLLUPS, Log.ALERTS]
    for log in Log:
        kept = [r.index for r in read_all(spool, log)]
        assert kept == list(range(spool.dropped(log), spool.committed(log) + 1))


def test_what_is_not_needed_any_more_goes_first() -> None:
    load = Load(open_small(MemoryDisk()), Random(7))
    spool = load.spool
    for turn in range(200):
        load.append(4000)
        load.commit()
        if turn >= 20:  # live data arrive, the first 20 batches do not
            spool.acknowledge(Log.RAW, 20, spool.committed(Log.RAW))
        spool.covered(spool.committed(Log.RAW))
    assert spool.lost == ()
    assert [r.sequence for r in read_all(spool, Log.RAW)] == list(range(20))


@pytest.mark.parametrize("spares", [0, 1])
def test_a_disk_that_is_full_before_the_cap_is_reached(spares: int) -> None:
    disk = MemoryDisk()
    load = Load(open_small(disk), Random(7))
    disk.capacity = sum(len(inode.now) for inode in disk.names_now.values()) + spares * 20_000
    for _ in range(60):
        load.append(4000)
        load.commit()
        load.alert()
    held = {(r.epoch, r.sequence) for r in read_all(load.spool, Log.RAW)}
    assert load.raw.keys() - held == numbers_lost(load.spool).keys()
    assert held and len(load.dropped) == len(numbers_lost(load.spool))


def test_nothing_left_to_drop_but_what_comes() -> None:
    """Another program takes the disk: even spares cannot be made. It is declared, and goes on."""
    disk = MemoryDisk()
    load = Load(open_small(disk), Random(7))
    grown = disk.allocate
    full = OSError(errno.ENOSPC, "No space left on device")
    disk.allocate = lambda file, size: (_ for _ in ()).throw(full)  # type: ignore[method-assign]
    for _ in range(60):
        load.append(8000)
        load.commit()
    lost = numbers_lost(load.spool)
    held = {(r.epoch, r.sequence) for r in read_all(load.spool, Log.RAW)}
    assert load.raw.keys() - held == lost.keys() and held and lost
    assert set(lost.values()) == {"spool_full"}
    _reopened_has(load, disk.copy(), held)
    disk.allocate = grown  # type: ignore[method-assign]
    load.append()
    load.commit()
    assert read_all(load.spool, Log.RAW)[-1].sequence == load.spool.next_sequence - 1
    totals = load.spool.totals(load.spool.epoch)
    assert totals.readings == sum(held[0] for held in load.held.values())


def _reopened_has(load: Load, disk: MemoryDisk, held: set[tuple[int, int]]) -> None:
    spool = open_small(disk)
    assert {(r.epoch, r.sequence) for r in read_all(spool, Log.RAW)} == held
    assert numbers_lost(spool) == numbers_lost(load.spool)
    assert spool.ended == ((load.spool.epoch, load.spool.next_sequence - 1),)
    assert spool.totals(load.spool.epoch) == load.spool.totals(load.spool.epoch)


def test_a_record_larger_than_a_segment_is_kept() -> None:
    load = Load(open_small(MemoryDisk(), settings=small(max_bytes=400 * 1024)), Random(7))
    for size in (40_000, 100, 60_000):
        load.waiting[load.spool.append(bytes(size), time_ms=1, readings=1, fingerprint=1)] = b""
        load.commit()
    assert [len(r.body) for r in read_all(load.spool, Log.RAW)] == [40_000, 100, 60_000]
    load.spool.append(bytes(250_000), time_ms=1, readings=9, fingerprint=3)
    load.commit()
    (row,) = load.spool.lost
    assert (row.first, row.last, row.readings, row.reason) == (3, 3, 9, "spool_full")


def test_a_lower_cap_is_kept_to_after_the_next_commit() -> None:
    disk = MemoryDisk()
    load = Load(open_small(disk, settings=small(max_bytes=400 * 1024)), Random(7))
    for _ in range(100):
        load.append(4000)
        load.commit()
    spool = Spool.open(small(), NOW_MS, disk.killed())
    spool.commit()
    assert spool.used_bytes <= small().max_bytes


def test_what_comes_after_many_dropped_records_is_not_taken_for_old_bytes() -> None:
    disk = MemoryDisk()
    load = Load(open_small(disk), Random(7))
    full = OSError(errno.ENOSPC, "No space left on device")
    disk.allocate = lambda file, size: (_ for _ in ()).throw(full)  # type: ignore[method-assign]
    for _ in range(4):
        for _ in range(300):
            load.append(300)
        load.commit()
        load.append(2)
        load.commit()
    spool = open_small(disk.copy())
    held = {(r.epoch, r.sequence) for r in read_all(spool, Log.RAW)}
    assert load.raw.keys() - held == numbers_lost(spool).keys()


def test_the_cap_that_is_shown_is_what_the_disk_has() -> None:
    disk = MemoryDisk()
    spool = open_small(disk)
    cap = spool.max_bytes
    disk.capacity = spool.used_bytes + 4096
    assert spool.max_bytes == disk.capacity < cap
