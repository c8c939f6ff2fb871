"""What `hardiot status` and `hardiot doctor` print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from jobs.cli import stack as commands
from jobs.local import paths
from jobs.local.checks import Check


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    monkeypatch.setattr(paths, "RUNS", tmp_path)
    app = typer.Typer()
    for command in (commands.up, commands.down, commands.status, commands.doctor):
        app.command()(command)
    return app


def doctors(monkeypatch: pytest.MonkeyPatch, *found: Check) -> None:
    monkeypatch.setattr(commands, "examine", lambda: list(found))


def test_status_of_a_stack_that_was_never_started(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["status", "--output", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"processes": [], "jobs": []}


def test_down_of_a_stack_that_was_never_started(app: typer.Typer, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["down"]).exit_code == 0
    assert not (tmp_path / "local").exists()


def test_a_healthy_machine(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    doctors(monkeypatch, Check("Java", "ok", "17"), Check("memory", "warn", "6 GiB", "wait"))
    result = CliRunner().invoke(app, ["doctor", "--output", "json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)[1] == {
        "check": "memory",
        "status": "warn",
        "found": "6 GiB",
        "fix": "wait",
    }


def test_a_failed_check_is_exit_code_1(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    doctors(monkeypatch, Check("Java", "fail", "none", "install it"))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert "install it" in result.stdout


def test_up_says_what_is_wrong(app: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "JARS", Path("/nowhere"))
    result = CliRunner().invoke(app, ["up"])
    assert result.exit_code == 1
    assert "/nowhere/kafka: no jars: run `make setup`" in " ".join(result.stderr.split())
