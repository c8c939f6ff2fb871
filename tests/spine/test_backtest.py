"""A rule tried on what Kafka still holds finds what the job found."""

from __future__ import annotations

import pytest

from jobs.cli.backtest import find_rule, run
from jobs.common.history import EVER_MS, HistoryError
from jobs.common.history_kafka import KafkaHistory
from jobs.common.tail import Message
from tests.spine.conftest import Spine
from udfs.alerts import from_json

pytestmark = pytest.mark.stack

RULE = "bearing-temperature-high"


# plant-0002 has an outage, and which of its lanes the job read first is not to be known
@pytest.mark.parametrize("facility", ["plant-0001", "plant-0003", "plant-0004"])
def test_alerts_are_those_of_the_job(spine: Spine, facility: str) -> None:
    history = KafkaHistory(spine.stack.bootstrap, facility)
    report = run(find_rule(RULE), history, -EVER_MS, EVER_MS)
    wanted = {(life.firing.id, life.firing.late) for life in report.alerts}

    def told(found: list[Message]) -> set[tuple[str, bool]]:
        events = [from_json(message.value) for message in found]
        mine = [e for e in events if (e.facility, e.rule, e.status) == (facility, RULE, "firing")]
        return {(event.id, event.late) for event in mine}

    found = told(spine.read(("alerts",), until=lambda found: wanted <= told(found), limit_s=30))
    assert found == wanted and wanted
    assert report.gateways == 1 and history.refused == 0


def test_only_the_time_and_the_facilities_that_are_asked_for(spine: Spine) -> None:
    assert spine.settings.start_ms is not None
    begin, end = spine.settings.start_ms + 50_000, spine.settings.start_ms + 70_000
    report = run(find_rule(RULE), KafkaHistory(spine.stack.bootstrap, "plant-000[14]"), begin, end)
    assert (report.gateways, report.batches) == (2, 40)
    assert (report.first_ms, report.last_ms) == (begin, end - 1000)


def test_facilities_that_are_not_there(spine: Spine) -> None:
    with pytest.raises(HistoryError, match='no facility "nowhere" has readings there'):
        list(KafkaHistory(spine.stack.bootstrap, "nowhere").read(0, EVER_MS))
