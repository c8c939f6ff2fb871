"""Alert rules: each has severity, team, text, a runbook and tests; metrics are ones that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from jobs.cli.main import app
from jobs.common import metrics as operator_metrics
from jobs.common import rule_feed
from jobs.common.contracts import ROOT, load_metrics
from udfs import accounts, rollup_step

FOLDER = ROOT / "infra" / "observability"
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["What it means", "Who is hurt", "Look first", "Fix", "When to wake someone"]

Rule = dict[str, Any]


def rules_of(path: Path) -> list[Rule]:
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


RULE_FILES = sorted((FOLDER / "rules").glob("*.yaml"))
RULES = [rule for path in RULE_FILES for rule in rules_of(path)]
ALERTS = [rule for rule in RULES if "alert" in rule]
each_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not on PATH; Debian's package prometheus has it")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_there_are_rules_and_each_name_is_there_once() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert names
    assert len(set(names)) == len(names)


@each_alert
def test_an_alert_says_how_grave_it_is_whose_and_what(rule: Rule) -> None:
    # what was lost already cannot be waited for
    assert re.fullmatch(r"[1-9]\d*[mh]", rule["for"]) or rule["alert"] == "DataLoss"
    assert set(rule["labels"]) == {"severity", "team"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["labels"]["team"] in ("streaming", "connectivity", "security")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert len(rule["annotations"]["summary"]) < 80


@each_alert
def test_an_alert_has_a_runbook(rule: Rule) -> None:
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    page = (RUNBOOKS / f"{rule['alert']}.md").read_text()
    assert page.startswith(f"# {rule['alert']}\n")
    assert re.findall(r"^## (.*)$", page, re.M) == SECTIONS
    assert "`hardiot " in page.split("## Look first")[1].split("## Fix")[0].replace(
        "   hardiot ", "`hardiot "
    )


def test_the_index_lists_every_alert_with_its_severity_and_team() -> None:
    page = (RUNBOOKS / "README.md").read_text()
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (\w+) \|", page, re.M)
    expected = [(r["alert"], r["labels"]["severity"], r["labels"]["team"]) for r in ALERTS]
    assert sorted(listed) == sorted(expected)
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {r["alert"] for r in ALERTS} | {
        "README"
    }


def test_links_between_runbooks_lead_somewhere() -> None:
    for path in RUNBOOKS.glob("*.md"):
        for link in re.findall(r"\]\(([^)]+\.md)\)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"


def test_runbooks_name_commands_and_options_that_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for path in RUNBOOKS.glob("*.md"):
        used = re.findall(r"(?:`|^ +)hardiot ([a-z-]+)([^`|\n]*)", path.read_text(), re.M)
        for name, rest in used:
            assert name in commands, f"{path.name}: hardiot {name}"
            options = {option for param in commands[name].params for option in param.opts}
            unknown = set(re.findall(r"--[a-z-]+", rest)) - options
            assert not unknown, f"{path.name}: hardiot {name}{rest}"


def cases(name: str) -> list[dict[str, Any]]:
    """Every promtool case of an alert, of whichever kind."""
    found: list[dict[str, Any]] = []
    for path in sorted((FOLDER / "tests").glob("*.yaml")):
        for test in yaml.safe_load(path.read_text())["tests"]:
            found += [c for c in test.get("alert_rule_test", ()) if c["alertname"] == name]
    return found


@each_alert
def test_an_alert_has_a_test_that_fires_and_one_that_does_not(rule: Rule) -> None:
    found = cases(rule["alert"])
    assert any(case["exp_alerts"] for case in found)
    assert any(not case["exp_alerts"] for case in found)


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:flink_|hardiot[:_])[A-Za-z0-9_:]+", expression))


def test_rules_use_known_metrics_only() -> None:
    known = {metric.name for metric in load_metrics()}
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    assert recorded == {metric.name for metric in load_metrics() if metric.source == "rule"}
    for rule in RULES:
        used = metrics_in(rule["expr"])
        assert used <= known, rule
    assert all(metrics_in(rule["expr"]) for rule in ALERTS)


def test_rules_group_by_labels_that_the_metric_has() -> None:
    labels = {metric.name: set(metric.labels) for metric in load_metrics()}
    for rule in ALERTS:
        shared = set.intersection(*(labels[name] for name in metrics_in(rule["expr"])))
        for by in re.findall(r"\bby \(([^)]*)\)", rule["expr"]):
            assert {label.strip() for label in by.split(",")} <= shared, rule["alert"]


def test_series_of_the_tests_are_known_metrics() -> None:
    known = {metric.name for metric in load_metrics()} | {"up"}
    for path in (FOLDER / "tests").glob("*.yaml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for series in test["input_series"]:
                assert series["series"].partition("{")[0] in known, path.name


# those of plain programs are held against the registry in the programs' own tests
OURS = [m.name for m in load_metrics() if m.source == "hardiot" and m.name.startswith("flink_")]


@pytest.mark.parametrize("name", OURS)
def test_our_metrics_are_those_that_the_jobs_have(name: str) -> None:
    short = name.removeprefix("flink_taskmanager_job_task_operator_").removeprefix("reason_")
    # counters are named by the adaptor, levels by the step that has them
    sources = (
        operator_metrics.__file__,
        rule_feed.__file__,
        rollup_step.__file__,
        accounts.__file__,
    )
    assert any(f'"{short}"' in Path(source).read_text() for source in sources)


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_promtool_reads_the_rules(path: Path) -> None:
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_promtool_tests_pass(path: Path) -> None:
    done = promtool("test", "rules", str(FOLDER / "tests" / path.name))
    assert done.returncode == 0, done.stdout + done.stderr
