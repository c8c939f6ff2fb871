"""Records as rows of tables, each once: alerts, both sides of the ledger, dead letters."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyiceberg.catalog import Catalog

from jobs.lake.events.rows import Came, rows_of
from jobs.lake.events.tables import EventTables
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ALERTS, COUNTED, DEAD_LETTERS, LEDGER, ROLLUPS, load_table
from tests.udfs.test_alerts import EVENT
from udfs.alerts import to_cloudevent
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.ledger import Word, encode_word
from udfs.minute import Minute, Part
from udfs.rollup import encode

AT_MS = 1_767_312_000_123
AT = datetime(2026, 1, 2, 0, 0, 0, 123_000, UTC)
CATALOGUE = Catalogue(
    "plant-1", "gw-1", 3, ("a", "b"), ("bar", "K"), ("pressure", "temperature"), ("m", "m"),
    np.zeros(2), np.ones(2), np.full(2, 1000, np.int32),
)  # fmt: skip


def find(facility: str, gateway: str, version: int) -> Catalogue | None:
    return CATALOGUE if (facility, gateway, version) == ("plant-1", "gw-1", 3) else None


def came(topic: str, value: bytes, headers: dict[str, str] | None = None, offset: int = 7) -> Came:
    return Came(topic, 2, offset, AT_MS, "plant-1/gw-1", value, headers or {})


def line(**more: Any) -> bytes:
    names = (
        "batches", "readings", "epoch", "epoch_readings", "bad_readings", "duplicates", "late",
        "refused", "missing", "declared_lost", "contiguous_through", "highest",
    )  # fmt: skip
    numbers = {name: number for number, name in enumerate(names)}
    said = {"contract": "hardiot.counted.v1", "facility": "plant-1", "gateway": "gw-1"}
    return json.dumps(said | numbers | {"counted_ms": AT_MS} | more).encode()


def edge_rollup(catalogue: int = 3) -> bytes:
    minute = Minute(AT_MS // 60_000 * 60_000)
    batch = Batch("plant-1", "gw-1", 1, 0, AT_MS, np.array([1.0, 2.5]), catalogue=catalogue)
    minute.fold(Part.of(batch))
    return encode(minute.rollup("plant-1", "gw-1", 0, False, 3))


def test_an_alert() -> None:
    _, value, headers = to_cloudevent(EVENT)
    spec, (row,) = rows_of(came("alerts", value, headers), find)
    assert spec is ALERTS
    assert (row["id"], row["status"], row["value"]) == (EVENT.id, "firing", 81.5)
    assert int(row["event_time"].timestamp() * 1000) == EVENT.event_ms
    assert (row["topic"], row["partition"], row["offset"]) == ("alerts", 2, 7)
    assert (row["received"], row["body"]) == (AT, value)
    assert row.keys() == {column.name for column in ALERTS.columns}


def test_a_word_of_a_gateway() -> None:
    word = Word("plant-1", "gw-1", 4, 99, 500, lost=((3, 5), (9, 9)), pending=2)
    spec, (row,) = rows_of(came("ledger.plant-1", encode_word(word)), find)
    assert spec is LEDGER and row.keys() == {column.name for column in LEDGER.columns}
    assert (row["epoch"], row["sent_through"], row["readings"]) == (4, 99, 500)
    assert (row["lost"], row["pending"], row["acknowledged_through"]) == (4, 2, -1)
    assert row["time"] == AT  # it does not say when
    _, (row,) = rows_of(came("ledger.plant-1", encode_word(replace(word, sent_ms=1000))), find)
    assert row["time"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_line_of_the_clouds_count() -> None:
    spec, (row,) = rows_of(came("counted.plant-1", line(verified_readings=44)), find)
    assert spec is COUNTED and row.keys() == {column.name for column in COUNTED.columns}
    assert (row["batches"], row["highest"], row["time"]) == (0, 11, AT)
    assert (row["verified_readings"], row["unaccounted_batches"]) == (44, None)


@pytest.mark.parametrize("topic", ["dead-letters", "edge-dead-letters.plant-1"])
def test_a_dead_letter(topic: str) -> None:
    headers = {
        "reason": "not_arrow", "detail": "junk", "job": "rollup_readings", "refused_ms": "5000",
        "topic": "readings.plant-1", "partition": "1", "offset": "12",
    }  # fmt: skip
    spec, (row,) = rows_of(came(topic, b"\xff", headers), find)
    assert spec is DEAD_LETTERS and row.keys() == {column.name for column in DEAD_LETTERS.columns}
    assert (row["facility"], row["gateway"], row["reason"]) == ("plant-1", "gw-1", "not_arrow")
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == (
        "readings.plant-1", 1, 12,
    )  # fmt: skip
    assert row["refused"].timestamp() == 5.0 and row["body"] == b"\xff"
    _, (row,) = rows_of(came(topic, b"\xff"), find)
    assert (row["reason"], row["source_offset"], row["refused"]) == ("", -1, AT)


def test_a_piece_of_a_minute_that_a_gateway_rolled_up() -> None:
    spec, rows = rows_of(came("edge-rollups.plant-1", edge_rollup()), find)
    assert spec is ROLLUPS
    assert rows.column("sensor").to_pylist() == ["a", "b"]
    assert rows.column("source").to_pylist() == ["edge", "edge"]
    assert rows.column("sum").to_pylist() == [1.0, 2.5]


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        ("alerts", b"{}", "unreadable"),
        ("ledger.plant-1", b"[]", "unreadable"),
        ("counted.plant-1", b"{}", "unreadable"),
        ("counted.plant-1", b"[1]", "unreadable"),
        ("counted.plant-1", line(counted_ms=10**30), "unreadable"),
        ("edge-rollups.plant-1", b"junk", "unreadable"),
        ("edge-rollups.plant-1", edge_rollup(catalogue=9), "unknown_catalogue"),
    ],
)
def test_what_cannot_be_read_is_kept_as_a_dead_letter(
    topic: str, value: bytes, reason: str
) -> None:
    spec, (row,) = rows_of(came(topic, value), find)
    assert spec is DEAD_LETTERS and row.keys() == {column.name for column in DEAD_LETTERS.columns}
    assert (row["reason"], row["job"], row["body"]) == (reason, "archive_events", value)
    assert (row["source_topic"], row["source_partition"], row["source_offset"]) == (topic, 2, 7)


def test_tables_take_rows_of_many_partitions_and_say_how_far_they_are(
    catalog: Catalog, lake_settings: LakeSettings, tmp_path: Path
) -> None:
    tables = EventTables(catalog, lake_settings)
    assert tables.done() == {}
    lines = [
        rows_of(came("counted.plant-1", line(facility=name, counted_ms=at)), find)[1]
        for name in ("plant-1", "plant-2")
        for at in (AT_MS, AT_MS + 40 * 86_400_000)
    ]
    pieces = [rows_of(came("edge-rollups.plant-1", edge_rollup()), find)[1] for _ in range(2)]
    tables.append(
        {"counted": lines, "rollups": pieces},
        {"counted": {("counted.plant-1", 2): 8}, "rollups": {("edge-rollups.plant-1", 2): 9}},
    )
    tables.append({"counted": lines[:1]}, {"counted": {("counted.plant-1", 2): 12}})
    again = EventTables(catalog, lake_settings)
    assert again.done() == {("counted.plant-1", 2): 12, ("edge-rollups.plant-1", 2): 9}
    found = load_table(catalog, lake_settings, COUNTED).scan().to_arrow()
    assert sorted(found.column("facility").to_pylist()) == ["plant-1"] * 3 + ["plant-2"] * 2
    assert load_table(catalog, lake_settings, ROLLUPS).scan().to_arrow().num_rows == 4
