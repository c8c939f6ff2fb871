"""Machines to minutes by a real gateway: a link cut, kill -9 twice; nothing lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain

import numpy as np
import pytest

from edge.simulator.build import expected_batches, expected_readings
from edge.simulator.devices import times_of
from jobs.cli.ledger import Books
from jobs.common.tail import Message
from tests.spine.conftest import MINUTE_MS, Running
from tests.spine.site import (
    CUT_S,
    FACILITY,
    FAULTS_S,
    GATEWAY,
    LIVE_WITHIN_S,
    MACHINES,
    RESTORE_S,
    SENSORS,
    Run,
    Stored,
    run_site,
)
from tests.udfs.model import expected_minutes, rows_of
from udfs.alerts import from_json
from udfs.batch import Batch, Lane, decode
from udfs.fingerprint import fingerprint
from udfs.ledger import Balance, Verdict, Word, decode_word
from udfs.rollup import FINAL, MinuteRollup
from udfs.rollup import decode as decode_rollup

pytestmark = pytest.mark.stack

KEY = f"{FACILITY}/{GATEWAY}"

Note = Callable[[str, object], None]


@pytest.fixture(scope="module")
def site(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_site(running.stack, tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def live(site: Run) -> list[tuple[int, Batch]]:
    """(when it was appended, batch) of the live lane's topic."""
    return decoded(site.stored("readings"))


@pytest.fixture(scope="module")
def backlog(site: Run) -> list[tuple[int, Batch]]:
    return decoded(site.stored("backlog"))


@pytest.fixture(scope="module")
def words(site: Run) -> list[Word]:
    return [decode_word(item.value) for item in site.stored("ledger")]


@pytest.fixture(scope="module")
def balance(running: Running, site: Run) -> Balance:
    """The ledger when both sides are equal, or after a minute."""
    books = Books()

    def equal(found: list[Message]) -> bool:
        for message in found:
            books.take(message)
        return [item.verdict for item in books.balances()] == [Verdict.EQUAL]

    running.read((f"ledger.{FACILITY}", f"counted.{FACILITY}"), until=equal)
    (found,) = books.balances()
    return found


def decoded(found: list[Stored]) -> list[tuple[int, Batch]]:
    return [(item.at_ms, decode(item.value)) for item in found]


def once_each(*topics: list[tuple[int, Batch]]) -> list[Batch]:
    """Every number's first record, in the order of numbers."""
    first = {(batch.epoch, batch.sequence): batch for _, batch in reversed([*chain(*topics)])}
    return [first[number] for number in sorted(first)]


def test_what_was_to_happen_did(
    site: Run, live: list[tuple[int, Batch]], backlog: list[tuple[int, Batch]]
) -> None:
    assert site.summary is not None
    assert site.summary.unacknowledged == 0
    assert site.summary.gateways[0].duplicates >= 5
    assert len(site.box.events("started")) == 3
    assert site.repeats[0] == 0 and min(site.repeats[1:]) > SENSORS / 2, site.repeats
    assert not [at for at, _ in live + backlog if site.cut_ms + 500 < at < site.restored_ms]
    held = RESTORE_S - CUT_S - LIVE_WITHIN_S
    assert len({batch.sequence for _, batch in backlog}) >= held - 2


def test_kafka_has_every_reading_once_to_the_bit(
    site: Run, live: list[tuple[int, Batch]], backlog: list[tuple[int, Batch]]
) -> None:
    batches = once_each(live, backlog)
    (epoch,) = {batch.epoch for batch in batches}
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    contents = {(b.sequence, fingerprint(b)) for _, b in live + backlog}
    assert len(contents) == len(batches), f"a number of epoch {epoch} with two contents"
    expected = expected_readings(site.settings, MACHINES, GATEWAY)
    slot = np.concatenate([batch.slots() for batch in batches])
    at = np.concatenate([times_of(batch) for batch in batches])
    value = np.concatenate([batch.value for batch in batches])
    order = np.lexsort((at, slot))
    np.testing.assert_array_equal(slot[order], expected.slot)
    np.testing.assert_array_equal(at[order], expected.time_ms)
    assert value[order].tobytes() == expected.value.tobytes()


def finals(messages: list[Message]) -> list[MinuteRollup]:
    found = [decode_rollup(message.value) for message in messages if message.key == KEY]
    return [item for item in found if item.revision == FINAL]


