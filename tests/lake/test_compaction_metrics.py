"""The metrics of compact_readings, and that they are those of infra/observability/metrics.yaml."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobs.common.contracts import load_metrics
from jobs.lake.compaction.compactor import Report
from jobs.lake.compaction.metrics import Metrics
from jobs.lake.compaction.plan import FacilityHour, Planner

PREFIX = "hardiot_compaction_"


def families(metrics: Metrics) -> dict[str, tuple[str, float]]:
    """Type and value of each sample."""
    text = generate_latest(metrics.registry).decode()
    return {
        sample.name: (family.type, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX) and not sample.name.endswith("_created")
    }


def test_they_are_registered() -> None:
    registered = {m.name: m.type for m in load_metrics() if m.name.startswith(PREFIX)}
    found = families(Metrics(Planner(900, ".*"), lambda: 0))
    assert {name: kind for name, (kind, _) in found.items()} == registered


def test_what_they_tell() -> None:
    planner = Planner(900, ".*")
    metrics = Metrics(planner, lambda: 100_000)
    metrics.done(Report(hours=2, readings=100, bytes=70, restated=3, failed=["plant-1"]))
    planner._since_ms["plant-1", 0] = 40_000
    hour = FacilityHour("plant-2", 0, ())
    planner.done(hour, [_File("a")], damaged=2)  # type: ignore[list-item]
    told = {name.removeprefix(PREFIX): value for name, (_, value) in families(metrics).items()}
    assert told == {
        "hours_total": 2, "readings_total": 100, "bytes_total": 70, "restated_minutes_total": 3,
        "failures_total": 1, "lag_seconds": 60, "damaged_chunks": 2,
    }  # fmt: skip


class _File:
    def __init__(self, path: str) -> None:
        self.file_path = path
