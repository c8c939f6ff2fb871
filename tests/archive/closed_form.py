"""What is sent into the archive, and what table chunks must then hold: worked out by hand."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from edge.simulator.build import expected_batches
from edge.simulator.fleet import facility_name
from edge.simulator.links import LinkFaults, Lost, Outage
from edge.simulator.settings import SimulatorSettings
from jobs.lake.catalog import open_catalog
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import CHUNKS, load_table
from udfs.archive import chunk
from udfs.archive.chunk import Chunk
from udfs.batch import Batch
from udfs.fingerprint import fingerprint, total
from udfs.minute import split

MINUTE_MS = 60_000
FACILITIES = [facility_name(number) for number in range(3)]
LOST = range(95, 102)  # of the third
SPEED = 10
Row = dict[str, Any]


def scenario(bootstrap: str, for_s: int) -> SimulatorSettings:
    """So many seconds of sending: duplicates, an outage, a loss."""
    batches = 120 + for_s * SPEED
    start_ms = (time.time_ns() // 10**6 - (batches + 120) * 1000) // MINUTE_MS * MINUTE_MS + 17_000
    return SimulatorSettings(
        bootstrap=bootstrap,
        facilities=len(FACILITIES),
        sensors=300,
        batches=batches,
        start_ms=start_ms,
        speed=SPEED,
        ledger_s=3,
        seed=11,
        links=LinkFaults(
            duplicates=0.05,
            outages=(Outage(facility=FACILITIES[1], at_s=80, for_s=110, replay=3),),
            lost=(Lost(facility=FACILITIES[2], first=LOST[0], last=LOST[-1]),),
        ),
    )


def expected(settings: SimulatorSettings) -> dict[tuple[str, int], list[Batch]]:
    """The batches of each gateway minute that is over, less what was lost."""
    minutes: dict[tuple[str, int], list[Batch]] = defaultdict(list)
    for name in FACILITIES:
        sent = list(expected_batches(settings, name, "gw-1"))
        over_ms = sent[-1].time_ms // MINUTE_MS * MINUTE_MS
        for batch in sent:
            for minute_ms, part in split(batch):
                if minute_ms < over_ms:
                    minutes[name, minute_ms].append(part)
    return minutes


def read(lake: LakeSettings) -> list[Row]:
    """The rows of table chunks as they are now."""
    catalog = open_catalog(lake)
    rows: list[Row] = load_table(catalog, lake, CHUNKS).scan().to_arrow().to_pylist()
    catalog.close()
    return rows


def read_all(lake: LakeSettings, wanted: int, limit_s: float = 60) -> list[Row]:
    """The rows when there are so many, and whatever came twice is there too."""
    deadline = time.monotonic() + limit_s
    while len(read(lake)) < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(5)
    return read(lake)


def assert_every_minute_once(rows: list[Row], settings: SimulatorSettings) -> list[Chunk]:
    """Every gateway minute that is over is there once, each of its readings to the bit."""
    chunks = [chunk.decode(row["chunk"]) for row in rows]
    minutes = expected(settings)
    assert sorted((c.facility, c.minute_ms) for c in chunks) == sorted(minutes)
    for item in chunks:
        parts = minutes[item.facility, item.minute_ms]
        assert (item.revision, len(item)) == (1, sum(map(len, parts)))
        assert item.fingerprint() == total(*map(fingerprint, parts))
        assert item.batches.sequence.tolist() == [part.sequence for part in parts]
    return chunks
