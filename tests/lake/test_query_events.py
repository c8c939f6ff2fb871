"""Alerts, ledger and restatements; SQL over a scope; why a question has no answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.catalog import open_catalog
from jobs.lake.events.tables import EventTables
from jobs.lake.query import Lake, QueryError
from jobs.lake.settings import LakeSettings
from tests.lake.query_plant import T0, Plant, chunk, known
from udfs.alerts import AlertEvent

PLACE = {"facility": "plant-07"}
DAY_MS = 86_400_000


@pytest.fixture
def plant(catalog: Catalog, lake_settings: LakeSettings) -> Plant:
    return Plant(catalog, lake_settings)


@pytest.fixture
def lake(plant: Plant) -> Iterator[Lake]:
    with Lake(open_catalog(plant.settings), plant.settings, known) as lake:
        yield lake


def at(time_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)


def alert(number: int, status: str = "firing", **changes: Any) -> AlertEvent:
    fields = {
        "id": f"id-{number}", "status": status, "rule": "bearing-hot", "rule_version": 2,
        "severity": "warning", "facility": "plant-07", "gateway": "gw-1",
        "subject": "pump-1.heat", "asset": "pump-1", "kind": "temperature", "unit": "°C",
        "value": 97.5, "limit": None, "onset_ms": T0 + number * DAY_MS,
        "event_ms": T0 + number * DAY_MS + 5000, "created_ms": T0, "late": False, "text": "hot",
        "traceparent": "",
    } | changes  # fmt: skip
    return AlertEvent(**fields)


def archive(plant: Plant, *events: AlertEvent) -> None:
    """Alerts as archive_events writes them."""
    rows = [
        asdict(event)
        | {"event_time": at(event.event_ms), "topic": "alerts", "partition": 0}
        | {"offset": number, "received": at(event.event_ms), "body": b"{}"}
        for number, event in enumerate(events)
    ]
    tables = EventTables(plant.catalog, plant.settings)
    tables.append({"alerts": [rows]}, {"alerts": {("alerts", 0): len(rows)}})


def test_alerts_by_time_whatever_file_they_are_in(plant: Plant, lake: Lake) -> None:
    archive(plant, alert(40), alert(2), alert(2, "resolved", event_ms=T0 + 3 * DAY_MS))
    archive(
        plant, alert(1), alert(3, facility="plant-08"), alert(1, "updated", severity="critical")
    )
    found = lake.alerts(**PLACE)
    ids = [(row["id"], row["status"]) for row in found.arrow().to_pylist()]
    assert sorted(ids[:2]) == [("id-1", "firing"), ("id-1", "updated")]
    assert ids[2:] == [("id-2", "firing"), ("id-2", "resolved"), ("id-40", "firing")]
    assert found.schema.field("onset_ms").metadata[b"description"].startswith(b"When the finding")
    assert "body" not in found.schema.names
    first = found.arrow().to_pylist()[2]
    assert (first["value"], first["limit"], first["event_time"]) == (
        97.5,
        None,
        at(T0 + 2 * DAY_MS + 5000),
    )


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 4),
        ({"severity": "critical"}, 1),
        ({"status": "firing", "subject": "pump-*"}, 2),
        ({"rule": "bearing-*", "asset": "pump-1", "kind": "temperature", "gateway": "gw-1"}, 4),
        ({"since": T0 + 2 * DAY_MS + 5000, "until": T0 + 2 * DAY_MS + 5001}, 1),
        ({"since": T0 + 2 * DAY_MS + 5001, "until": T0 + 3 * DAY_MS}, 0),
        ({"subject": "pump-2.heat"}, 0),
    ],
)
def test_which_alerts(plant: Plant, lake: Lake, asked: dict[str, Any], count: int) -> None:
    archive(
        plant, alert(1), alert(1, "updated", severity="critical", event_ms=T0 + DAY_MS + 9000),
        alert(2), alert(1, "resolved", event_ms=T0 + DAY_MS + 10_000),
    )  # fmt: skip
    assert len(lake.alerts(**PLACE, **asked).arrow()) == count


def test_one_alert_and_how_far_the_topic_is_archived(plant: Plant, lake: Lake) -> None:
    archive(plant, alert(1), alert(40, id="id-1", status="resolved"), alert(2))
    assert [row["status"] for row in lake.alert("id-1").to_pylist()] == ["firing", "resolved"]
    assert len(lake.alert("id-1", "plant-07")) == 2
    assert len(lake.alert("id-1", "plant-08")) == len(lake.alert("id-9")) == 0
    assert lake.archived_offsets() == {("alerts", 0): 3}


def test_ledger_counted_dead_letters_restatements_of_nothing(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0))
    for ask in (lake.ledger, lake.counted, lake.dead_letters, lake.restatements):
        found = ask(**PLACE)
        assert found.arrow().num_rows == 0 and len(found.schema) > 5
        assert "there is nothing of plant-07" in found.why_nothing()


def test_sql_over_a_scope(plant: Plant, lake: Lake) -> None:
    archive(plant, alert(0))
    plant.archive(chunk(0), chunk(1))
    plant.archive(chunk(0, facility="plant-08"))
    query = """
        select a.id, count(*) as n, max(r.value) as most from readings r join alerts a
        on r.sensor = a.subject and r.time >= a.event_time - interval 5 second group by a.id
    """
    (row,) = lake.sql(query, "plant-07", since="2026-01-01").arrow().to_pylist()
    assert (row["id"], row["n"]) == ("id-0", 12)
    count = "select count(*) as n from Readings"
    assert lake.sql(count, "plant-07", until=T0 + 60_000).arrow()["n"].to_pylist() == [30]
    assert lake.sql(count, "plant-07", sensor="tank.*").arrow()["n"].to_pylist() == [12]
    for wrong, told in (
        ("select 1", "the query names no table; there are readings, rollups"),
        ("select nothing from readings", "DuckDB does not take the query"),
    ):
        with pytest.raises(QueryError, match=told):
            lake.sql(wrong, "plant-07")
    with pytest.raises(QueryError, match='ledger: not limited by "sensor"'):
        lake.sql("select * from ledger", "plant-07", sensor="tank.*")


def test_an_unknown_facility_is_told_not_answered_with_nothing(plant: Plant, lake: Lake) -> None:
    with pytest.raises(QueryError, match=r'"plant-7" is not in the archive \(it is empty\)'):
        lake.readings("plant-7").df()
    plant.archive(chunk(0))
    list(plant.compact())
    for ask in (lake.readings, lake.rollups, lake.alerts, lake.ledger):
        with pytest.raises(QueryError, match=r'not in the archive \(did you mean "plant-07"\?\)'):
            ask("plant-7").arrow()
    assert len(lake.alerts("plant-07").arrow()) == 0


def test_why_there_is_nothing(plant: Plant, lake: Lake) -> None:
    plant.archive(chunk(0), chunk(59))
    list(plant.compact())
    plant.archive(chunk(60))
    span = "readings of plant-07 are from 2026-01-01 00:00:00 to 2026-01-01 01:01:00, UTC"
    assert lake.readings(**PLACE, since="2026-02-01").why_nothing() == span
    told = {
        "pump-1.hest": 'no sensor of plant-07 is "pump-1.hest" (did you mean "pump-1.heat"?)',
        "x": 'no sensor of plant-07 is "x" (known are 5, as pump-1.flow)',
        "y*": 'no sensor of plant-07 is "y*"',
    }
    for sensor, why in told.items():
        found = lake.readings(**PLACE, sensor=sensor)
        assert len(found.arrow()) == 0 and found.why_nothing() == why
    assert lake.rollups(**PLACE, kind="flwo").why_nothing() == (
        'no kind of plant-07 is "flwo" (did you mean "flow"?)'
    )
    gap = lake.readings(**PLACE, since=T0 + 120_000, until=T0 + 180_000)
    assert gap.why_nothing() == f"{span}; nothing of them is what was asked for"


def test_files_and_parts(plant: Plant, lake: Lake, tmp_path: Any) -> None:
    import pyarrow.parquet as pq

    plant.archive(chunk(0))
    found = lake.readings(**PLACE, sensor="tank.level")
    assert found.to_csv(tmp_path / "rows.csv") == found.to_parquet(tmp_path / "rows.parquet") == 6
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert lines[0].startswith('"facility","gateway","slot","sensor"') and len(lines) == 7
    assert lines[1] == (
        '"plant-07","gw-1",4,"tank.level","tank","level","m",2026-01-01 00:00:00.000Z,48.46,0'
    )
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.schema.field("value").metadata[b"unit"] == b"that of column unit"
    assert table["time"].to_pylist() == found.arrow()["time"].to_pylist()
    assert len(found.limit(4).arrow()) == 4 and len(found.limit(100).arrow()) == 6
    assert found.reader().read_all().num_rows == 6
