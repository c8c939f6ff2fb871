"""hardiot restate, without Kafka: a look, the audit, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kafka.errors import KafkaConnectionError
from pyiceberg.catalog import Catalog
from typer.testing import CliRunner, Result

from jobs.cli.main import app
from jobs.common import catalogues
from jobs.common.errors import HardiotError
from jobs.lake.settings import LakeSettings
from tests.lake.compaction_plant import HOUR_MS, T0, Site, chunk, hour
from tests.lake.test_restate import LINES, file_of, line, make


@pytest.fixture
def site(catalog: Catalog, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Six minutes, one of them restated by late readings, in the lake that commands find."""
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake_settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake_settings.warehouse)
    monkeypatch.delenv("HARDIOT__BOOTSTRAP", raising=False)
    made = Site(catalog, lake_settings)
    made.archive(*hour(0)[:5], chunk(5, ticks=(0, 1, 2, 3, 5), complete=False))
    made.archive(chunk(5, ticks=(4,), revision=2))
    made.compactor().round(T0 + 2 * HOUR_MS)
    return made


def restate(*words: str) -> Result:
    return CliRunner().invoke(app, ["restate", *words])


def test_a_look(site: Site, tmp_path: Path) -> None:
    before = site.snapshots()
    done = restate("correct", str(file_of(tmp_path, *LINES)), "--why", "covered", "-o", "json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {
        "corrections": 3, "readings that differ": 2, "sensor minutes that change": 1,
        "gateway minutes that change": 1,
    }  # fmt: skip
    assert "nothing was changed" in done.stderr
    assert site.snapshots() == before


@pytest.mark.parametrize(
    ("why", "lines", "said"),
    [
        (" ", LINES, "--why is empty"),
        ("covered", ["plant-07,gw-1,x,2026-01-01T00:00:00Z,1,"], 'no readings of sensor "x"'),
        ("covered", ["plant-07,gw-1,x,yesterday,1,"], 'line 2: time "yesterday" is none; write it'),
    ],
)
def test_what_is_refused(site: Site, tmp_path: Path, why: str, lines: list[str], said: str) -> None:
    done = restate("correct", str(file_of(tmp_path, *lines)), "--why", why)
    assert isinstance(done.exception, HardiotError) and said in str(done.exception)


def test_without_kafka_nothing_is_applied(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogues, "TopicCatalogues", no_kafka)
    path, before = file_of(tmp_path, line(2, 1, 9.5)), site.snapshots()
    to = ("--bootstrap", "127.0.0.1:1")
    done = restate("correct", str(path), "--why", "covered", "--apply", *to)
    assert isinstance(done.exception, HardiotError)
    assert "127.0.0.1:1: Kafka does not answer" in str(done.exception)
    assert site.snapshots() == before


def no_kafka(*_: object) -> None:
    raise KafkaConnectionError


def test_the_list(site: Site, tmp_path: Path) -> None:
    assert "restatements: none" in restate("list").stdout  # those of T0 are months old
    make(site, file_of(tmp_path, line(2, 1, 9.5)))
    done = restate("list", "--days", "1000", "--facility", "plant-07", "-o", "json")
    rows = json.loads(done.stdout)
    assert [(row["author"], row["slot"]) for row in rows] == [
        ("compact_readings", 0), ("compact_readings", 1), ("compact_readings", 2), ("jane", 0),
    ]  # fmt: skip
    assert json.loads(restate("list", "--days", "1000", "--limit", "1", "-o", "json").stdout) == [
        rows[0]
    ]
    assert (
        json.loads(restate("list", "--days", "1000", "--facility", "x' OR '1", "-o", "json").stdout)
        == []
    )
    told = restate("list", "--days", "1000").stdout
    assert all(word in told for word in ("2026-01", "late", "jane"))