def test_every_minute_is_there_once_and_is_what_counting_by_hand_gives(
    running: Running, site: Run, live: list[tuple[int, Batch]], backlog: list[tuple[int, Batch]]
) -> None:
    end_ms = max(batch.time_ms for _, batch in live + backlog)
    whole = range(site.start_ms // MINUTE_MS * MINUTE_MS, end_ms - MINUTE_MS + 1, MINUTE_MS)
    assert len(whole) >= 1
    found = finals(running.read(("rollups",), until=lambda x: len(finals(x)) >= len(whole)))
    assert sorted(item.minute_ms for item in found) == list(whole)
    made = list(expected_batches(site.settings, MACHINES, GATEWAY))
    by_hand = expected_minutes(made)
    for item in found:
        assert item.complete and item.missing == 0
        rows, expected = rows_of(item), by_hand[item.minute_ms]
        assert rows.keys() == expected.keys()
        assert not [slot for slot in rows if repr(rows[slot]) != repr(expected[slot])][:3]


def test_the_ledger_is_equal_and_every_range_verified(
    site: Run,
    live: list[tuple[int, Batch]],
    backlog: list[tuple[int, Batch]],
    words: list[Word],
    balance: Balance,
    record_testsuite_property: Note,
) -> None:
    assert balance.verdict is Verdict.EQUAL
    assert balance.unaccounted == balance.different == () and balance.unaccounted_batches == 0
    assert balance.missing == balance.declared_lost == balance.late == balance.refused == 0
    assert balance.pending == 0
    made = sum(map(len, expected_batches(site.settings, MACHINES, GATEWAY)))
    assert balance.counted_readings == balance.sent_readings == made
    records = len(live) + len(backlog)
    batches = once_each(live, backlog)
    assert balance.duplicates == records - len(batches)

    readings = {batch.sequence: len(batch) for batch in batches}
    ranges = dict.fromkeys((first, last) for word in words for first, last, *_ in word.ranges)
    told = [number for first, last in ranges for number in range(first, last + 1)]
    assert len(told) == len(set(told))  # no kill had a number told again, in another range
    after = {b.sequence for at, b in live + backlog if at > site.started_ms[-1]}
    assert len(after) > 20
    assert after <= set(told)
    assert balance.verified_readings == sum(readings[number] for number in told)
    record_testsuite_property("edge_readings_verified", f"{balance.verified_readings} of {made}")
    record_testsuite_property("edge_batches_twice", balance.duplicates)


def test_lanes_are_what_the_topics_say_and_live_comes_first(
    site: Run,
    live: list[tuple[int, Batch]],
    backlog: list[tuple[int, Batch]],
    record_testsuite_property: Note,
) -> None:
    assert {batch.lane for _, batch in live} == {Lane.LIVE}
    assert {batch.lane for _, batch in backlog} == {Lane.BACKLOG}
    back = [(at, batch) for at, batch in live if at >= site.restored_ms]
    held = [(at, batch) for at, batch in backlog if at >= site.restored_ms]
    assert back[0][0] <= held[0][0]
    # first as a lane, not only as a record: the newest at that time went before the oldest
    assert back[0][1].time_ms > held[0][1].time_ms
    quiet = [at - b.time_ms - 1000 for at, b in back if at > site.started_ms[-1] + 5000]
    assert max(quiet) < LIVE_WITHIN_S * 1000
    waits = {"live": back[0][0], "backlog": held[0][0], "backlog_end": held[-1][0]}
    for name, at in waits.items():
        record_testsuite_property(f"edge_after_the_cut_{name}_ms", at - site.restored_ms)
    record_testsuite_property("edge_live_after_tick_ms", f"{np.median(quiet):.0f}, {max(quiet)}")


def test_alerts_at_the_site_are_those_of_the_cloud(
    running: Running, site: Run, record_testsuite_property: Note
) -> None:
    there = [from_json(item.value) for item in site.stored("edge-alerts")]
    # a kill can have one sent again, under the same id
    ours = {(event.rule, event.id, event.status) for event in there}
    assert {status for *_, status in ours} == {"firing", "resolved"}
    onsets = {(event.onset_ms - site.start_ms) // 1000 for event in there}
    for begin, seconds in FAULTS_S.items():
        assert any(begin <= onset < begin + seconds for onset in onsets), (begin, onsets)

    def ids(found: list[Message]) -> Counter[tuple[str, str, str]]:
        events = [from_json(message.value) for message in found]
        mine = [event for event in events if event.facility == FACILITY]
        return Counter((e.rule, e.id, e.status) for e in mine if e.rule != "gateway-silent")

    theirs = ids(running.read(("alerts",), until=lambda x: ours <= ids(x).keys()))
    assert theirs == Counter(ours)
    waits = [event.created_ms - event.event_ms for event in there if event.status == "firing"]
    in_outage = {event.id for event in there if site.cut_ms < event.created_ms < site.restored_ms}
    assert in_outage
    record_testsuite_property("edge_alerts", f"{len(ours)}, {len(in_outage)} in the outage")
    record_testsuite_property("edge_alert_after_reading_ms", max(waits))
