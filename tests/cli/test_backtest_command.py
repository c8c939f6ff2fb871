"""hardiot rules backtest: which rule, which history, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from jobs.cli.main import app

T0 = 1_700_000_000_000
HOT = """rules:
  - name: hot
    sensors: {kind: temperature}
    condition: {threshold: {above: 80, clear_below: 76, for_s: 3}}
    severity: warning
    text: "{sensor} at {value}"
"""


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """100 s of two pumps; the first is hot for 10 s."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hot.yaml").write_text(HOT)
    hot = np.where((np.arange(100) >= 20) & (np.arange(100) < 30), 85.0, 70.0)
    table = {
        "time": np.repeat(T0 + np.arange(100) * 1000, 2),
        "sensor": ["p1.temperature", "p2.temperature"] * 100,
        "value": np.stack([hot, np.full(100, 60.0)], axis=1).ravel(),
    }
    pq.write_table(pa.table(table), tmp_path / "history.parquet")
    return tmp_path / "history.parquet"


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["rules", "backtest", *args])


def test_a_report_for_programs(history: Path) -> None:
    result = run("hot.yaml", "--data", str(history), "-o", "json")
    assert result.exit_code == 0, result.exception
    report = json.loads(result.stdout)
    assert report.pop("readings_per_s") > 0
    assert report == {
        "rule": "hot@1", "from": "2023-11-14 22:13:20", "to": "2023-11-14 22:14:59",
        "readings": 200, "gateways": 1, "sensors": 2, "assets": 2, "alerts": 1, "late": 0,
        "alerts_per_asset_day": pytest.approx(86_400 / 198), "firing_share": 0.050505,
        "stopped": False, "from_ms": T0, "to_ms": T0 + 99_000, "unmatched": "",
        "busiest": [
            {"facility": "plant-1", "gateway": "gw-1", "asset": "p1", "alerts": 1,
             "firing_s": 10.0},
        ],
        "history": [
            {"facility": "plant-1", "gateway": "gw-1", "subject": "p1.temperature",
             "severity": "warning", "onset_ms": T0 + 20_000, "firing_ms": T0 + 23_000,
             "end_ms": T0 + 30_000, "duration_s": 10.0, "value": 85.0, "unit": "", "late": False,
             "text": "p1.temperature at 85"},
        ],
    }  # fmt: skip


def test_a_report_for_people(history: Path) -> None:
    result = run("hot.yaml", "--data", str(history))
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    assert ["", "readings", "200", ""] in rows and ["", "alerts", "1", ""] in rows
    assert any("p1" in row and "10.000" in row for row in rows)


def test_only_a_part_of_the_time(history: Path) -> None:
    part = ("--from", "2023-11-14T22:14:00", "--to", "2023-11-14")
    report = json.loads(run("hot.yaml", "--data", str(history), *part, "-o", "json").stdout)
    assert (report["readings"], report["alerts"]) == (120, 0)


def test_what_is_not_there_is_said(history: Path) -> None:
    result = run("hot.yaml", "--data", str(history), "--from", "2024-01-01")
    assert (result.exit_code, result.stderr) == (1, "no readings at all in that time\n")
    result = run("vibration-high", "--data", str(history))
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith(
        "no readings of the rule's sensors in that time: the rule watches kind vibration; "
        "plant-1/gw-1 has p1.temperature (temperature, asset p1), "
    )


def test_a_rule_of_the_project_and_kinds_that_are_told(history: Path) -> None:
    args = ("vibration-critical", "--data", str(history), "--kind", "p?.temp*=vibration")
    report = json.loads(run(*args, "-o", "json").stdout)
    assert (report["rule"], report["alerts"]) == ("vibration-critical@1", 2)


def test_a_rule_that_is_not_there(history: Path) -> None:
    (history.parent / "two.yaml").write_text(HOT + HOT.replace("hot", "cold").split("rules:\n")[1])
    for name, problem in (
        ("vibration-hihg", 'did you mean "vibration-high"?'),
        ("two.yaml", "two.yaml has 2 rules; say which: two.yaml:hot"),
        ("two.yaml:warm", 'no rule "warm" in two.yaml'),
        ("none.yaml", "none.yaml: cannot be read"),
    ):
        result = run(name, "--data", str(history))
        assert result.exit_code == 1 and problem in str(result.exception)
    assert run("two.yaml:cold", "--data", str(history)).exit_code == 0


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("--bootstrap", "kafka:1"), "history comes from one of them"),
        (("--kind", "p1=temprature"), 'did you mean "temperature"?'),
        (("--kind", "temperature"), "write NAME=KIND"),
    ],
)
def test_wrong_usage(history: Path, args: tuple[str, str], problem: str) -> None:
    result = run("hot.yaml", "--data", str(history), *args)
    assert result.exit_code == 2 and problem in result.stderr
