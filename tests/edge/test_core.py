"""The pipeline through restarts: nothing twice, nothing acknowledged early, no start that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import checkpoint
from edge.block import Receipt
from edge.inputs.result import Refused, Result
from edge.registry import COPY, FILE
from edge.simulator.faults import Fault
from edge.simulator.settings import SimulatorSettings
from edge.spool.record import Log
from edge.spool.spool import SpoolFailed
from tests.edge.rig import START_MS, Site

SENSORS = 100


def site(tmp_path: Path, **settings: object) -> Site:
    hot = Fault(kind="step", sensors="pump-001.bearing-temperature", size=48, from_s=20, for_s=30)
    machines = SimulatorSettings(
        facilities=1, sensors=SENSORS, start_ms=START_MS, batches=10**6, faults=(hot,)
    )
    return Site(tmp_path / "spool", machines, settings=settings)


def again(found: Site, seconds: int = 0) -> None:
    """Killed and started; the last seconds come again, as unacknowledged messages do."""
    found.kill()
    found.start()
    second = (found.now_ms - START_MS) // 1000
    for back in range(seconds, 0, -1):
        found.direct.offer(found.plant.batch(second - back), found.now_ms)


def made(found: Site, seconds: int) -> int:
    return sum(len(found.plant.batch(second)) for second in range(seconds))


@pytest.mark.parametrize("checkpoint_s", [5, 1000])
def test_kills_and_what_comes_again_change_nothing(tmp_path: Path, checkpoint_s: int) -> None:
    found = site(tmp_path, spool={"checkpoint_s": checkpoint_s})
    repeats = 0
    for _ in range(6):
        found.run(15)
        again(found, seconds=4)
        found.core.step(found.now_ms)
        repeats += 4 * SENSORS
    found.run(15)
    found.settle(30)
    line = found.cloud.line
    assert line["readings"] == made(found, 105)
    assert line["missing"] == 0
    assert line["late"] == line["refused"] == 0
    told = [(event.id, event.status) for event in found.cloud.edge_alerts]
    assert len(told) == len(set(told))
    assert {event.rule for event in found.cloud.edge_alerts} >= {"bearing-temperature-critical"}
    ours = set(told)
    assert ours == {(e.id, e.status) for _, e in found.cloud.alerts if e.subject != "gateway"}


def test_a_damaged_checkpoint_costs_only_memory(tmp_path: Path) -> None:
    found = site(tmp_path, spool={"checkpoint_s": 5})
    found.run(20)
    path = tmp_path / "spool" / checkpoint.FILE
    path.write_bytes(path.read_bytes()[:-1])
    again(found, seconds=4)
    assert found.core.counts["checkpoint_damaged"] == 1
    assert found.core.counts["replayed"] == 20
    found.run(10)
    found.settle(30)
    assert found.cloud.line["readings"] == made(found, 30)


def test_a_registry_that_was_put_back_from_a_backup_stops_no_start(tmp_path: Path) -> None:
    """Records name a catalogue that is not there: they are sent, but not judged."""
    found = site(tmp_path)
    found.run(3)
    for name in (FILE, COPY):
        (tmp_path / "spool" / name).unlink()
    again(found)
    assert found.core.counts["replay_failed"] == 3
    assert found.core.counts["replayed"] == 0


def test_nothing_is_acknowledged_before_it_is_on_disk(tmp_path: Path) -> None:
    found = site(tmp_path)
    given: list[int] = []
    for second in range(3):
        receipt = Receipt(lambda second=second: given.append(second))
        found.direct.offer(found.plant.batch(second), START_MS + second * 1000 + 1005, receipt)
    assert given == []
    found.core.step(START_MS + 2160, idle=False)  # two ticks are over, and wait for their group
    assert given == []
    found.core.step(START_MS + 2215, idle=False)  # 50 ms later it is due
    assert given == [0, 1]
    assert found.spool.committed(Log.RAW) == 1
    found.core.step(START_MS + 3160)
    assert given == [0, 1, 2]


def test_after_a_failed_commit_nothing_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = site(tmp_path)
    given: list[str] = []
    found.direct.offer(found.plant.batch(0), START_MS + 1005, Receipt(lambda: given.append("yes")))

    def fail() -> None:
        raise SpoolFailed("no")

    monkeypatch.setattr(found.spool, "commit", fail)
    with pytest.raises(SpoolFailed):
        found.core.step(START_MS + 1160)
    assert given == []


def test_refused_messages_are_kept_up_to_a_limit_and_acknowledged_with_the_commit(
    tmp_path: Path,
) -> None:
    found = site(tmp_path)
    given: list[str] = []
    receipt = Receipt(lambda: given.append("yes"))
    receipt.hold()
    refused = [Refused("bad_json", "no JSON", "line/1", b"{")] * 601
    found.core.take(Result([], refused, receipt), START_MS)
    assert given == []
    found.core.step(START_MS)
    assert given == ["yes"]
    assert found.spool.committed(Log.ROLLUPS) == 599
    assert found.core.counts["refused_bad_json"] == 601
    assert found.core.counts["refused_not_kept"] == 1
    found.core.take(Result([], refused[:1]), START_MS + 60_000)
    assert found.core.counts["refused_not_kept"] == 1


def test_late_readings_that_are_all_repeats_make_no_batch(tmp_path: Path) -> None:
    found = site(tmp_path)
    found.run(5)
    before = found.core.batches
    found.direct.offer(found.plant.batch(1), found.now_ms)
    found.core.step(found.now_ms + 400)
    assert found.ticks.held == 0
    assert found.core.batches == before
