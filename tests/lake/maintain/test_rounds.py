"""Rounds of maintenance: what fails stops nothing else, one works at a time, the command tells."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from jobs.cli.main import app
from jobs.common.contracts import load_metrics
from jobs.common.errors import SettingsError
from jobs.lake.errors import LakeError
from jobs.lake.maintain.lease import Lease, LeaseLost, LeaseTaken
from jobs.lake.maintain.metrics import Metrics
from jobs.lake.maintain.run import STEPS, Report, run
from jobs.lake.maintain.settings import MaintainSettings
from jobs.lake.maintain.work import Deed, Work
from jobs.lake.tables import READINGS, ROLLUPS, ROLLUPS_DAY, ROLLUPS_HOUR
from jobs.maintain_tables import ALL, Maintainer
from tests.lake.maintain.plant import DAY_MS, HOUR_MS, Lake, hour_rows, minute_rows

# past the 90 days of readings, and not the 5 years of rollups
DAY = (time.time_ns() // 1_000_000 // DAY_MS - 100) * DAY_MS
PREFIX = "hardiot_maintenance_"


def failing(work: Work) -> Iterator[Deed]:
    yield Deed("first", "readings", "plant-07", "drop", 1)
    raise LakeError("the catalog is on fire")


def bug(work: Work) -> Iterator[Deed]:
    raise KeyError("x")
    yield


def fine(work: Work) -> Iterator[Deed]:
    yield Deed("fine", "readings", "plant-07", "drop", 2)


def test_a_step_that_fails_stops_no_other(lake: Lake) -> None:
    told: list[Deed] = []
    steps = {"first": failing, "bug": bug, "fine": fine}
    report = run(lake.work("2026-01-01"), steps, told.append)
    assert [deed.files for deed in report.deeds] == [1, 2]
    assert told == report.deeds
    assert report.failures == {"first": "the catalog is on fire", "bug": "KeyError: 'x'"}
    assert list(report.seconds) == ["first", "bug", "fine"]


def test_a_lost_lease_stops_everything(lake: Lake) -> None:
    def lost() -> None:
        raise LeaseLost("b has it")

    with pytest.raises(LeaseLost):
        run(lake.work("2026-01-01", alive=lost))


def test_a_round_does_all_of_it(lake: Lake) -> None:
    lake.add(ROLLUPS, *(minute_rows("plant-07", DAY + n * HOUR_MS) for n in range(24)))
    lake.add(READINGS, *(hour_rows("plant-07", DAY + n * HOUR_MS) for n in range(2)))
    maintainer = Maintainer(MaintainSettings(settled_h=0, quality=""), lake.settings)
    dry = maintainer.round(dry_run=True)
    assert [(d.step, d.table, d.what) for d in dry.deeds] == [
        ("coarser", "rollups_hour", "24 hours"),
        ("drop", "readings", "drop"),
        ("merge", "rollups", "merge"),
    ]
    assert not lake.files(ROLLUPS_HOUR)
    report = maintainer.round()
    assert report.failures == {}
    assert lake.files(READINGS) == []
    assert [len(lake.files(spec)) for spec in (ROLLUPS, ROLLUPS_HOUR, ROLLUPS_DAY)] == [1, 1, 1]
    assert maintainer.round().deeds == []
    with (
        Lease(lake.catalog, lake.settings, "another"),
        pytest.raises(LeaseTaken, match="another is at work"),
    ):
        maintainer.round()


def test_a_loop_goes_on_after_rounds_that_fail(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([LakeError("no catalog"), LeaseTaken("b"), Report()])
    stop = Event()

    def one(*_: object, **__: object) -> Report:
        found = next(rounds)
        if isinstance(found, Exception):
            raise found
        stop.set()
        return found

    maintainer = Maintainer(MaintainSettings(), lake.settings)
    monkeypatch.setattr(maintainer, "round", one)
    maintainer.loop(0.01, stop)
    assert next(rounds, None) is None


def test_steps_that_are_unknown_or_have_no_address_are_refused(lake: Lake) -> None:
    with pytest.raises(SettingsError, match="step marge is unknown; there are: coarser, drop"):
        Maintainer(MaintainSettings(), lake.settings, ["marge"])
    with pytest.raises(SettingsError, match="step topics has no address or token"):
        Maintainer(MaintainSettings(), lake.settings, ["topics"])
    Maintainer(MaintainSettings(bootstrap="127.0.0.1:1"), lake.settings, ["topics"])
    assert (*STEPS, "buckets", "topics", "quality") == ALL
    Maintainer(MaintainSettings(), lake.settings, ["quality"])
    with pytest.raises(SettingsError, match="step quality has no address"):
        Maintainer(MaintainSettings(quality=""), lake.settings, ["quality"])


def test_the_command_says_what_would_be_done(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake.settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake.settings.warehouse.removeprefix("file://"))
    lake.add(READINGS, hour_rows("plant-07", DAY))
    size = lake.table(READINGS).inspect.files()["file_size_in_bytes"][0].as_py()
    done = CliRunner().invoke(app, ["maintain", "--dry-run", "--only", "drop,merge", "-o", "json"])
    said = json.loads(done.stdout)
    assert done.exit_code == 0
    assert said["deeds"] == [
        {
            "step": "drop", "table": "readings", "facility": "plant-07", "what": "drop",
            "files": 1, "rows": 10, "bytes": size, "why": "",
        }
    ]  # fmt: skip
    assert list(said["seconds"]) == ["drop", "merge"]
    assert len(lake.files(READINGS)) == 1


def test_the_command_fails_when_a_step_did(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDIOT__LAKE__CATALOG_URI", lake.settings.catalog_uri)
    monkeypatch.setenv("HARDIOT__LAKE__WAREHOUSE", lake.settings.warehouse.removeprefix("file://"))
    monkeypatch.setitem(STEPS, "drop", failing)  # type: ignore[arg-type]
    done = CliRunner().invoke(app, ["maintain", "--only", "drop,merge"])
    assert done.exit_code == 1
    assert "drop failed: the catalog is on fire" in done.stderr
    assert "1 of 2 steps failed" in done.stderr


@pytest.mark.parametrize("every", ["0h", "soon", "30m"])
def test_a_time_between_rounds_is_a_duration(every: str) -> None:
    done = CliRunner().invoke(app, ["maintain", "--every", every])
    assert done.exit_code == 2
    assert "is no duration" in done.stderr


def test_metrics_are_those_that_are_registered() -> None:
    metrics = Metrics(100.0)
    deeds = [
        Deed("drop", "readings", "a", "drop", 3, 9, 30),
        Deed("drop", "readings", "b", "held", 2, 4, 20),
    ]
    metrics.done(Report(deeds, {"merge": "x"}, {"drop": 1.5, "merge": 0.5}), 200.0)
    text = generate_latest(metrics.registry).decode()
    for line in (
        'hardiot_maintenance_files_total{step="drop"} 3.0',
        'hardiot_maintenance_bytes_total{step="drop"} 30.0',
        'hardiot_maintenance_failures_total{step="merge"} 1.0',
        'hardiot_maintenance_step_seconds{step="drop"} 1.5',
        "hardiot_maintenance_held_files 2.0",
        "hardiot_maintenance_success_timestamp_seconds 100.0",
    ):
        assert line in text
    metrics.done(Report(), 300.0)
    assert "success_timestamp_seconds 300.0" in generate_latest(metrics.registry).decode()
    types = {
        line.split()[2]: line.split()[3]
        for line in text.splitlines()
        if line.startswith(f"# TYPE {PREFIX}") and not line.split()[2].endswith("_created")
    }
    registered = {m.name: m.type for m in load_metrics() if m.name.startswith(PREFIX)}
    assert types == registered


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least twice least_mb"):
        MaintainSettings(least_mb=300, most_mb=512)
    with pytest.raises(SettingsError, match="no token in"):
        Maintainer(MaintainSettings(influx_token_file=str(tmp_path / "none")), None)  # type: ignore[arg-type]
