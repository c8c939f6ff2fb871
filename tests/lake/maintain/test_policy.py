"""The declaration: durations, who is meant, and every mistake at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from jobs.common.contracts import ROOT
from jobs.common.typed_yaml import FileMistakes
from jobs.lake.maintain.drop import KEPT
from jobs.lake.maintain.policy import (
    DAY_MS,
    FILE,
    FOREVER_MS,
    Policy,
    SomeTables,
    Tables,
    duration_ms,
    load_policy,
    shown,
)
from jobs.lake.tables import CHUNKS, TABLES
from tests.lake.maintain.plant import hold, ms, policy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("36h", 129_600_000),
        ("90d", 7_776_000_000),
        ("5y", 158_112_000_000),
        ("forever", FOREVER_MS),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert duration_ms(text) == expected
    assert duration_ms(shown(expected)) == expected


@pytest.mark.parametrize("text", ["90", 90, "0d", "-1d", "1.5d", "5m", "d", "", None, True])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="no duration"):
        duration_ms(text)


def test_the_shipped_declaration_is_what_the_docs_promise() -> None:
    shipped = load_policy(ROOT / FILE)
    assert shipped.kept_ms("readings", "plant-07") == 90 * DAY_MS
    assert shipped.kept_ms("rollups", "plant-07") >= 5 * 365.25 * DAY_MS
    assert shipped.holds == []


def test_every_table_that_rows_are_dropped_from_is_declared() -> None:
    assert {spec.name for spec in KEPT} == set(Tables.model_fields) == set(SomeTables.model_fields)
    assert [spec for spec in TABLES if spec not in KEPT] == [CHUNKS]


BAD = """\
tables:
  readings: 90
  rolups: 5y
  rollups: 5y
  rollups_hour: 5 years
  rollups_day: 5y
  alerts: 5y
  alerts: 6y
  ledger: 5y
  counted: 5y
  dead_letters: 90d
topics:
  ledgr.<facility>: 60d
facilities:
  - facility: a*
    why: x
    topics: {rollups: 30d}
  - facility: b*
    why: x
    topics: {readings.<facility>: 2h}
holds:
  - facility: a
    from: 2026-03-02
    to: 2026-03-01
upkeep: {snapshots: 10h, writers: 3d, orphans: 2d}
"""


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "retention.yaml"
    path.write_text(BAD)
    with pytest.raises(FileMistakes) as caught:
        load_policy(path)
    said = [line.removeprefix(f"{path}: line ") for line in caught.value.mistakes]
    assert said == [
        '8: "alerts" is there twice',
        "2: tables.readings: 90 is no duration (as in 36h, 90d, 5y or forever)",
        "5: tables.rollups_hour: '5 years' is no duration (as in 36h, 90d, 5y or forever)",
        "2: tables.restatements: is missing",
        '3: tables.rolups: unknown key "rolups" (did you mean "rollups"?)',
        '13: topics: unknown topic "ledgr.<facility>" (did you mean "ledger.<facility>"?) '
        "(topics are in infra/contracts/topics.yaml)",
        "17: facilities.0.topics: rollups is of all facilities "
        "(write it under topics: of the file)",
        "20: facilities.1.topics: 2h is too short (at least 24h)",
        "22: holds.0.why: is missing",
        "24: holds.0.to: 2026-03-01 is before 2026-03-02 (give a later day)",
        "25: upkeep.orphans: 2d is shorter than writers (a job that comes back after an outage "
        "still commits files from before it)",
    ]


def test_the_first_that_names_a_table_or_topic_counts() -> None:
    rules = policy(
        topics={"ledger.<facility>": "40d"},
        facilities=[
            {"facility": "lab-*", "why": "x", "tables": {"readings": "7d"}},
            {"facility": "*", "why": "x", "topics": {"ledger.<facility>": "50d"}},
            {"facility": "lab-1", "why": "x", "tables": {"readings": "1d", "alerts": "forever"}},
        ],
    )
    assert rules.kept_ms("readings", "lab-1") == 7 * DAY_MS
    assert rules.kept_ms("alerts", "lab-1") == FOREVER_MS
    assert rules.kept_ms("alerts", "lab-2") == duration_ms("5y")
    assert rules.topic_ms("ledger.<facility>", "lab-1") == 50 * DAY_MS
    assert rules.topic_ms("ledger.<facility>", None) == 40 * DAY_MS
    assert rules.topic_ms("rollups", None) is None


def test_a_hold_ends_on_its_day() -> None:
    rules = policy(holds=[hold("plant-*", expires=date(2026, 6, 1))])
    assert rules.held_now("plant-07", ms("2026-05-31T23:59:59.999")) is not None
    assert rules.held_now("plant-07", ms("2026-06-01")) is None
    assert rules.held_now("lab-1", ms("2026-05-31")) is None


def test_the_sample_in_the_comments_can_be_used() -> None:
    text = (ROOT / FILE).read_text()
    sample = [line[2:] for line in text.splitlines() if line.startswith("#   ")]
    holds = yaml.safe_load("\n".join(sample[sample.index("  - facility: plant-07") :]))
    assert Policy.model_validate(yaml.safe_load(text) | {"holds": holds}).holds[0].to == date(
        2026, 3, 31
    )
