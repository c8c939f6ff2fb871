"""Data on stdout as a table or as JSON; what went wrong on stderr."""

from __future__ import annotations

import json

import pytest

from jobs.cli.output import Format, cell, fail, log, show_item, show_json, show_rows

ROWS = [
    {"gateway": "gw-1", "readings": 12345, "complete": True},
    {"gateway": "gw-2", "readings": 7, "complete": False},
]


def test_rows_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, Format.JSON, title="not in the data")
    out, err = capsys.readouterr()
    assert json.loads(out) == ROWS and err == ""


def test_rows_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, Format.TABLE, title="gateways")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "gateways"
    header = next(line for line in lines if "gateway " in line)
    assert header.split("┃")[1:4] == [" gateway ", " readings ", " complete "]
    assert "│ gw-1    │   12,345 │ true     │" in lines
    assert "│ gw-2    │        7 │ false    │" in lines


@pytest.mark.parametrize(("title", "text"), [("", "nothing: none"), ("jobs", "jobs: none")])
def test_no_rows(capsys: pytest.CaptureFixture[str], title: str, text: str) -> None:
    show_rows([], Format.TABLE, title)
    show_rows([], Format.JSON, title)
    assert capsys.readouterr().out.splitlines() == [text, "[]"]


def test_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    show_item({"kafka": "127.0.0.1:9092", "jobs": 2}, Format.JSON)
    assert json.loads(capsys.readouterr().out) == {"kafka": "127.0.0.1:9092", "jobs": 2}
    show_item({"kafka": "127.0.0.1:9092", "jobs": 2}, Format.TABLE)
    assert "│ kafka │ 127.0.0.1:9092 │" in capsys.readouterr().out


def test_json_on_one_line_and_of_any_type(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a": 1, "path": ROWS[0].keys()}, indent=None)
    assert (
        capsys.readouterr().out
        == "{\"a\": 1, \"path\": \"dict_keys(['gateway', 'readings', 'complete'])\"}\n"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (False, "false"), (0, "0"), (-1234567, "-1,234,567"),
        (1234.5678, "1,234.568"), (float("nan"), "nan"), ("[bold]", "[bold]"), ((1, 2), "(1, 2)"),
    ],
)  # fmt: skip
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_text_is_never_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"text": "flow [m3/h] [red]x"}], Format.TABLE)
    show_item({"text": "flow [m3/h] [red]y"}, Format.TABLE)
    log.print("flow [m3/h] [red]z")
    out, err = capsys.readouterr()
    assert "flow [m3/h] [red]x" in out and "flow [m3/h] [red]y" in out
    assert err == "flow [m3/h] [red]z\n"


def test_a_long_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fail("word " * 60)
    assert capsys.readouterr().err == "word " * 60 + "\n"


def test_a_failure_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    exit_ = fail("rules/pump.yaml: line [7]: unknown")
    out, err = capsys.readouterr()
    assert (exit_.exit_code, out, err) == (1, "", "rules/pump.yaml: line [7]: unknown\n")
    assert fail("x", 2).exit_code == 2
