"""hardiot bench query, on a table that takes a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli.bench import query
from jobs.cli.bench.main import KEYS
from jobs.cli.main import app
from jobs.common.errors import HardiotError


def test_both_questions_are_answered_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "BUILD", tmp_path / "build")
    monkeypatch.setattr(query, "FULL", 2)
    found = query.measure(sensors=8, days=2)
    assert (found["sensor_readings"], found["rollup_rows"]) == (2 * 86_400, 8 * 1440)
    assert found["readings_per_s"] == found["sensor_readings"] / found["sensor_first_s"]
    assert found["rollups_again_s"] > 0 and "2 files of a day, 8 sensors each" in found["load"]
    assert list((tmp_path / "build").iterdir()) == []


def test_a_wrong_count_is_an_error_and_no_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "BUILD", tmp_path)
    monkeypatch.setattr(query, "FULL", 0)  # the sensor that is asked for has a reading an hour
    with pytest.raises(HardiotError, match="24 readings and 192 rollups, not 86400 and 192"):
        query.measure(sensors=8, days=1)


def test_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "measure", lambda: {"sensor_first_s": 1.5})
    result = CliRunner().invoke(app, ["bench", "query", "--output", "json"])
    assert [*KEYS, "sensor_first_s"] == list(json.loads(result.stdout))
