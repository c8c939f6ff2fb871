"""The metrics of a gateway, and that they are those of infra/observability/metrics.yaml."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from edge.metrics import MAX_SOURCES, registry_of
from edge.status import RulesStatus, Status
from edge.timings import BOUNDS_S, Timings
from jobs.common.contracts import load_metrics
from tests.edge.web.samples import HOUR_MS, T0, alarms, link, status

WHO = {"facility": "plant-07", "gateway": "gw-1"}
REGISTERED = [metric for metric in load_metrics() if metric.source == "gateway"]


def samples(made: Status) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value by name and labels but facility and gateway, as Prometheus reads them."""
    found = {}
    text = generate_latest(registry_of(lambda: made)).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("hardiot_edge_"):
                assert WHO.items() <= sample.labels.items(), sample
                labels = tuple(sorted(sample.labels.items() - WHO.items()))
                found[sample.name.removeprefix("hardiot_edge_"), labels] = sample.value
    return found


def full() -> Status:
    """A status in which every metric has a value."""
    made = status(alarms=alarms())
    connection = link(True, certificate_expires_ms=T0 + HOUR_MS)
    return replace(made, uplink=replace(made.uplink, connection=connection))


def test_what_is_told() -> None:
    found = samples(full())
    expected = {
        ("readings_total", (("input", "mqtt"),)): 1_000_000,
        ("dropped_total", (("reason", "deadband"),)): 700,
        ("flagged_total", (("reason", "stuck"),)): 4,
        ("refused_total", (("reason", "not_json"),)): 0,
        ("batches_total", ()): 9123,
        ("passed_over_total", ()): 5,
        ("active_alarms", (("severity", "critical"),)): 1,
        ("active_alarms", (("severity", "info"),)): 0,
        ("clock_offset_seconds", (("source", "line-2"),)): -0.9,
        ("start_time_seconds", ()): T0 / 1000 - 180_000,
        ("idle_seconds", (("thread", "uplink"),)): 0.02,
        ("spool_used_bytes", ()): 4e8,
        ("spool_max_bytes", ()): 8e9,
        ("spool_hours_left", ()): 31.4,
        ("pending_records", (("log", "raw"),)): 2,
        ("oldest_pending_seconds", ()): 1.3,
        ("lost_batches_total", (("reason", "spool_full"),)): 0,
        ("damaged_segments", ()): 0,
        ("epoch", ()): 3,
        ("commit_seconds_bucket", (("le", "0.005"),)): 2,
        ("commit_seconds_bucket", (("le", "10.0"),)): 3,
        ("commit_seconds_bucket", (("le", "+Inf"),)): 4,
        ("commit_seconds_count", ()): 4,
        ("commit_seconds_sum", ()): pytest.approx(60.038),
        ("rules_revision", ()): 6,
        ("rules_offered_revision", ()): 6,
        ("rulebooks_refused_total", ()): 0,
        ("rules_failed_batches_total", ()): 0,
        ("rules_unreadable_total", (("reason", "not_allowed"),)): 0,
        ("sent_total", (("lane", "live"),)): 9000,
        ("acknowledged_total", (("lane", "live"),)): 8998,
        ("live_ack_seconds_count", ()): 1,
        ("backlog_readings_per_second", ()): 20_000,
        ("kafka_connected", ()): 1,
        ("input_connected", (("input", "opcua-1"),)): 1,
        ("rebirths_total", (("input", "mqtt"),)): 2,
        ("sequence_gaps_total", (("input", "mqtt"),)): 1,
        ("certificate_expiry_timestamp_seconds", (("peer", "kafka"),)): T0 / 1000 + 3600,
    }
    assert {key: found[key] for key in expected} == expected


def test_they_are_registered_with_their_labels() -> None:
    found: dict[str, set[str]] = {}
    for name, labels in samples(full()):
        base = name
        for ending in ("_bucket", "_count", "_sum"):
            base = base.removesuffix(ending)
        found.setdefault(f"hardiot_edge_{base}", set()).update(
            {label for label, _ in labels} - {"le"}
        )
    assert found == {metric.name: set(metric.labels) - set(WHO) for metric in REGISTERED}


def test_they_are_of_the_type_that_is_registered() -> None:
    text = generate_latest(registry_of(full)).decode()
    types = {
        line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")
    }
    assert {metric.name: types[metric.name] for metric in REGISTERED} == {
        metric.name: metric.type for metric in REGISTERED
    }


def test_sources_are_bounded_to_the_worst() -> None:
    offsets = {f"device-{n}": float(n) for n in range(500)}
    found = samples(status(clock_offset_ms=offsets))
    told = {value for (name, _), value in found.items() if name == "clock_offset_seconds"}
    assert told == {n / 1000 for n in range(500 - MAX_SOURCES, 500)}


def test_what_is_not_known_is_absent() -> None:
    made = status()
    found = samples(replace(made, spool=replace(made.spool, hours_left=None, oldest_ms=None)))
    names = {name for name, _ in found}
    assert "rules_revision" not in {name for name, _ in samples(status(rules=RulesStatus()))}
    assert "spool_hours_left" not in names and "certificate_expiry_timestamp_seconds" not in names
    assert found["oldest_pending_seconds", ()] == 0


def test_a_duration_at_a_bound_belongs_to_it() -> None:
    made = Timings()
    for each in (0.0, *BOUNDS_S, 11.0):
        made.note(each)
    assert made.durations().counts == (2, *[1] * (len(BOUNDS_S) - 1), 1)
    assert made.durations().count == len(BOUNDS_S) + 2
