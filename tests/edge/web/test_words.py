"""What a person reads: every trouble has a level in words and says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.status import Connection, InputStatus, Status
from edge.web.words import Card, Level, duration, summarise
from tests.edge.web.samples import HOUR_MS, T0, alarms, link, status


def card(made: Status, title: str) -> Card:
    (found,) = (card for card in summarise(made).cards if card.title == title)
    return found


def offline(hours_left: float | None, detail: str = "") -> Status:
    made = status()
    uplink = replace(made.uplink, connection=link(False, detail))
    return replace(made, uplink=uplink, spool=replace(made.spool, hours_left=hours_left))


def spool(**more) -> Status:
    return status(spool=replace(status().spool, **more))


def test_all_is_well() -> None:
    summary = summarise(status())
    assert summary.headline == "No alarms. This gateway is in order."
    assert {found.level for found in summary.cards} == {summary.level} == {Level.OK}
    assert [found.text for found in summary.cards] == [
        "Connected for 3 h 0 min.",
        "5 % used. Room for 31 hours.",
        "Connected for 3 min, 5,003 readings a second.",
        "Connected for 3 min, 1 readings a second.",
        "All messages were understood.",
        "31 rules run: rulebook 6.",
    ]


def test_alarms_come_first() -> None:
    summary = summarise(status(alarms=alarms()))
    assert summary.headline == "2 alarms (1 critical, 1 warning). This gateway is in order."
    assert summary.level is Level.CRITICAL


def test_offline_with_room_is_no_emergency() -> None:
    summary = summarise(offline(19, "timed out"))
    assert (summary.level, summary.headline) == (
        Level.WARNING, "No alarms. Needs a look: cloud.",
    )  # fmt: skip
    found = summary.cards[0]
    assert found.text == (
        "Not connected for 47 min. Readings are kept on this box; there is room for 19 hours more."
    )
    assert found.hint.endswith("cable and router. It says: timed out")


def test_offline_with_little_room_is_one() -> None:
    summary = summarise(offline(1.5))
    assert [found.level for found in summary.cards[:2]] == [Level.CRITICAL, Level.WARNING]
    assert "there is room for 90 minutes more" in summary.cards[0].text


def test_offline_and_nothing_comes_in() -> None:
    assert card(offline(None), "Cloud").text.endswith("kept on this box; there is room.")


def test_a_disk_that_fails() -> None:
    found = card(spool(failed="fsync: Input/output error"), "Store")
    assert found.level is Level.CRITICAL
    assert "fsync: Input/output error" in found.text and "replaced" in found.hint


@pytest.mark.parametrize(
    ("more", "fact"),
    [
        ({"lost": {"spool_full": 120}}, ("Lost for good, spool full", "120 batches")),
        ({"damaged": 2}, ("Damaged files", "2")),
    ],
)
def test_losses_are_said(more: dict, fact: tuple[str, str]) -> None:
    found = card(spool(**more), "Store")
    assert found.level is Level.WARNING and fact in found.facts and found.hint


def test_inputs() -> None:
    away = InputStatus(Connection("mqtt", False, T0 - 60_000, "refused"), 10)
    silent = InputStatus(Connection("opcua-1", True, T0 - 60_000), 10)
    made = status(inputs=(away, silent))
    assert card(made, "Input mqtt").level is Level.CRITICAL
    assert card(made, "Input mqtt").hint.endswith("It says: refused")
    assert card(made, "Input opcua-1").text == "Connected for 60 s, but nothing comes."
    assert card(status(inputs=()), "Inputs").hint


@pytest.mark.parametrize(
    ("days", "level", "said"),
    [
        (15, Level.OK, "ends in 15 days"),
        (13, Level.WARNING, "ends in 13 days"),
        (-1, Level.WARNING, "has ended"),
    ],
)
def test_certificates(days: int, level: Level, said: str) -> None:
    ends = link(True, certificate_expires_ms=T0 + days * 24 * HOUR_MS)
    found = card(status(uplink=replace(status().uplink, connection=ends)), "Cloud")
    assert found.level is level and ("Certificate", said) in found.facts


def test_refused_messages() -> None:
    found = card(status(refused={"not_json": 7, "unknown_alias": 9}), "Messages")
    assert found.level is Level.WARNING
    assert found.facts[:2] == (
        ("Refused, unknown alias", "9 messages"), ("Refused, not json", "7 messages"),
    )  # fmt: skip


def rules(**more) -> Card:
    return card(status(rules=replace(status().rules, **more)), "Rules")


def test_which_rules_run_and_who_pushed_them() -> None:
    assert rules().facts == (("Pushed", "by ana: limits of line 2"),)
    assert rules(revision=0).text == "31 rules run: the rules of this gateway's folder."
    assert rules(revision=0).facts == ()


@pytest.mark.parametrize(
    ("more", "level", "said"),
    [
        ({"why": "revision 7: plant.yaml: line 5: no", "refused": 1}, Level.WARNING, "line 5: no"),
        ({"trouble": "not_allowed"}, Level.WARNING, "right to read"),
        ({"trouble": "no_topic"}, Level.OK, ""),
        ({"failed": 3}, Level.CRITICAL, "Tell whoever"),
    ],
)
def test_rules_that_cannot_be_had(more: dict, level: Level, said: str) -> None:
    found = rules(**more)
    assert found.level is level and said in found.hint
    assert ("New rulebooks", "this cloud has none") in rules(trouble="no_topic").facts
    assert ("Refused rulebooks", "1") in rules(why="no", refused=1).facts


def test_a_rulebook_with_thousands_of_mistakes_fits_on_a_phone() -> None:
    assert len(rules(why="x" * 2000).hint) < 400


@pytest.mark.parametrize(
    ("ms", "said"),
    [(-5000, "0 s"), (119_999, "119 s"), (120_000, "2 min"), (2 * HOUR_MS, "2 h 0 min"),
     (47 * HOUR_MS + 60_000, "47 h 1 min"), (48 * HOUR_MS, "2 days")],
)  # fmt: skip
def test_durations(ms: int, said: str) -> None:
    assert duration(ms) == said
