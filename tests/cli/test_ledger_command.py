"""hardiot ledger: both sides side by side, exit 1 when readings are missing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jobs.cli import ledger as command
from jobs.cli.ledger import Books
from jobs.cli.main import app
from jobs.common.tail import Message
from tests.cli.messages import FakeTail, counted, word
from udfs.ledger import Verdict


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "Tail", FakeTail)


def run(*messages: Message, args: tuple[str, ...] = ("--output", "json")) -> Result:
    FakeTail.stock = list(messages)
    return CliRunner().invoke(app, ["ledger", "--bootstrap", "kafka:1", *args])


def test_equal_sides() -> None:
    result = run(word(), counted())
    assert result.exit_code == 0 and result.stderr == "1 gateways, nothing missing\n"
    assert json.loads(result.stdout) == [
        {
            "facility": "plant-1", "gateway": "gw-1", "verdict": "equal", "sent_readings": 500,
            "counted_readings": 500, "sent_through": 9, "counted_through": 9, "missing": 0,
            "declared_lost": 0, "duplicates": 1, "late": 0, "refused": 2, "gaps": [],
            "pending": -1, "verified_through": -1, "verified_readings": 0,
            "unaccounted_batches": 0, "unaccounted": [], "different": [],
        }
    ]  # fmt: skip


def test_missing_readings_are_exit_code_1_and_named() -> None:
    gaps = [[3, 4], [6, 6], [8, 8], [10, 10]]
    holes = counted("gw-2", missing=5, gaps=gaps, contiguous_through=2)
    result = run(word(), counted(), word("gw-2"), holes)
    assert result.exit_code == 1
    assert result.stderr == (
        "1 of 2 gateways have readings missing or different: plant-1/gw-2 3-4, 6-6, 8-8\n"
    )
    assert [item["verdict"] for item in json.loads(result.stdout)] == ["equal", "missing"]


def test_other_counts_are_exit_code_1() -> None:
    assert run(word(readings=501), counted()).exit_code == 1


def test_what_is_only_behind_or_unheard_is_no_failure() -> None:
    result = run(word(through=10, readings=550), counted(), word("gw-2"), counted("gw-3"))
    verdicts = [item["verdict"] for item in json.loads(result.stdout)]
    assert (result.exit_code, verdicts) == (0, ["behind", "unheard", "unheard"])


def test_many_gateways_are_named_up_to_five() -> None:
    lines = [counted(f"gw-{n}", missing=1, gaps=[[1, 1]], contiguous_through=0) for n in range(7)]
    words = [word(f"gw-{n}") for n in range(7)]
    told = run(*words, *lines).stderr
    assert told.startswith("7 of 7 gateways") and told.endswith("plant-1/gw-4 1-1 ...\n")


def test_a_table_for_people() -> None:
    gap = counted(missing=2, gaps=[[3, 4]], contiguous_through=2)
    result = run(word(), gap, args=())
    assert result.exit_code == 1
    lines = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines()]
    assert ["", "plant-1/gw-1", "missing", "500", "500", "0", "2", "0", "3-4", ""] in lines


def test_what_kafka_acknowledged_and_is_not_there_is_named_even_while_it_flows() -> None:
    more: dict[str, Any] = {
        "verified_readings": 400,
        "verified_through": 9,
        "unaccounted_batches": 2,
    }
    lost = counted("gw-1", unaccounted=[[1, 3, 4]], **more)
    wrong = counted("gw-2", different=[[1, 5, 6], [2, 7, 7]])
    result = run(word(through=20), lost, word("gw-2", through=20), wrong)
    assert result.exit_code == 1
    assert result.stderr == (
        "2 of 2 gateways have readings missing or different: plant-1/gw-1 unaccounted 1:3-4; "
        "plant-1/gw-2 different 1:5-6, different 2:7-7\n"
    )
    first, second = json.loads(result.stdout)
    assert (first["verdict"], first["unaccounted"], first["unaccounted_batches"]) == (
        "missing", [[1, 3, 4]], 2,
    )  # fmt: skip
    assert (first["verified_readings"], first["verified_through"]) == (400, 9)
    assert (second["verdict"], second["different"]) == ("different", [[1, 5, 6], [2, 7, 7]])


def test_a_large_gateway_fits_a_line_of_a_hundred_columns() -> None:
    many: dict[str, Any] = {"readings": 431_995_000, "epoch_readings": 431_995_000}
    line = counted("gw-1", verified_readings=431_995_000, missing=2, gaps=[[86000, 86001]], **many)
    FakeTail.stock = [word(readings=431_995_000), line]
    environment = {"COLUMNS": "100"}
    result = CliRunner().invoke(app, ["ledger", "--bootstrap", "kafka:1"], env=environment)
    assert sum("plant-1/gw-1" in text for text in result.stdout.splitlines()) == 1
    assert len(result.stdout.splitlines()) == 5  # a border, names, a border, the line, a border


def test_nothing_there() -> None:
    result = run()
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_which_topics_are_read() -> None:
    run()
    assert FakeTail.opened == ("kafka:1", [], ["ledger", "counted"], {"from_start": True})
    run(args=("--facility", "plant-1"))
    topics = ["ledger.plant-1", "counted.plant-1"]
    assert FakeTail.opened == ("kafka:1", topics, [], {"from_start": True})


def test_the_newest_word_and_line_count() -> None:
    books = Books()
    for message in (
        word(epoch=2, readings=700),
        word(epoch=1, readings=9),  # an old one, read from another partition
        counted(epoch_readings=1),
        counted(epoch=2, epoch_readings=700),
        Message("ledger.plant-1", "gw-1", b"junk", {}, 0.0),
        Message("ledger.plant-1", "gw-1", b'{"contract": "hardiot.ledger.v1"}', {}, 0.0),
    ):
        books.take(message)
    (balance,) = books.balances()
    assert (balance.verdict, balance.sent_readings) == (Verdict.EQUAL, 700)
    books.take(word(epoch=2, readings=800))
    assert books.balances()[0].sent_readings == 800


def test_balances_are_in_the_order_of_names() -> None:
    books = Books()
    for name in ("gw-2", "gw-10", "gw-1"):
        books.take(word(name))
    assert [item.gateway for item in books.balances()] == ["gw-1", "gw-10", "gw-2"]
