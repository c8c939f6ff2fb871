"""The spool on a real disk, from outside."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from edge.errors import EdgeError
from edge.settings import SpoolSettings
from edge.spool import Kind, Log, Spool
from tests.edge.spool.promises import NOW_MS, read_all


@pytest.fixture
def settings(tmp_path: Path) -> SpoolSettings:
    return SpoolSettings(folder=tmp_path / "spool", max_bytes=4 << 20, segment_bytes=64 << 10)


def put(spool: Spool, count: int, size: int = 1000) -> None:
    for number in range(count):
        spool.append(bytes([number % 256]) * size, time_ms=NOW_MS, readings=2, fingerprint=3)
    spool.commit()


def test_what_was_committed_is_read_back_and_goes_on_after_a_restart(
    settings: SpoolSettings,
) -> None:
    spool = Spool.open(settings, NOW_MS)
    assert (spool.epoch, spool.next_sequence, spool.committed(Log.RAW)) == (1_750_000_000, 0, -1)
    assert spool.recovery.new_epoch
    assert spool.append(b"one", time_ms=7, readings=5, fingerprint=11) == (1_750_000_000, 0)
    assert spool.append_record(Kind.ALERT, b"fire", 8) == 0
    assert spool.append_record(Kind.REFUSED, b"?", 9) == 0
    assert spool.pending(Log.RAW) == ()
    spool.commit()
    spool.append(b"never committed", time_ms=7, readings=5, fingerprint=11)
    spool.close()
    spool = Spool.open(settings, NOW_MS + 5000)
    assert not spool.recovery.new_epoch and spool.recovery.records == 3
    assert (spool.epoch, spool.next_sequence, spool.ended) == (1_750_000_000, 1, ())
    (one,) = spool.read(Log.RAW, 0, 0)
    assert (one.kind, one.index, one.epoch, one.sequence) == (Kind.BATCH, 0, 1_750_000_000, 0)
    assert (one.time_ms, one.readings, one.fingerprint, one.body) == (7, 5, 11, b"one")
    assert (one.total_readings, one.total_fingerprint) == spool.totals(spool.epoch) == (5, 11)
    assert [(r.kind, r.body) for r in read_all(spool, Log.ALERTS)] == [(Kind.ALERT, b"fire")]
    assert [(r.kind, r.body) for r in read_all(spool, Log.ROLLUPS)] == [(Kind.REFUSED, b"?")]


def test_pending_is_what_is_neither_acknowledged_nor_lost(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    put(spool, 10)
    spool.acknowledge(Log.RAW, 0, 1)
    spool.acknowledge(Log.RAW, 5, 7)
    assert spool.pending(Log.RAW) == ((2, 4), (8, 9))
    spool.acknowledge(Log.RAW, 8, 900)  # not committed yet, so not acknowledged
    put(spool, 1)
    assert spool.pending(Log.RAW) == ((2, 4), (10, 10))
    spool.save_pointer()
    spool.close()
    assert Spool.open(settings, NOW_MS).pending(Log.RAW) == ((2, 4), (10, 10))


def test_files_go_when_they_are_acknowledged_and_covered(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    for _ in range(20):
        put(spool, 30)
    full = spool.used_bytes
    spool.acknowledge(Log.RAW, 0, 599)
    spool.save_pointer()
    assert spool.used_bytes == full
    spool.covered(299)
    spool.save_pointer()
    assert spool.used_bytes < full - 4 * (64 << 10)
    assert [r.index for r in spool.tail(Log.RAW, 299)] == list(range(300, 600))
    spool.close()
    spool = Spool.open(settings, NOW_MS)
    assert spool.pending(Log.RAW) == () and spool.lost == () and spool.next_sequence == 600
    assert spool.used_bytes == sum(f.stat().st_size for f in settings.folder.rglob("*.*")) + sum(
        f.stat().st_size for f in settings.folder.iterdir() if f.is_file()
    )


def test_a_group_is_due_by_size_or_by_time(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    assert not spool.due(NOW_MS)
    spool.append(bytes(100), time_ms=0, readings=0, fingerprint=0)
    assert not spool.due(NOW_MS + 1000) and not spool.due(NOW_MS + 1049)
    assert spool.due(NOW_MS + 1050)
    spool.commit()
    assert not spool.due(NOW_MS + 1060)
    spool.append(bytes(64 << 10), time_ms=0, readings=0, fingerprint=0)
    assert spool.due(NOW_MS + 1061)


def test_reading_stops_at_the_bytes_that_are_asked_for(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    put(spool, 10, size=1000)
    assert [r.index for r in spool.read(Log.RAW, 0, 9, max_bytes=3500)] == [0, 1, 2]
    assert [r.index for r in spool.read(Log.RAW, 3, 9, max_bytes=1)] == [3]
    assert [r.index for r in spool.read(Log.RAW, 4, 5)] == [4, 5]
    assert [r.index for r in spool.read(Log.RAW, 8, 100)] == [8, 9]
    assert spool.read(Log.RAW, 10, 100) == []


def test_one_process_at_a_time(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    with pytest.raises(EdgeError, match="another gateway uses this spool"):
        Spool.open(settings, NOW_MS)
    spool.close()
    Spool.open(settings, NOW_MS).close()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeError, match="cannot be used as spool: Not a directory"):
        Spool.open(SpoolSettings(folder=tmp_path / "file" / "spool"), NOW_MS)


def test_a_newer_format_is_not_touched(settings: SpoolSettings) -> None:
    from edge.spool.segment import _HEAD, crc32c

    Spool.open(settings, NOW_MS).close()
    path = settings.folder / "raw" / "0000000000000000.seg"
    fields = list(_HEAD.unpack(path.read_bytes()[:64]))
    fields[2] = 2
    head = _HEAD.pack(*fields)
    head = head[:4] + crc32c(head[8:]).to_bytes(4, "little") + head[8:]
    path.write_bytes(head + path.read_bytes()[64:])
    with pytest.raises(EdgeError, match=r"0\.seg: format 2; this gateway reads 1"):
        Spool.open(settings, NOW_MS)


def test_only_the_owner_may_read(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    put(spool, 1)
    for path in [settings.folder, *settings.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_files_of_others_stay_and_count(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    before = spool.used_bytes
    spool.close()
    (settings.folder / "checkpoint").write_bytes(bytes(50_000))
    (settings.folder / "raw" / "note.txt").write_bytes(bytes(7))
    spool = Spool.open(settings, NOW_MS)
    assert spool.used_bytes == before + 50_007
    put(spool, 6000)
    assert (settings.folder / "checkpoint").stat().st_size == 50_000
    assert (settings.folder / "raw" / "note.txt").exists()


def test_hours_left_at_the_present_rate(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    assert spool.hours_left(NOW_MS) is None
    for second in range(60):
        spool.due(NOW_MS + second * 1000)
        put(spool, 1, size=920)  # 1000 bytes a second with its header
    free = spool.max_bytes - spool.used_bytes
    hours = spool.hours_left(NOW_MS + 60_000)
    assert hours is not None and free / 3_600_000 < hours < (free + (64 << 10)) / 3_600_000


def test_a_lost_disk_gives_a_higher_epoch(settings: SpoolSettings, tmp_path: Path) -> None:
    old = Spool.open(settings, NOW_MS)
    new = settings.model_copy(update={"folder": tmp_path / "new disk"})
    assert Spool.open(new, NOW_MS + 3_600_000).epoch == old.epoch + 3600


def test_raw_files_that_somebody_removed(settings: SpoolSettings) -> None:
    spool = Spool.open(settings, NOW_MS)
    put(spool, 10)
    spool.save_pointer()
    spool.close()
    for path in (settings.folder / "raw").iterdir():
        path.unlink()
    spool = Spool.open(settings, NOW_MS)
    assert spool.ended == ((1_750_000_000, None),) and spool.epoch == 1_750_000_001
    assert [(r.first, r.last, r.reason) for r in spool.lost] == [(0, 9, "damaged")]
    put(spool, 1)
    assert [r.sequence for r in read_all(spool, Log.RAW)] == [0]
    assert spool.pending(Log.RAW)[0][0] > 10


def test_two_threads(settings: SpoolSettings) -> None:
    """One appends while the other reads, acknowledges and frees: all come, once, in order."""
    spool = Spool.open(settings, NOW_MS)
    done = threading.Event()
    seen: list[int] = []

    def uplink() -> None:
        while not done.is_set() or spool.pending(Log.RAW):
            for first, last in spool.pending(Log.RAW):
                records = spool.read(Log.RAW, first, last, 20_000)
                seen.extend(r.sequence for r in records)
                spool.acknowledge(Log.RAW, records[0].index, records[-1].index)
                spool.save_pointer()

    thread = threading.Thread(target=uplink)
    thread.start()
    for _ in range(150):
        put(spool, 10, size=700)
        spool.covered(spool.committed(Log.RAW))
    done.set()
    thread.join(60)
    assert seen == list(range(1500)) and spool.lost == ()
