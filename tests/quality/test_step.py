"""The check as a step of maintenance."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from jobs.lake.maintain.policy import FILE, load_policy
from jobs.lake.maintain.work import Work
from jobs.lake.tables import ROLLUPS
from jobs.quality.step import QualityStep
from tests.lake.compaction_plant import HOUR_MS, T0, hour
from tests.quality import plant
from tests.quality.test_facts import cell


def test_each_round_checks_what_has_settled_since(site, catalog, lake_settings, tmp_path) -> None:
    limits = tmp_path / "quality.yaml"
    limits.write_text('kinds: {"level": {unusable: 0.3}}\n')
    step, beats = QualityStep(limits, tmp_path / "pages"), []
    of_process = CollectorRegistry()
    of_process.register(step.registry)

    def work(hours: int, dry_run: bool = False) -> Work:
        now_ms = T0 + hours * HOUR_MS
        return Work(catalog, lake_settings, load_policy(FILE), now_ms, dry_run,
                    alive=lambda: beats.append(hours))  # fmt: skip

    def metric(name: str) -> float:
        lines = generate_latest(of_process).decode().splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))

    assert list(step(work(4, dry_run=True))) == []
    assert not (tmp_path / "pages").exists()
    assert list(step(work(4))) == []
    assert metric("hardiot_quality_checked_gateway_hours") == 2
    assert (tmp_path / "pages" / "index.html").exists()
    assert set(beats) == {4}
    beats.clear()
    # nothing has settled since
    assert list(step(work(4))) == []
    assert beats == []

    site.archive(*hour(2))
    plant.compact(site)
    plant.tell(site, plant.words(plant.batches(3))[120:])
    plant.change(site, ROLLUPS, cell(revision=0))
    (deed,) = step(work(5))
    assert (deed.step, deed.table, deed.facility, deed.rows) == (
        "quality", "rollups", "plant-07/gw-1", 1,
    )  # fmt: skip
    assert deed.why == "low_revisions: 1 of 2, 2026-01-01T01 gw-1.p1.flow"
    assert metric("hardiot_quality_checked_gateway_hours") == 2
    assert metric('hardiot_quality_failed_checks{suite="rollups"}') == 1
    # hour 1 was checked twice, and is not looked at a third time
    assert list(step(work(7))) == []
