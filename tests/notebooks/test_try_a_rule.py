"""The notebook as it is committed: it runs from top to bottom, and holds nothing of a run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.notebooks.run import NOTEBOOKS, cells, run
from udfs.rules.rulebook import RuleErrors

NOTEBOOK = NOTEBOOKS / "try_a_rule.ipynb"
T0 = 1_750_000_000_000
COLD = """
rules:
  - name: cold
    sensors: {name: "*.temperature"}
    condition: {threshold: {below: 5}}
    severity: warning
    text: "{sensor} is at {value}"
"""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A minute of a tank that is cold for ten seconds, and at its end."""
    value = [20.0] * 20 + [4.0] * 10 + [20.0] * 20 + [3.0] * 10
    time = [T0 + 1000 * second for second in range(60)]
    table = {"time": time, "sensor": ["tank-1.temperature"] * 60, "value": value}
    pq.write_table(pa.table(table), tmp_path / "history.parquet")
    return tmp_path / "history.parquet"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_nothing_of_a_run_is_kept(path: Path) -> None:
    for cell in cells(path):
        assert not re.search(r"(?:^|[\s\"'(])(?:/|~/|[A-Z]:\\)\w", cell["source"]), cell["source"]
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_it_runs_from_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOKS)  # where Jupyter starts it
    names = run(NOTEBOOK, {})
    assert [(report.rule, len(report.alerts)) for report in names["reports"]] == [
        ("bearing-hot@1", 1), ("bearing-temperature-high@1", 1),
    ]  # fmt: skip
    assert {report.unmatched for report in names["reports"]} == {""}
    mine, plant = names["alerts"].to_dict("records")
    assert (mine["subject"], str(mine["onset"])) == (
        "pump-1.bearing-temperature", "2026-01-01 00:30:00",
    )  # fmt: skip
    assert plant["onset"] < mine["onset"]


def test_a_rule_on_a_file(history: Path) -> None:
    names = run(NOTEBOOK, {"RULES": COLD, "ALSO": [], "HISTORY": history})
    (report,) = names["reports"]
    assert (report.sensors, len(report.alerts)) == (1, 2)
    assert report.firing_share == pytest.approx((10 + 9) / 59)
    told = names["alerts"]
    assert told.text.tolist() == ["tank-1.temperature is at 4", "tank-1.temperature is at 3"]
    assert [when.timestamp() * 1000 for when in told.onset] == [T0 + 20_000, T0 + 50_000]
    assert told.end.isna().tolist() == [False, True]


def test_a_picture_where_there_can_be_one(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyplot, axes = ModuleType("matplotlib.pyplot"), MagicMock()
    pyplot.subplots = lambda **sizes: (MagicMock(), axes)  # type: ignore[attr-defined]
    package = ModuleType("matplotlib")
    package.pyplot = pyplot  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    run(NOTEBOOK, {"RULES": COLD, "ALSO": [], "HISTORY": history})
    ((names, begins, ends), _) = axes.hlines.call_args
    assert names.tolist() == ["cold", "cold"]
    assert [(end - begin).total_seconds() for begin, end in zip(begins, ends, strict=True)] == [
        10, 9,
    ]  # fmt: skip


def test_only_the_time_that_is_asked_for(history: Path) -> None:
    names = run(
        NOTEBOOK,
        {"RULES": COLD, "ALSO": [], "HISTORY": history, "FROM": str(T0 + 40_000)},
    )
    (report,) = names["reports"]
    assert (report.readings, len(report.alerts)) == (20, 1)


def test_no_alerts_and_no_such_sensor(history: Path) -> None:
    other = COLD.replace("*.temperature", "*.flow")
    names = run(NOTEBOOK, {"RULES": other, "ALSO": [], "HISTORY": history})
    (report,) = names["reports"]
    assert report.unmatched.startswith("the rule watches name *.flow")
    assert len(names["alerts"]) == 0


def test_a_mistake_is_told_with_its_line(history: Path) -> None:
    wrong = COLD.replace("below: 5", 'below: "5"')
    with pytest.raises(RuleErrors, match=r"RULES: line 5: below '5' is not a number"):
        run(NOTEBOOK, {"RULES": wrong, "HISTORY": history})
