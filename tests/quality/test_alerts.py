"""What fails is an alert under one id, and ends when it passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobs.common.contracts import load_contracts
from jobs.common.tail import Tail
from jobs.common.topics import ensure_topics
from jobs.lake.tables import ALERTS
from jobs.local.broker import Broker
from jobs.quality import metrics
from jobs.quality.alerts import Outbox, news, open_alerts
from jobs.quality.report import Failure, Report, Result
from tests.lake.compaction_plant import Site
from tests.quality import plant
from tests.quality.plant import FACILITY, HOUR_MS, T0
from udfs.alerts import from_json, rfc3339

KEY = (FACILITY, "gw-1", "rollups")
NOW_MS = T0 + 30 * HOUR_MS


def report(*hours: str, until: int = 24) -> Report:
    """One that judged the rollups of two gateways; gw-1 fails in these hours."""
    made = Report(T0, T0 + until * HOUR_MS)
    made.seen = {KEY, (FACILITY, "gw-2", "rollups")}
    failures = [Failure(2.0, FACILITY, "gw-1", hour, "", "p1.flow") for hour in hours]
    result = Result("rollups", "low_revisions", "says", "fix")
    result.add("rollups", 0, 48, failures)
    made.results["rollups", "low_revisions"] = result
    made.note("rollups", "low_revisions", failures)
    return made


def test_a_gateway_that_fails_is_told_of_once() -> None:
    failing = report("2026-01-01T05", "2026-01-01T03")
    (event,) = news(failing, {}, "critical", NOW_MS)
    assert (event.status, event.severity, event.subject, event.kind) == (
        "firing", "critical", "quality", "gateway",
    )  # fmt: skip
    assert (event.rule, event.value, event.limit) == ("quality-rollups", 1.0, 0.0)
    assert event.onset_ms == T0 + 3 * HOUR_MS
    assert event.text == (
        "plant-07/gw-1: stored data fail rollups: "
        "low_revisions 2 times, first 2026-01-01T03 p1.flow"
    )
    assert set(event.__slots__) == {k.name for k in load_contracts()["hardiot.alert.v1"].fields_}
    # the same failure found by another run has the same id; an open one is not told again
    assert news(failing, {}, "critical", NOW_MS + 1)[0].id == event.id
    assert news(failing, {KEY: event}, "critical", NOW_MS) == []


def test_it_ends_when_a_later_run_passes_and_not_when_nobody_looked() -> None:
    (event,) = news(report("2026-01-01T03"), {}, "warning", NOW_MS)
    (ended,) = news(report(until=25), {KEY: event}, "warning", NOW_MS)
    assert (ended.id, ended.status, ended.event_ms) == (event.id, "resolved", T0 + 25 * HOUR_MS)
    unseen = report()
    unseen.seen.remove(KEY)
    assert news(unseen, {KEY: event}, "warning", NOW_MS) == []
    # an earlier day that passes says nothing of this one
    assert news(report(until=23), {KEY: event}, "warning", NOW_MS) == []


def rows_of(events: list[Any]) -> list[dict[str, Any]]:
    names = events[0].__slots__
    return [
        {name: getattr(event, name) for name in names}
        | {"event_time": event.event_ms * 1000, **plant.kafka("alerts", n, T0, b"{}")}
        for n, event in enumerate(events)
    ]


def test_table_alerts_knows_which_are_open(catalog, lake_settings) -> None:
    site = Site(catalog, lake_settings)
    assert open_alerts(catalog, lake_settings, report()) == {}
    (event,) = news(report("2026-01-01T03"), {}, "warning", NOW_MS)
    plant.write(site, ALERTS, rows_of([event]), ("event_time", "received"))
    assert open_alerts(catalog, lake_settings, report()) == {KEY: event}
    (ended,) = news(report(until=25), {KEY: event}, "warning", NOW_MS)
    plant.write(site, ALERTS, rows_of([ended]), ("event_time", "received"))
    assert open_alerts(catalog, lake_settings, report()) == {}


def test_metrics(tmp_path: Path) -> None:
    failing = report("2026-01-01T05", "2026-01-01T03")
    failing.hours, failing.told, failing.proven = 48, 1000, 990
    metrics.write(failing, NOW_MS, tmp_path / "quality.prom")
    text = (tmp_path / "quality.prom").read_text()
    found = {
        (sample.name.removeprefix("hardiot_quality_"), sample.labels.get("suite", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["failed_checks", "rollups"] == found["failing_gateways", "rollups"] == 1
    assert found["failed_checks", "readings"] == 0
    assert found["proven_share", ""] == 0.99
    assert found["checked_gateway_hours", ""] == 48
    assert found["last_check_timestamp_seconds", ""] == NOW_MS / 1000


@pytest.mark.stack
def test_events_are_in_topic_alerts(tmp_path: Path) -> None:
    (event,) = news(report("2026-01-01T03"), {}, "warning", NOW_MS)
    with Broker(tmp_path / "kafka") as broker:
        ensure_topics(broker.bootstrap, [FACILITY])
        with Outbox(broker.bootstrap) as outbox:
            assert outbox.send([event]) == 1
        with Tail(broker.bootstrap, ["alerts"], [], from_start=True) as tail:
            (message,) = list(tail.rest())
    assert from_json(message.value) == event
    assert message.key == event.id
    assert rfc3339(event.event_ms) == "2026-01-02T00:00:00.000Z"
