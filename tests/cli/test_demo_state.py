"""What the demo counts of what it reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jobs.cli.demo_state import SHOWN_ALERTS, ProgressFiles, Seen
from jobs.common.tail import Message
from tests.cli.messages import READ_S, alert, counted, dead_letter, word
from tests.udfs.test_rollup import ROLLUP
from udfs import rollup
from udfs.ledger import Verdict


def seen(*messages: Message) -> Seen:
    found = Seen()
    for message in messages:
        found.take(message)
    return found


def rolled(**changes: object) -> Message:
    return Message("rollups", "k", rollup.encode(replace(ROLLUP, **changes)), {}, READ_S)


def test_alerts_are_counted_once_an_id_and_status() -> None:
    found = seen(alert(1), alert(1), alert(2), alert(1, "resolved"), alert(1, "resolved"))
    assert found.alerts == {"bearing-hot": 2} and found.resolved == 1
    assert [item["id"] for item in found.newest] == ["id-2", "id-1"]
    assert found.latencies_ms == [500.0, 500.0]


def test_an_alert_that_changes_is_one_alert_and_shown_anew() -> None:
    worse = {"severity": "critical", "event_ms": 1_700_000_100_000}
    milder = {"severity": "warning", "event_ms": 1_700_000_200_000}
    found = seen(
        alert(1, severity="warning"), alert(1, "updated", **worse), alert(1, "updated", **worse),
        alert(1, "updated", **milder), alert(1, "resolved", **worse),
    )  # fmt: skip
    assert (found.alerts, found.updated, found.resolved) == ({"bearing-hot": 1}, 2, 1)
    assert [(item["status"], item["severity"]) for item in found.newest] == [
        ("updated", "warning"), ("updated", "critical"), ("firing", "warning"),
    ]  # fmt: skip
    assert len(found.latencies_ms) == 1


def test_alerts_by_rule_and_those_from_the_backlog() -> None:
    found = seen(alert(1), alert(2, rule="silent"), alert(3, late=True))
    assert found.alerts == {"bearing-hot": 2, "silent": 1}
    assert len(found.latencies_ms) == 2  # a late one tells nothing of the way


def test_the_newest_alerts_are_shown() -> None:
    found = seen(*(alert(n) for n in range(25)))
    assert [item["id"] for item in found.newest] == [f"id-{n}" for n in range(24, 14, -1)]
    assert SHOWN_ALERTS == 10


def test_when_the_first_alert_was_read() -> None:
    assert Seen().first_alert_s is None
    assert seen(alert(1, "resolved")).first_alert_s is None
    assert seen(alert(1), alert(2)._replace(read_s=READ_S + 9)).first_alert_s == READ_S


def test_final_rollups_are_counted_apart_from_provisional_ones() -> None:
    found = seen(rolled(revision=0), rolled(), rolled(complete=True, missing=0))
    assert (found.provisional, found.rollups, found.incomplete) == (1, 2, 1)
    assert found.rolled_readings == 232


def test_dead_letters_by_reason() -> None:
    found = seen(dead_letter(), dead_letter("late"), dead_letter("late"))
    assert found.dead_letters == {"not_arrow": 1, "late": 2}
    assert seen(dead_letter()._replace(headers={})).dead_letters == {"?": 1}


def test_the_ledger_is_part_of_it() -> None:
    (balance,) = seen(word(), counted()).balances()
    assert balance.verdict is Verdict.EQUAL


def test_percentiles() -> None:
    found = Seen(latencies_ms=[float(n) for n in range(100, 0, -1)])
    assert (found.percentile_ms(0.5), found.percentile_ms(0.99)) == (51.0, 100.0)
    assert (found.percentile_ms(0.0), found.percentile_ms(1.0)) == (1.0, 100.0)
    assert Seen().percentile_ms(0.5) is None


def test_the_machines_progress_is_read_as_it_grows(tmp_path: Path) -> None:
    log = tmp_path / "simulator.out"
    progress = ProgressFiles([log])
    assert progress.read() == {}
    log.write_text('starting\n{"readings": 1}\n{"rea')
    assert progress.read()["readings"] == 1
    with log.open("a") as file:
        file.write('dings": 2}\n\n{"readings": 3, "readings_per_s": 5.0}\n')
    assert progress.read() == progress.read()
    assert progress.read()["readings"] == 3
    assert progress.read()["readings_per_s"] == 5
    assert not progress.ended


def test_progress_of_several_processes_is_added_up(tmp_path: Path) -> None:
    one, two = tmp_path / "one.out", tmp_path / "two.out"
    progress = ProgressFiles([one, two])
    one.write_text('{"readings": 1}\n{"event": "started"}\n{"readings": 4, "ended": true}\n')
    assert progress.read()["readings"] == 4
    two.write_text('%3|1700000000|FAIL|rdkafka\n  trace\n{"readings": 2}\n')
    assert progress.read()["readings"] == 6
    assert not progress.ended
    with two.open("a") as file:
        file.write('{"readings": 3, "ended": true}\n')
    assert progress.read()["readings"] == 7
    assert progress.ended
