"""The uplink on the real spool: restarts, a full disk, and what the cloud's books say of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge import codec
from edge.settings import SpoolSettings, UplinkSettings
from edge.spool import Log, Spool
from edge.uplink.uplink import Uplink
from tests.edge.uplink.fakes import (
    FACILITY,
    GATEWAY,
    NOW,
    FakeRegistry,
    FakeTransport,
    NotingSpeaker,
)
from udfs import batch
from udfs.batch import Batch
from udfs.fingerprint import fingerprint

SMALL = 4 * 1024 * 1024


class RealSite:
    """A gateway whose spool is on disk and can be opened again as after a kill."""

    def __init__(self, folder: Path, readings: int = 200, **settings: object) -> None:
        self.folder, self.readings = folder, readings
        self.settings = UplinkSettings.model_validate(settings)
        self.transport = FakeTransport()
        self.speaker = NotingSpeaker()
        self.made: dict[tuple[int, int], int] = {}
        self.open()

    def open(self) -> None:
        spool = SpoolSettings(folder=self.folder, max_bytes=SMALL, segment_bytes=64 * 1024)
        self.spool = Spool.open(spool, self.transport.now_ms)
        self.transport._open, self.transport._due = [], []
        self.uplink = Uplink(
            self.settings, FACILITY, GATEWAY, self.spool, FakeRegistry(), self.transport,
            self.speaker,
        )  # fmt: skip
        self.encoder = codec.Encoder()

    def tick(self) -> None:
        epoch, sequence = self.spool.epoch, self.spool.next_sequence
        values = np.random.default_rng(sequence).normal(size=self.readings)
        now_ms = self.transport.now_ms
        made = Batch(FACILITY, GATEWAY, epoch, sequence, now_ms - 1000, values)
        self.spool.append(
            self.encoder.encode(made),
            time_ms=made.time_ms,
            readings=len(made),
            fingerprint=fingerprint(made),
        )
        self.spool.due(now_ms)
        self.spool.commit()
        self.spool.covered(self.spool.committed(Log.RAW))
        self.made[epoch, sequence] = len(made)
        for _ in range(10):
            self.uplink.step(self.transport.now_ms)
            self.transport.now_ms += 100

    def arrived(self) -> Counter[tuple[int, int]]:
        sent = self.transport.topic("readings") + self.transport.topic("backlog")
        found = (batch.decode(item.value) for item in sent)
        return Counter((item.epoch, item.sequence) for item in found)

    def drain(self) -> None:
        for _ in range(300):
            if self.uplink.backlog() == 0:
                return
            self.tick()
        raise AssertionError(self.spool.pending(Log.RAW))


def test_everything_arrives_once_and_the_files_go(tmp_path: Path) -> None:
    site = RealSite(tmp_path)
    site.transport.outages = [(NOW + 5_000, NOW + 65_000)]
    for _ in range(70):
        site.tick()
    site.drain()
    for _ in range(3):
        site.tick()
    assert set(site.arrived()) >= set(site.made) - {max(site.made)}
    assert max(site.arrived().values()) == 1
    assert len(list((tmp_path / "raw").glob("*.seg"))) <= 3


@pytest.mark.parametrize("every", [7, 1])
def test_kills_lose_nothing(tmp_path: Path, every: int) -> None:
    site = RealSite(tmp_path)
    site.transport.outages = [(NOW + 2_000, NOW + 12_000)]
    for number in range(30):
        site.tick()
        if number % every == 0:
            site.spool.close()  # what the pointer file does not say is not known any more
            site.open()
    site.drain()
    site.tick()
    assert set(site.arrived()) >= set(site.made) - {max(site.made)}


def test_what_a_full_spool_drops_is_declared_and_the_rest_arrives(tmp_path: Path) -> None:
    site = RealSite(tmp_path, readings=5_000, backlog_factor=50.0)
    site.transport.outages = [(NOW, NOW + 130_000)]
    for _ in range(130):
        site.tick()
    assert site.spool.lost != ()
    site.drain()
    for _ in range(12):
        site.tick()
    lost = {
        (loss.epoch, number)
        for loss in site.spool.lost
        for number in range(loss.first, loss.last + 1)
    }
    newest = {key for key in site.made if key[1] >= site.spool.next_sequence - 2}
    assert set(site.made) - set(site.arrived()) - newest == lost
    word = site.speaker.words[-1]
    told = {(word.epoch, n) for first, last in word.lost for n in range(first, last + 1)}
    assert told == lost
    counted = [key for key in site.made if key not in lost and key[1] <= word.sent_through]
    assert word.readings == sum(site.made[key] for key in counted)
    assert word.acknowledged_through >= word.sent_through - 1


def test_the_words_verify_every_batch(tmp_path: Path) -> None:
    site = RealSite(tmp_path, ledger_s=2)
    for _ in range(30):
        site.tick()
    ranges = {item for word in site.speaker.words for item in word.ranges}
    told = sorted(n for first, last, *_ in ranges for n in range(first, last + 1))
    assert told == list(range(told[-1] + 1))
    assert told[-1] >= 26
    prints = {
        item.sequence: fingerprint(item)
        for item in (batch.decode(s.value) for s in site.transport.topic("readings"))
    }
    for first, last, readings, told_print in ranges:
        numbers = range(first, last + 1)
        assert readings == 200 * len(numbers)
        assert told_print == sum(prints[n] for n in numbers) % 2**64
