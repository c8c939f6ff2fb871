"""Great Expectations judges frames as their limits say, the pages are real, the command tells."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from jobs.cli.main import app
from jobs.common.errors import HardiotError
from jobs.lake.tables import ROLLUPS
from jobs.quality.check import Scope, check, last_day, newest
from jobs.quality.judge import Judge
from jobs.quality.limits import SUITES, Kind, Limits, Some, checks
from jobs.quality.report import Report
from tests.lake.compaction_plant import HOUR_MS, T0, catalogue, find
from tests.quality import plant
from tests.quality.test_facts import cell

NOW_MS = T0 + 26 * HOUR_MS
# level is bad in one of five readings
LIMITS = Limits(kinds={"level": Kind(unusable=0.3)})


def row(suite: str, hour: int, **cells: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "facility": "plant-07",
        "gateway": "gw-1",
        "hour": f"2026-01-01T{hour:02}",
    }
    made |= {"kind": "flow"} if suite == "kinds" else {}
    for name in checks(suite):
        made |= {name: 0, f"{name}_at": ""}
    return made | cells


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(None, "test", NOW_MS)


@pytest.mark.parametrize("suite", SUITES)
def test_each_check_fails_above_its_limit_and_no_other_does(suite: str, judge: Judge) -> None:
    names = checks(suite)
    limits = LIMITS.kind("flow") if suite == "kinds" else getattr(LIMITS, suite)
    at_most = {name: getattr(limits, name) for name in names}
    good = [row(suite, 0, **at_most)]
    bad = [
        row(suite, at, **{n: at_most[n] + 0.5, f"{n}_at": "here"}) for at, n in enumerate(names, 1)
    ]
    report = Report(T0, NOW_MS)
    judge.run(suite, suite, LIMITS, good + bad, report)
    judge.run(suite, suite, LIMITS, good, report)
    for at, name in enumerate(names, 1):
        result = report.results[suite, name]
        assert (result.checked, result.failed) == (len(names) + 2, 1), name
        (worst,) = result.worst
        assert (worst.hour[11:], worst.value, worst.at) == (f"{at:02}", at_most[name] + 0.5, "here")
    assert list(report.failing) == [("plant-07", "gw-1", suite)]
    assert set(report.failing["plant-07", "gw-1", suite].checks) == set(names)


def test_kinds_have_limits_of_their_own_and_null_is_not_judged(judge: Judge) -> None:
    limits = Limits(kinds={"*": Kind(unusable=None), "level": Kind(outside=0.5)})
    rows = [row("kinds", 0, kind=kind, outside=0.4, unusable=1.0) for kind in ("flow", "level")]
    report = Report(T0, NOW_MS)
    judge.run("kinds", "kinds", limits, rows, report)
    assert list(report.results) == [("kinds", "outside")]
    (worst,) = report.results["kinds", "outside"].worst
    assert (worst.kind, worst.value) == ("flow", 0.4)


def test_what_is_unknown_is_not_judged(judge: Judge) -> None:
    report = Report(T0, NOW_MS)
    rows = [row("ledger", 0, unproven_share=None), row("ledger", 1, unproven_share=0.05)]
    judge.run("ledger", "ledger", Limits(), rows, report)
    assert report.results["ledger", "unproven_share"].checked == 1
    assert report.ok


def test_a_good_day_passes_with_pages(site, lake_settings, tmp_path: Path) -> None:
    report = check(
        lake_settings, LIMITS, T0, T0 + 2 * HOUR_MS, docs=tmp_path / "pages", now_ms=NOW_MS
    )
    assert report.ok
    assert (report.facilities, report.hours, report.readings) == (1, 2, 2160)
    assert report.told == report.proven > 1900
    assert {suite for suite, _ in report.results} == set(SUITES)
    assert report.results["kinds", "outside"].checked == 0  # no range is known
    index = (tmp_path / "pages" / "index.html").read_text()
    links = re.findall(r'href="(validations/[^"]+\.html)"', index)
    assert len(set(links)) == 4
    assert all((tmp_path / "pages" / link).exists() for link in links)


def test_what_fails_is_on_its_page_with_gateway_and_hour(site, lake_settings, tmp_path) -> None:
    plant.change(site, ROLLUPS, cell(revision=0))
    docs = tmp_path / "pages"
    for now_ms in (NOW_MS, NOW_MS + 1000):  # the pages of the last run are replaced
        report = check(lake_settings, LIMITS, T0, T0 + 24 * HOUR_MS, docs=docs, now_ms=now_ms)
    assert not report.ok
    pages = list(docs.glob("validations/rollups/**/*.html"))
    assert len(pages) == 1
    text = re.sub(r"<[^>]+>|\s+", " ", pages[0].read_text())
    assert re.search(r"1 unexpected values found.*plant-07 +gw-1 +2026-01-01T01", text)
    notes = re.sub(r"<[^>]+>|\s+", " ", (docs / "expectations" / "rollups.html").read_text())
    assert "Revisions are 1 or higher." in notes


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "static").mkdir()
    with pytest.raises(HardiotError, match=r"has files of others \(static\).*--docs"):
        Judge(tmp_path, "test", NOW_MS)
    assert (tmp_path / "thesis.txt").exists()
    Judge(tmp_path / "pages", "test", NOW_MS)
    (tmp_path / "pages" / "thesis.txt").touch()
    with pytest.raises(HardiotError, match=r"thesis\.txt"):
        Judge(tmp_path / "pages", "test", NOW_MS)


def test_facilities_with_limits_of_their_own_are_a_suite_of_their_own(site, lake_settings) -> None:
    some = Some(facility="plant-0*", why="test", kinds={"level": Kind(unusable=0.3)})
    limits = Limits(facilities=[some])
    report = check(lake_settings, limits, T0, T0 + 2 * HOUR_MS, now_ms=NOW_MS)
    assert report.ok
    assert report.results["kinds", "unusable"].limits == {"kinds plant-0*": 0.3} or report.ok
    assert not check(lake_settings, Limits(), T0, T0 + 2 * HOUR_MS, now_ms=NOW_MS).ok


def test_one_table_and_other_facilities(site, lake_settings) -> None:
    rollups = check(lake_settings, LIMITS, T0, NOW_MS, Scope(tables=("rollups",)))
    assert {suite for suite, _ in rollups.results} == {"rollups"}
    readings = check(lake_settings, LIMITS, T0, NOW_MS, Scope(tables=("readings",)))
    assert {suite for suite, _ in readings.results} == {"readings", "kinds", "ledger"}
    nobody = check(lake_settings, LIMITS, T0, NOW_MS, Scope(facilities="lab-*"))
    assert (nobody.facilities, nobody.results) == (0, {})


def test_ranges_are_those_of_the_newest_catalogue_or_of_the_kind(site, lake_settings) -> None:
    assert newest(find, "plant-07", "gw-1").version == catalogue("gw-1").version
    assert newest(lambda *_: None, "plant-07", "gw-1") is None
    known = check(lake_settings, LIMITS, T0, NOW_MS, Scope(find=find))  # all are from 0 to 1
    assert {worst.kind for worst in known.results["kinds", "outside"].worst} >= {"flow", "level"}
    kinds = {
        kind: Kind(low=-1000, high=1000, unusable=None) for kind in ("flow", "temperature", "level")
    }
    assert check(lake_settings, Limits(kinds=kinds), T0, NOW_MS, Scope(find=find)).ok


def test_a_file_that_is_gone_is_told_and_others_are_judged(site, lake_settings) -> None:
    from jobs.lake.files import data_files
    from jobs.lake.tables import READINGS

    path = data_files(site.table(READINGS))[0].file_path.removeprefix("file://")
    Path(path).unlink()
    report = check(lake_settings, LIMITS, T0, NOW_MS)
    assert list(report.unread) == ["plant-07 2026-01-01"]
    assert not report.ok


def test_the_last_day_is_what_is_settled() -> None:
    assert last_day(Limits(), T0 + 30 * HOUR_MS + 5) == (T0 + 4 * HOUR_MS, T0 + 28 * HOUR_MS)


def run(lake_settings, tmp_path: Path, *more: str):
    lake = {"CATALOG_URI": lake_settings.catalog_uri,
            "WAREHOUSE": lake_settings.warehouse.removeprefix("file://")}  # fmt: skip
    env = {f"HARDIOT__LAKE__{name}": value for name, value in lake.items()}
    limits = tmp_path / "quality.yaml"
    limits.write_text('kinds: {"level": {unusable: 0.3}}\n')
    fixed = ["--limits", str(limits), "--docs", str(tmp_path / "pages")]
    span = ["--since", "2026-01-01", "--until", "2026-01-01"]
    return CliRunner().invoke(app, ["quality", *span, *fixed, *more], env=env)


def test_the_command(site, lake_settings, tmp_path: Path) -> None:
    prom = tmp_path / "quality.prom"
    good = run(lake_settings, tmp_path, "--output", "json", "--metrics", str(prom))
    assert good.exit_code == 0, good.output
    found = json.loads(good.stdout)
    assert (found["ok"], found["readings"], len(found["results"])) == (True, 2160, 22)
    assert "hardiot_quality_proven_share 1.0" in prom.read_text()
    plant.change(site, ROLLUPS, cell(revision=0))
    bad = run(lake_settings, tmp_path)
    assert bad.exit_code == 1
    assert "gw-1.p1.flow" in bad.stdout
    assert "1 of 22 checks fail" in bad.stderr
    assert "rollups.low_revisions: Revisions are 1 or higher. If not: " in bad.stderr
    assert run(lake_settings, tmp_path, "--table", "chunks").exit_code == 2
    assert run(lake_settings, tmp_path, "--since", "2026-01-03").exit_code == 2
