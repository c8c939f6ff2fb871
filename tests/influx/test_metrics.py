"""The publisher's metrics are those that the list of metrics says, with its labels."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from jobs.common.contracts import load_contracts, load_metrics
from jobs.influx.metrics import Metrics
from jobs.influx.points import HeldBack, Reason


def test_they_are_those_of_the_list() -> None:
    metrics = Metrics()
    metrics.begin("all")
    metrics.points("all", 3)
    metrics.held_back("all", {HeldBack.UNCHANGED: 2})
    metrics.retried("all", "503")
    metrics.dead_lettered("all", Reason.INFLUX_REFUSED)
    text = generate_latest(metrics.registry).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    found = {
        sample.name: set(sample.labels)
        for sample in samples
        if sample.name.startswith("hardiot_") and not sample.name.endswith("_created")
    }
    listed = [m for m in load_metrics() if m.name.startswith("hardiot_publish_")]
    assert found == {metric.name: set(metric.labels) for metric in listed}
    assert {s.labels["reason"] for s in samples if "held_back" in s.name} == {"unchanged"}


def test_reasons_are_those_of_the_contract() -> None:
    contract = load_contracts()["hardiot.rollup.v1"]
    assert {item.reason for item in contract.reasons} == set(Reason)
