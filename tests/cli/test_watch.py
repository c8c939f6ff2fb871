"""hardiot watch: each kind of record as one line, or as one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner, Result

from jobs.cli import watch as command
from jobs.cli.main import app
from jobs.cli.watch import clock, read_alert
from jobs.common.tail import Message
from tests.cli.messages import READ_S, FakeTail, alert, counted, dead_letter
from tests.udfs.test_condition_events import EVENT
from tests.udfs.test_rollup import ROLLUP
from udfs import rollup
from udfs.condition_events import to_output


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "Tail", FakeTail)


def run(stream: str, *messages: Message, json_: bool = False) -> Result:
    FakeTail.stock = list(messages)
    more = ["--output", "json"] if json_ else []
    result = CliRunner().invoke(app, ["watch", stream, "--bootstrap", "kafka:1", *more])
    assert result.exit_code == 0, result.output
    return result


def rolled(**changes: object) -> Message:
    item = replace(ROLLUP, **changes)
    return Message("rollups", item.key, rollup.encode(item), {}, READ_S)


def condition(**changes: object) -> Message:
    topic, key, value, headers = to_output(replace(EVENT, **changes))
    return Message(topic, key, value, headers, READ_S)


MATCH = json.dumps(
    {
        "pattern": "overheating",
        "facility": "plant-1",
        "gateway": "gw-1",
        "asset": "pump-1",
        "begin_ms": 1_700_000_000_000,
        "end_ms": 1_700_000_003_250,
        "text": "hot [91 °C], then shaking",
    }
).encode()


@pytest.mark.parametrize(
    ("stream", "message", "line"),
    [
        (
            "alerts",
            alert(),
            "22:13:29  firing   critical plant-1/gw-1  p1.bearing is at 97.5 °C",
        ),
        (
            "alerts",
            alert(status="updated", severity="warning", text="p1.bearing: hot came down"),
            "22:13:29  updated  warning  plant-1/gw-1  p1.bearing: hot came down",
        ),
        (
            "alerts",
            alert(status="resolved", late=True, text="flow [m3/h] is back"),
            "22:13:29  resolved critical plant-1/gw-1  flow [m3/h] is back (late)",
        ),
        (
            "rollups",
            rolled(),
            "22:14:00  plant-1/gw-1  revision 1  2 sensors  116 readings  2 batches missing",
        ),
        (
            "rollups",
            rolled(complete=True, missing=0),
            "22:14:00  plant-1/gw-1  revision 1  2 sensors  116 readings  complete",
        ),
        (
            "ledger",
            counted(contiguous_through=1234),
            "22:13:30  plant-1/gw-1  through 1,234  500 readings  0 missing  1 duplicates"
            "  2 refused",
        ),
        ("dead-letters", dead_letter(), "readings.plant-1@17  plant-1/gw-1  not_arrow: what"),
        (
            "condition-events",
            condition(),
            "22:13:23  begin  plant-1/gw-1  pump-1.bearing  bearing-failing/hot  91.5 °C",
        ),
        (
            "condition-events",
            condition(phase="end", event="", value=None, late=True),
            "22:13:23  end    plant-1/gw-1  pump-1.bearing  bearing-failing  - (late)",
        ),
        (
            "pattern-matches",
            Message("pattern-matches", "plant-1/gw-1/pump-1", MATCH, {}, READ_S),
            "22:13:23  overheating  plant-1/gw-1/pump-1  hot [91 °C], then shaking",
        ),
    ],
)
def test_one_line_a_record(stream: str, message: Message, line: str) -> None:
    assert run(stream, message).stdout == line + "\n"


def test_one_json_object_a_line() -> None:
    lines = run("alerts", alert(1), alert(2), json_=True).stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["id-1", "id-2"]
    (line,) = run("rollups", rolled(), json_=True).stdout.splitlines()
    assert json.loads(line) == {
        "facility": "plant-1",
        "gateway": "gw-1",
        "minute_ms": 1_700_000_040_000,
        "revision": 1,
        "complete": False,
        "missing": 2,
        "batches": 58,
        "epoch": 3,
        "catalogue": 1,
        "traceparent": "00-ab-cd-01",
        "sensors": 2,
        "readings": 116,
    }
    (line,) = run("dead-letters", dead_letter("late"), json_=True).stdout.splitlines()
    assert json.loads(line)["reason"] == "late" and json.loads(line)["bytes"] == 4
    (line,) = run("ledger", counted(), json_=True).stdout.splitlines()
    assert json.loads(line)["contract"] == "hardiot.counted.v1"


def test_the_latency_is_from_the_batch_that_left_to_the_alert_that_was_read() -> None:
    assert read_alert(alert())["latency_ms"] == 500.0
    without = alert()
    without.headers.pop("batch_sent_ms")  # made by a timer
    assert read_alert(without)["latency_ms"] is None


@pytest.mark.parametrize(
    ("stream", "topics", "families"),
    [
        ("alerts", ["alerts"], []),
        ("rollups", ["rollups"], []),
        ("ledger", [], ["counted"]),
        ("dead-letters", ["dead-letters"], []),
        ("condition-events", ["condition-events"], []),
        ("pattern-matches", ["pattern-matches"], []),
    ],
)
def test_which_topics_are_read(stream: str, topics: list[str], families: list[str]) -> None:
    run(stream)
    assert FakeTail.opened == ("kafka:1", topics, families, False, {})


def test_times_are_utc() -> None:
    assert clock(1_700_000_000_999) == "22:13:20"
