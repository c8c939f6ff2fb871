"""The command line: help, examples, exit codes, and errors without a trace."""

from __future__ import annotations

import sys

import pytest
import typer
from typer.testing import CliRunner

from jobs.cli import ledger, main, stack, watch
from jobs.cli.main import app
from jobs.common.errors import ClusterError, HardiotError, SettingsError
from jobs.common.tail import KafkaError

ROOT = typer.main.get_command(app).commands
COMMANDS = {name: found for name, found in ROOT.items() if not hasattr(found, "commands")} | {
    f"{group} {name}": found
    for group, one in ROOT.items()
    for name, found in getattr(one, "commands", {}).items()
}
NAMES = sorted(COMMANDS)


def test_the_commands() -> None:
    assert sorted(ROOT) == [
        "admit", "backup", "bench", "demo", "docs", "doctor", "down", "gateway", "lake", "ledger",
        "maintain", "plan", "quality", "query", "restate", "restore", "rules", "run", "simulate",
        "sql", "status", "trace", "up", "watch",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: hardiot {name}" in result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name: str) -> None:
    options = [p for p in COMMANDS[name].params if p.param_type_name == "option"]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("run", "sql")])
def test_an_unknown_option_is_exit_code_2(name: str) -> None:
    result = CliRunner().invoke(app, [*name.split(), "--colour", "red"])
    assert result.exit_code == 2 and result.stdout == ""
    assert "--colour" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["no-such-command"],
        ["watch", "weather"],
        ["plan", "no_such_job"],
        ["run"],
        ["watch", "--output", "xml"],
        ["up", "--taskmanagers", "0"],
        ["demo", "--seconds", "1"],
    ],
)
def test_wrong_usage_is_exit_code_2(args: list[str]) -> None:
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert all(name in result.output for name in ROOT)


def run_main(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """The process's own way in. Returns: its exit code."""
    monkeypatch.setattr(sys, "argv", ["hardiot", *args])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("flag --windw-s: unknown key\nsecond [mistake]"), 2),
        (ClusterError("port 8081 is taken: stop what uses it"), 1),
        (HardiotError("no local stack is up"), 1),
    ],
)
def test_what_the_user_can_put_right_is_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def fails(_: str | None) -> str:
        raise error

    monkeypatch.setattr(ledger, "find_bootstrap", fails)
    assert run_main(monkeypatch, "ledger") == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{error}\n")


def test_a_broken_program_shows_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stack, "examine", breaks)
    monkeypatch.setattr(sys, "argv", ["hardiot", "doctor"])
    with pytest.raises(ZeroDivisionError):
        main.main()


def test_without_a_stack_the_next_step_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HARDIOT__BOOTSTRAP", raising=False)
    monkeypatch.setattr("jobs.cli.where.STACKS", ())
    assert run_main(monkeypatch, "watch") == 1
    assert capsys.readouterr().err.startswith("no local stack is up: start one with `hardiot up`")


def test_kafka_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(*_: object, **__: object) -> None:
        raise KafkaError("127.0.0.1:1: Kafka does not answer; is it up? `hardiot status`")

    monkeypatch.setattr(watch, "Tail", silent)
    assert run_main(monkeypatch, "watch", "--bootstrap", "127.0.0.1:1") == 1
    assert "is it up? `hardiot status`" in capsys.readouterr().err
