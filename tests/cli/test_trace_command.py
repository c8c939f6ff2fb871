"""hardiot trace: what belongs to an alert, from the archive and from a Kafka that is a list."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import typer
from pyiceberg.catalog import Catalog
from typer.testing import CliRunner, Result

from jobs.cli import trace as command
from jobs.common.errors import HardiotError
from jobs.common.history import HistoryError
from jobs.common.rulebooks import Known
from jobs.lake import trace as lake_trace
from jobs.lake.query.names import Asked
from jobs.lake.settings import LakeSettings
from tests.lake.conftest import catalog, lake_settings
from tests.lake.query_plant import T0, Plant, catalogue, chunk, known, value
from tests.lake.test_query_events import alert, archive
from udfs.alerts import AlertEvent
from udfs.batch import Batch
from udfs.rules.record import Rulebook, encode, record_key

__all__ = ["catalog", "lake_settings"]  # fixtures

RULE = """- name: bearing-hot
  version: {version}
  sensors: {{kind: temperature}}
  condition: {{threshold: {{above: {above}}}}}
  severity: warning
  text: "{{sensor}} is hot"
"""
# the batch of tick 2 of minute 1: 20 s after it began
PARENT = f"00-{1:032x}-{3:016x}-01"
TICK_MS = T0 + 60_000 + 20_000

app = typer.Typer()
app.command()(command.trace)


@pytest.fixture
def plant(catalog: Catalog, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """An archive, and a Kafka that is empty."""
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake_settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake_settings.warehouse)
    monkeypatch.setattr(Asked, "find", lambda self, *place: known(*place))
    topic(monkeypatch)
    return Plant(catalog, lake_settings)


def sent(*batches: Batch) -> type[Any]:
    """Stands for KafkaHistory."""

    class History:
        def __init__(self, *place: str) -> None:
            assert place == ("kafka:1", "plant-07")

        def read(self, since_ms: int, until_ms: int) -> Any:
            if not batches:
                raise HistoryError("no facility of that name has readings there")
            for batch in batches:
                if batch.time_ms >= since_ms:
                    yield catalogue(), batch

    return History


def topic(
    patch: pytest.MonkeyPatch,
    told: tuple[AlertEvent, ...] = (),
    edge: tuple[AlertEvent, ...] = (),
    books: dict[int, str] | None = None,
) -> None:
    """What Kafka has."""
    known = Known()
    for revision, text in (books or {}).items():
        files = {"plant.yaml": "rules:\n" + text}
        book = Rulebook(revision, files, "ann", "overhaul", T0)
        known.take(record_key(revision, "x"), encode(book))
    patch.setattr(lake_trace, "KafkaHistory", sent())
    patch.setattr(lake_trace, "told", lambda *args: list(told))
    patch.setattr(lake_trace, "told_at_the_edge", lambda *args: list(edge))
    patch.setattr(lake_trace.rulebooks, "read", lambda bootstrap: known)


def hot(status: str = "firing", **changes: Any) -> AlertEvent:
    times = {"onset_ms": TICK_MS - 10_000, "event_ms": TICK_MS, "created_ms": TICK_MS + 1500}
    return alert(1, status, **{**times, "traceparent": PARENT, **changes})


def run(*args: str) -> Result:
    arguments = ["id-1", "--bootstrap", "kafka:1", *args]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
    if result.exception is not None:
        raise result.exception
    return result


def test_all_that_the_archive_and_the_rules_know(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.archive(*(chunk(minute, g) for minute in range(5) for g in ("gw-1", "gw-2")))
    archive(plant, hot(), alert(2))
    ended = hot("resolved", event_ms=TICK_MS + 30_000)
    books = {
        1: RULE.format(version=1, above=70),
        2: RULE.format(version=2, above=80),
        3: RULE.format(version=3, above=90),
    }
    topic(monkeypatch, told=(hot(), ended), books=books)
    result = run("--output", "json")
    found = json.loads(result.stdout)
    assert [event["status"] for event in found["events"]] == ["firing", "resolved"]
    assert (found["rule"]["revision"], found["rule"]["author"], found["rule"]["file"]) == (
        2, "ann", "plant.yaml",
    )  # fmt: skip
    assert found["rule"]["text"].splitlines()[:3] == [
        "name: bearing-hot", "version: 2", "sensors: {kind: temperature}",
    ]  # fmt: skip
    assert "above: 80" in found["rule"]["text"] and "is hot" in found["rule"]["text"]
    assert found["trace_id"] == f"{1:032x}"
    assert (found["batch"]["epoch"], found["batch"]["sequence"]) == (1, 8)
    assert found["readings_from"] == "archive"
    # a minute before the onset, a minute after the end, of this sensor of this gateway only
    times = range(TICK_MS - 70_000, TICK_MS + 90_000, 10_000)
    assert [row["value"] for row in found["readings"]] == [float(value(1, ms)) for ms in times]
    assert {row["sensor"] for row in found["readings"]} == {"pump-1.heat"}
    assert {row["gateway"] for row in found["readings"]} == {"gw-1"}
    assert found["notes"] == ["notifications: not recorded: no job delivers alerts yet"]


def test_for_people(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.archive(*(chunk(minute) for minute in range(3)))
    archive(plant, hot())
    topic(monkeypatch, books={4: RULE.format(version=2, above=80)})
    shown = run().stdout
    for text in (
        "alert id-1", "epoch 1, sequence 8, live", f"{1:032x}", "bearing-hot, version 2",
        "plant.yaml of revision 4, pushed 2026-01-01 00:00:00 UTC by ann: overhaul",
        "condition: {threshold: {above: 80}}", "97.5 °C, limit - °C",
        "readings around the onset, from archive", "no job delivers alerts yet",
    ):  # fmt: skip
        assert text in shown
    (onset,) = [line for line in shown.splitlines() if "onset" in line and "pump-1.heat" in line]
    assert "00:01:10.000" in onset
    assert f"{float(value(1, TICK_MS - 10_000)):.3f}" in onset


def test_once_compacted_only_kafka_knows_the_number_of_the_batch(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.archive(*(chunk(minute) for minute in range(3)))
    archive(plant, hot())
    list(plant.compact())
    found = json.loads(run("--output", "json", "--facility", "plant-07").stdout)
    assert found["batch"] is None and found["trace_id"] == f"{1:032x}"
    assert len(found["readings"]) == 13
    assert "batch: no facility of that name has readings there" in found["notes"]
    assert any("Kafka for two days" in note for note in found["notes"])
    batch = Batch("plant-07", "gw-1", 3, 4, TICK_MS, np.zeros(1), traceparent=PARENT)
    monkeypatch.setattr(lake_trace, "KafkaHistory", sent(batch))
    found = json.loads(run("--output", "json").stdout)
    assert (found["batch"]["epoch"], found["batch"]["sequence"]) == (3, 4)
    assert found["readings_from"] == "archive"


def test_an_asset_and_a_gateway(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.archive(chunk(0), chunk(1), chunk(2))
    topic(monkeypatch, told=(hot(kind="asset", subject="pump-2"),))
    found = json.loads(run("--output", "json").stdout)
    assert {row["sensor"] for row in found["readings"]} == {"pump-2.flow", "pump-2.heat"}
    topic(monkeypatch, edge=(hot(kind="gateway", subject="gateway", asset=""),))
    found = json.loads(run("--output", "json").stdout)
    assert found["readings"] == [] and found["batch"]["sequence"] == 8
    assert "the alert is about the whole gateway, not about readings" in found["notes"]


def test_what_is_minutes_old_is_in_kafka(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    topic(monkeypatch, told=(hot(),))
    batches = [
        Batch(
            "plant-07", gateway, 7, tick, T0 + tick * 10_000,
            value=value(range(5), T0 + tick * 10_000),
            traceparent=PARENT if (gateway, T0 + tick * 10_000) == ("gw-1", TICK_MS) else "",
        )
        for tick in range(60) for gateway in ("gw-2", "gw-1")
    ]  # fmt: skip
    monkeypatch.setattr(lake_trace, "KafkaHistory", sent(*batches))
    usual = lake_trace.Tracer
    monkeypatch.setattr(lake_trace, "Tracer", lambda *a: usual(*a, now_ms=lambda: TICK_MS + 30_000))
    found = json.loads(run("--output", "json").stdout)
    assert found["readings_from"] == "Kafka"
    assert (found["batch"]["epoch"], found["batch"]["sequence"]) == (7, 8)
    times = range(TICK_MS - 70_000, TICK_MS + 60_000, 10_000)
    assert [row["value"] for row in found["readings"]] == [float(value(1, ms)) for ms in times]


def test_without_kafka_and_an_id_that_nobody_knows(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(given: str | None) -> str:
        raise HardiotError("no local stack is up")

    monkeypatch.setattr(command, "find_bootstrap", none)
    archive(plant, hot(rule="bearing-temperature-high", rule_version=1))
    result = CliRunner().invoke(app, ["id-1", "--output", "json"])
    found = json.loads(result.stdout)
    assert "only what is archived is shown" in result.stderr
    assert found["rule"]["revision"] is None  # of flink-conf/rules
    assert any('facility "plant-07" is not in the archive' in note for note in found["notes"])
    result = CliRunner().invoke(app, ["id-9"])
    assert 'no alert "id-9": neither table alerts has (Kafka was not asked' in str(result.exception)
    monkeypatch.setattr(command, "find_bootstrap", lambda given: "kafka:1")
    result = CliRunner().invoke(app, ["id-9"])
    assert 'no alert "id-9": neither table alerts nor Kafka has' in str(result.exception)
