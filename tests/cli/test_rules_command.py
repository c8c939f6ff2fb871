"""hardiot rules check and test: mistakes, warnings, verdicts, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from jobs.cli.main import app

GOOD = """rules:
  - name: hot  # a comment
    sensors: {kind: temperature}
    condition: {threshold: {above: 80}}
    severity: warning
    text: t
    tests:
      - {name: fires, readings: {p.t: "85"}, expect: [{subject: p.t}]}
      - {name: is quiet, readings: {p.t: "75"}, expect: []}
"""
BAD = """rules:
  - name: cold
    sensors: {kind: temprature}
    condition: {threshold: {above: 80, clear_below: 85}}
    severity: warning
    text: t
"""
UNTESTED = GOOD.split("    tests:")[0].replace("name: hot", "name: hot-too")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(GOOD)
    return tmp_path / "rules"


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["rules", *args])


def test_no_mistakes(folder: Path) -> None:
    result = run("check", "rules")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 files, no mistakes, 0 warnings\n"


def test_all_mistakes_of_all_files_at_once(folder: Path) -> None:
    (folder / "b.yaml").write_text(BAD)
    (folder / "c.yaml").write_text("rules: 7")
    result = run("check", "rules")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        'rules/b.yaml: line 3: unknown sensor kind "temprature" (did you mean "temperature"?)',
        "rules/b.yaml: line 4: clear_below 85 is not below the limit 80 (give 80 or less)",
        "rules/c.yaml: line 1: rules 7 is not a list (begin each entry with a dash)",
    ]
    assert result.stderr == "3 mistakes in 2 files\n"


def test_a_rule_without_tests_is_a_warning(folder: Path) -> None:
    (folder / "b.yaml").write_text(UNTESTED)
    result = run("check", "rules/a.yaml", "rules/b.yaml", "-o", "json")
    assert result.exit_code == 0
    fix = "add one under tests:, as in docs/rules.md"
    assert json.loads(result.stdout) == [
        {"level": "warning", "file": "rules/b.yaml", "line": 2, "fix": fix, "problem": problem}
        for problem in (
            "hot-too has no test in which it fires",
            "hot-too has no test in which it stays quiet",
        )
    ]
    assert "line 2: hot-too has no test in which it fires (" in run("check", "rules").stdout


@pytest.mark.parametrize("command", ["check", "test"])
def test_where_no_rules_are(folder: Path, command: str) -> None:
    for path, problem in (("none.yaml", "cannot be read"), (".", "no rule files")):
        result = run(command, path)
        assert result.exit_code == 1 and problem in str(result.exception)


def test_tests_that_pass(folder: Path) -> None:
    result = run("test", "rules")
    assert result.exit_code == 0
    assert result.stdout == "passed  hot: fires\npassed  hot: is quiet\n"
    assert result.stderr == "2 tests of 1 rules, all passed\n"


def test_a_test_that_fails_tells_the_difference(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD.replace("above: 80", "above: 70"))
    result = run("test", "rules")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "passed  hot: fires",
        "FAILED  hot: is quiet",
        "        extra: subject p.t, asset p, onset_s 0, firing_s 0, resolved_s null, "
        "severity warning, value 75, limit 70, text t",
    ]
    assert result.stderr == "2 tests of 1 rules, 1 failed\n"
    (verdict, failed) = json.loads(run("test", "rules", "-o", "json").stdout)
    assert (verdict["passed"], failed["passed"], failed["got"][0]["value"]) == (True, False, 75.0)


def test_only_some_tests(folder: Path) -> None:
    assert run("test", "rules", "-k", "quiet").stdout == "passed  hot: is quiet\n"
    assert run("test", "rules", "-k", "hot").stderr == "2 tests of 1 rules, all passed\n"
    result = run("test", "rules", "-k", "nothing")
    assert result.exit_code == 1 and result.stderr == 'no test or rule has "nothing" in its name\n'


def test_mistakes_come_before_tests(folder: Path) -> None:
    (folder / "b.yaml").write_text(BAD)
    result = run("test", "rules")
    assert result.exit_code == 1 and "rules/b.yaml: line 3" in str(result.exception)


def test_without_a_path_the_projects_own_rules_are_meant(folder: Path) -> None:
    assert run("check").stderr == "6 files, no mistakes, 0 warnings\n"
