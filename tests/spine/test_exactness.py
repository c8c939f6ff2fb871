"""Through duplicates, an outage, a loss and kill -9: every minute exactly once, every alert."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from edge.simulator.build import FleetBuilder, expected_batches
from edge.simulator.fleet import facility_name
from jobs.cli.ledger import Books
from jobs.common.rules import load_rules
from jobs.common.tail import Message
from jobs.detect_anomalies import Settings
from tests.spine.conftest import FACILITIES, MINUTE_MS, Spine
from tests.udfs.model import expected_minutes, rows_of
from udfs.admission import Catalogues
from udfs.alerts import from_json
from udfs.batch import Batch, encode
from udfs.catalogue import Catalogue
from udfs.detect_step import DetectStep
from udfs.ledger import Verdict
from udfs.records import ALERTS, Record
from udfs.rollup import FINAL, MinuteRollup, decode

pytestmark = pytest.mark.stack

NAMES = [facility_name(index) for index in range(FACILITIES)]
LOST = range(95, 102)  # of plant-0003


def finals(messages: list[Message]) -> list[MinuteRollup]:
    rollups = [decode(message.value) for message in messages if message.key.split("/")[0] in NAMES]
    return [item for item in rollups if item.revision == FINAL]


def whole_minutes(batches: list[Batch]) -> list[int]:
    """The minutes that the batches fill up to their end: all but the last."""
    first, last = batches[0].time_ms, batches[-1].time_ms
    return list(range(first // MINUTE_MS * MINUTE_MS, last - MINUTE_MS + 1, MINUTE_MS))


@pytest.fixture(scope="module")
def batches(spine: Spine) -> dict[str, list[Batch]]:
    return {name: list(expected_batches(spine.settings, name, "gw-1")) for name in NAMES}


@pytest.fixture(scope="module")
def rollups(spine: Spine, batches: dict[str, list[Batch]]) -> list[MinuteRollup]:
    wanted = sum(len(whole_minutes(items)) for items in batches.values())
    messages = spine.read(("rollups",), until=lambda found: len(finals(found)) >= wanted)
    return finals(messages)


def test_the_kill_was_real(spine: Spine) -> None:
    assert spine.killed_s.keys() == spine.jobs.keys()
    for job in spine.jobs.values():
        assert spine.stack.rest.job(job)["state"] == "RUNNING"
        assert len(spine.stack.rest.exceptions(job)["exceptionHistory"]["entries"]) >= 1


def test_output_comes_again(
    spine: Spine, record_testsuite_property: Callable[[str, object], None]
) -> None:
    """Every gateway completes a minute each six seconds, so there is always something to say.

    The time is recorded, not judged: how long it takes says as much of the machine as of us.
    """
    after = [message.read_s - spine.killed_s["rollup_readings"] for message in spine.heard]
    # what was written in the last moments before the kill is read in the first ones after it
    resumed_s = min(delay for delay in after if delay > 1.0)
    record_testsuite_property("output_again_s", round(resumed_s, 1))
    assert resumed_s < 60


def test_every_gateway_minute_is_there_exactly_once(
    rollups: list[MinuteRollup], batches: dict[str, list[Batch]]
) -> None:
    found = sorted((item.facility, item.minute_ms) for item in rollups)
    assert found == sorted((n, m) for n, items in batches.items() for m in whole_minutes(items))


def test_every_value_is_what_counting_by_hand_gives(
    rollups: list[MinuteRollup], batches: dict[str, list[Batch]]
) -> None:
    wanted = {name: expected_minutes(items) for name, items in batches.items()}
    for item in rollups:
        rows = rows_of(item)
        expected = wanted[item.facility][item.minute_ms]
        assert rows.keys() == expected.keys()
        wrong = [slot for slot in rows if repr(rows[slot]) != repr(expected[slot])]
        assert not wrong, (item.facility, item.minute_ms, wrong[:3])


def test_a_declared_loss_is_named_in_its_minute_and_nowhere_else(
    rollups: list[MinuteRollup], spine: Spine
) -> None:
    assert spine.settings.start_ms is not None
    hit = (spine.settings.start_ms + LOST[0] * 1000) // MINUTE_MS * MINUTE_MS
    incomplete = {(item.facility, item.minute_ms): item.missing for item in rollups if item.missing}
    assert incomplete == {("plant-0003", hit): len(LOST)}
    assert all(item.complete == (item.missing == 0) for item in rollups)


def test_the_ledger_is_equal(spine: Spine) -> None:
    books = Books()

    def settled(found: list[Message]) -> bool:
        for message in found:
            books.take(message)
        mine = [item for item in books.balances() if item.facility in NAMES]
        return len(mine) == FACILITIES and all(i.verdict is Verdict.EQUAL for i in mine)

    spine.read(families=("ledger", "counted"), until=settled)
    balances = {item.facility: item for item in books.balances() if item.facility in NAMES}
    assert {str(item.verdict) for item in balances.values()} == {"equal"}
    assert spine.summary is not None
    sent = {gateway.facility: gateway for gateway in spine.summary.gateways}
    for name, item in balances.items():
        assert item.counted_readings == sent[name].readings == item.sent_readings
        assert item.duplicates == sent[name].duplicates
        assert item.declared_lost == (len(LOST) if name == "plant-0003" else 0)


class Published(Catalogues):
    """The catalogues that the simulation published."""

    def __init__(self, catalogues: list[Catalogue]) -> None:
        self._known = {item.facility: item for item in catalogues}

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        return self._known.get(facility)

    def knows(self, facility: str, gateway: str) -> bool:
        return facility in self._known


@pytest.mark.parametrize("facility", ["plant-0001", "plant-0003", "plant-0004"])
def test_alerts_are_those_of_the_same_rules_run_here(
    spine: Spine, batches: dict[str, list[Batch]], facility: str
) -> None:
    """One rule, every place: the job's alert ids are those that a plain loop finds."""
    published = Published(FleetBuilder(spine.settings).catalogues)
    step = DetectStep(facility, "gw-1", load_rules(Settings().rules), published)
    wanted = set()
    for batch in batches[facility]:
        record = Record(f"{facility}/gw-1", f"readings.{facility}", 0, 0, encode(batch))
        outputs = step.on_batch(batch, record, batch.time_ms)
        for output in (output for output in outputs if output.topic == ALERTS):
            event = from_json(output.value)
            wanted.add((event.rule, event.id, event.status))
    assert {status for _, _, status in wanted} == {"firing", "resolved"}

    def ids(found: list[Message]) -> set[tuple[str, str, str]]:
        events = [from_json(message.value) for message in found]
        mine = [event for event in events if event.facility == facility]
        return {(e.rule, e.id, e.status) for e in mine if e.rule != "gateway-silent"}

    found = ids(spine.read(("alerts",), until=lambda found: wanted <= ids(found), limit_s=30))
    assert found == wanted


def test_alerts_are_cloudevents(spine: Spine) -> None:
    message = spine.read(("alerts",))[0]
    assert message.headers["ce_specversion"] == "1.0"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["traceparent"].startswith("00-")
    assert json.loads(message.value)["id"] == message.key
