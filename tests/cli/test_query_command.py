"""hardiot query: formats, limits, and what is said when there is nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from typer.testing import CliRunner, Result

from jobs.cli import query as command
from jobs.cli.query import query_app
from jobs.common.errors import HardiotError
from jobs.lake.settings import LakeSettings
from tests.lake.conftest import catalog, lake_settings
from tests.lake.query_plant import T0, Plant, chunk

__all__ = ["catalog", "lake_settings"]  # fixtures


@pytest.fixture
def plant(catalog: Catalog, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """The archive that the settings name, and no stack that is up."""
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake_settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake_settings.warehouse)
    monkeypatch.setattr(command, "find_bootstrap", _none)
    plant = Plant(catalog, lake_settings)
    plant.archive(chunk(0), chunk(1))
    list(plant.compact())
    return plant


def _none(given: str | None) -> str:
    raise HardiotError("no local stack is up")


def run(*args: str) -> Result:
    return CliRunner().invoke(query_app, list(args), env={"COLUMNS": "120"})


def asked(table: str, *args: str) -> Result:
    return run(table, "--facility", "plant-07", *args)


def test_a_table_for_people(plant: Plant) -> None:
    result = asked("readings", "--sensor", "tank.*", "--limit", "3")
    assert result.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    assert ["", "2026-01-01 00:00:00", "gw-1", "tank.level", "48.460", "m", "0", ""] in lines
    assert "these are the first 3; more by --limit" in result.stderr


def test_json_is_an_object_a_line(plant: Plant) -> None:
    result = asked("readings", "--sensor", "tank.level", "--until", str(T0 + 1), "-o", "json")
    (line,) = result.stdout.splitlines()
    assert json.loads(line) == {
        "facility": "plant-07", "gateway": "gw-1", "slot": 4, "sensor": "tank.level",
        "asset": "tank", "kind": "level", "unit": "m", "time": "2026-01-01T00:00:00.000Z",
        "value": 48.46, "quality": 0,
    }  # fmt: skip
    assert result.stderr == ""


def test_csv_to_stdout_and_to_a_file(plant: Plant, tmp_path: Path) -> None:
    result = asked("rollups", "--kind", "level", "-o", "csv")
    assert result.stdout.count("\n") == 3 and '"tank.level"' in result.stdout
    file = tmp_path / "rows.csv"
    result = asked("rollups", "--kind", "level", "-o", "csv", "--file", str(file))
    assert result.stdout == "" and result.stderr == f"2 rows in {file}\n"
    assert file.read_text().count("\n") == 3


def test_parquet_is_for_a_file(plant: Plant, tmp_path: Path) -> None:
    result = asked("readings", "-o", "parquet")
    assert isinstance(result.exception, HardiotError) and "--file" in str(result.exception)
    file = tmp_path / "rows.parquet"
    asked("readings", "-o", "parquet", "--file", str(file), "--limit", "7")
    assert pq.read_table(file).num_rows == 7
    result = asked("readings", "--file", str(file))
    assert "a table is for a terminal" in str(result.exception)


def test_longer_times_and_numbers_that_are_none(plant: Plant) -> None:
    plant.archive(chunk(60, quality=2))
    result = asked("rollups", "--sensor", "tank.level", "--every", "1h", "-o", "json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["count"], first["minutes"]) == (12, 2)
    assert (second["count"], second["bad"], second["mean"], second["min"]) == (0, 6, None, None)
    good = asked("readings", "--quality", "bad", "--quality", "stuck", "-o", "json").stdout
    assert good.count("\n") == 30


def test_nothing_there_and_nobody_of_that_name(plant: Plant) -> None:
    result = asked("readings", "--since", "2026-03-01")
    assert (result.exit_code, result.stdout) == (0, "readings: none\n")
    assert result.stderr == (
        "readings of plant-07 are from 2026-01-01 00:00:00 to 2026-01-01 01:00:00, UTC\n"
    )
    for table in ("alerts", "ledger", "restatements", "dead-letters"):
        result = asked(table, "-o", "json")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "there is nothing of plant-07" in result.stderr
    result = run("rollups", "--facility", "plant-7")
    assert 'did you mean "plant-07"?' in str(result.exception)


def test_sql(plant: Plant) -> None:
    query = "select sensor, count(*) as n, max(time) as last from readings group by all order by 1"
    result = asked("sql", query, "--kind", "flow", "-o", "json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"sensor": "pump-1.flow", "n": 12, "last": "2026-01-01T00:01:50.000Z"},
        {"sensor": "pump-2.flow", "n": 12, "last": "2026-01-01T00:01:50.000Z"},
    ]
    assert "pump-2.flow" in asked("sql", query).stdout
