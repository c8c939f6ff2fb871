"""The notebook as it is committed, on its own example and on an archive that is given."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest

from jobs.lake.settings import LakeSettings
from tests.lake.conftest import catalog, lake_settings
from tests.lake.query_plant import Plant, chunk
from tests.notebooks.run import NOTEBOOKS, run

__all__ = ["catalog", "lake_settings"]  # fixtures

NOTEBOOK = NOTEBOOKS / "query_the_archive.ipynb"


def test_it_runs_from_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOKS)  # where Jupyter starts it
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    names = run(NOTEBOOK, {})
    readings, rollups = names["readings"], names["rollups"]
    assert len(readings) == 2 * 7200 and readings.time.is_monotonic_increasing is False
    assert dict(readings.groupby("sensor", observed=True).unit.first()) == {
        "pump-1.bearing-temperature": "°C", "pump-1.flow": "m3/h",
    }  # fmt: skip
    assert len(rollups) == 2 * 12 and set(rollups["count"]) == {600} and rollups.complete.all()
    hottest = names["hottest"]
    assert (
        str(hottest.time[0]) == "2026-01-01 01:00:00+00:00"
        and hottest["max"][0] > 88 > hottest["max"][1]
    )
    assert len(names["alerts"]) == 0


def test_an_archive_that_is_given_and_a_picture(
    catalog: object, lake_settings: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = Plant(catalog, lake_settings)
    plant.archive(*(chunk(minute) for minute in range(3)))
    list(plant.compact())
    pyplot, axes = ModuleType("matplotlib.pyplot"), MagicMock()
    pyplot.subplots = lambda **sizes: (MagicMock(), axes)  # type: ignore[attr-defined]
    package = ModuleType("matplotlib")
    package.pyplot = pyplot  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "matplotlib", package)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    names = run(NOTEBOOK, {"LAKE": lake_settings, "SENSOR": "pump-2.*", "EVERY": "1m"})
    assert (len(names["readings"]), len(names["rollups"])) == (2 * 18, 2 * 3)
    assert [call.kwargs["label"] for call in axes.plot.call_args_list] == [
        "pump-2.flow [m3/h]", "pump-2.heat [°C]",
    ]  # fmt: skip
