"""A day without a network, in compressed time: nothing lost, nothing twice, and the same minutes.

The short form is a quarter of an hour of 200 sensors, the long one (HARDIOT_FAULTS=long) the whole
day of 5,000.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.simulator.faults import Fault
from edge.simulator.settings import SimulatorSettings
from edge.uplink.pacing import FLOOR
from tests.edge.faults import LONG
from tests.edge.rig import START_MS, TICK_MS, Site
from udfs.alerts import FIRING
from udfs.records import BACKLOG
from udfs.rollup import MinuteRollup
from udfs.shares import BATCH_COST

SENSORS = 5000 if LONG else 200
OUTAGE_S = 86_400 if LONG else 900
BEFORE_S, FACTOR = 90, 4
# at 4 times the live rate beside the live data; and a bit to begin and to end
DRAIN_S = OUTAGE_S // FACTOR + 120
FAULT_AT_S, FAULT_FOR_S = 30, 20


def machines(**more: object) -> SimulatorSettings:
    faults = [
        Fault(
            kind="step", sensors="pump-00?.bearing-temperature", size=48,
            from_s=at_s, for_s=FAULT_FOR_S,
        )
        for at_s in (FAULT_AT_S, BEFORE_S + 60, BEFORE_S + OUTAGE_S + 30)
    ]  # fmt: skip
    given = {"facilities": 1, "sensors": SENSORS, "start_ms": START_MS, "batches": 10**9}
    return SimulatorSettings.model_validate({**given, "faults": faults, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    """In memory: the disk has tests of its own, and a day has 86,400 commits."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path_factory.mktemp("spools")
        return
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)


def run(folder: Path, outages: list[tuple[float, float]]) -> Site:
    site = Site(folder, machines(), outages, {"uplink": {"backlog_factor": FACTOR}})
    began_s = time.perf_counter()
    site.run(BEFORE_S + OUTAGE_S + DRAIN_S)
    site.settle(40)
    event_s = (site.now_ms - START_MS) / 1000
    pace = event_s / (time.perf_counter() - began_s)
    sys.stderr.write(
        f"{event_s:.0f} s of event time, {SENSORS} sensors: {pace:.0f} times as fast\n"
    )
    return site


@pytest.fixture(scope="module")
def cut(folder: Path) -> Site:
    """A site whose link was down."""
    return run(folder / "cut", [(BEFORE_S, BEFORE_S + OUTAGE_S)])


def bare(minute: MinuteRollup) -> MinuteRollup:
    """Without its trace, which is new with each run."""
    return replace(minute, traceparent="")


def test_an_outage_changes_no_bit_of_any_minute(cut: Site, folder: Path):
    whole = run(folder / "whole", [])
    expected, found = whole.cloud, cut.cloud
    assert found.line["missing"] == found.line["declared_lost"] == 0
    assert found.line["readings"] == expected.line["readings"] > 0
    assert found.line["late"] == found.line["refused"] == 0
    assert found.line["different"] == found.line["unaccounted"] == []
    assert found.line["verified_readings"] == found.line["readings"]
    assert found.minutes.keys() == expected.minutes.keys()
    assert len(found.minutes) >= (BEFORE_S + OUTAGE_S + DRAIN_S) // 60 - 1
    for start_ms, minute in expected.minutes.items():
        assert minute.complete
        assert bare(found.minutes[start_ms]).same_as(bare(minute))

    assert max(cut.pending) >= OUTAGE_S - 60  # the backlog was there,
    assert cut.uplink.backlog() == 0  # and is gone in time
    first_ms = next(at for at, topic in cut.topics if topic == BACKLOG)
    last_ms = max(at for at, topic in cut.topics if topic == BACKLOG)
    cost = SENSORS + BATCH_COST
    paced_s = OUTAGE_S * cost / max(FACTOR * cost, FLOOR)
    assert 0.8 * paced_s <= (last_ms - first_ms) / 1000 <= 1.2 * paced_s


def test_live_data_do_not_wait_for_the_backlog(cut: Site):
    back_ms = START_MS + (BEFORE_S + OUTAGE_S + 5) * TICK_MS
    waits = [at - time_ms - TICK_MS for at, time_ms in cut.live if at > back_ms]
    assert len(waits) > DRAIN_S - 60
    assert max(waits) <= 500


def test_alerts_at_the_site_have_the_ids_of_the_cloud_and_come_in_the_outage(cut: Site):
    ours = {(e.id, e.status) for e in cut.cloud.edge_alerts}
    theirs = {(e.id, e.status) for _, e in cut.cloud.alerts if e.subject != "gateway"}
    assert len(ours) == len(cut.cloud.edge_alerts)
    assert ours == theirs
    assert len({e.id for e in cut.cloud.edge_alerts}) >= 3 * 2
    at_ms = START_MS + (BEFORE_S + 60) * TICK_MS
    told = [e for e in cut.cloud.edge_alerts if at_ms <= e.onset_ms < at_ms + FAULT_FOR_S * 1000]
    assert told
    firing = [e for e in told if e.status == FIRING]
    assert all(e.created_ms - e.event_ms < 2000 for e in firing)  # on site, without the cloud
    late = {e.id: e.late for _, e in cut.cloud.alerts}
    assert all(late[e.id] for e in told)  # in the cloud they are history
