"""The uplink against a spool and a network in memory."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from edge import keep, messages
from edge.spool.losses import Lost, Why
from edge.spool.record import Kind, Log
from edge.uplink.lanes import Lane
from edge.uplink.transport import Fault
from tests.edge.uplink.fakes import FACILITY, GATEWAY, NOW, FakeSpool, Sent, Site
from tests.udfs.test_rollup import ROLLUP
from udfs import batch, catalogue, rollup
from udfs.ledger import decode_word


def sequences(sent: list[Sent]) -> list[int]:
    return [item.sequence for item in sent]


def settled(site: Site, seconds: int = 600) -> None:
    """Time passes without faults until all is acknowledged."""
    for _ in range(seconds):
        if not any(site.spool.pending(log) for log in Log):
            return
        site.wait(1000, 500)
    raise AssertionError({log: site.spool.pending(log) for log in Log})


def test_a_live_batch_as_it_arrives() -> None:
    site = Site()
    site.spool.append_batch(NOW - 1000, readings=3, catalogue=2)
    site.wait(300)
    (sent,) = site.transport.topic("readings")
    found = batch.decode(sent.value)
    assert (sent.topic, sent.key, sent.headers) == ("readings.plant-07", "gw-1", {})
    assert (found.facility, found.gateway, found.epoch, found.sequence) == (FACILITY, GATEWAY, 1, 0)
    assert (found.lane, found.sent_ms, found.catalogue) == ("live", NOW + 100, 2)
    assert np.array_equal(found.value, [0.0, 0.0, 0.0])
    assert site.spool.pending(Log.RAW) == []
    assert site.speaker.told == [(1, 0, 3, 0)]


def test_the_catalogue_is_there_before_the_first_batch_of_its_version() -> None:
    site = Site()
    site.transport.latency_ms = 500
    site.spool.append_batch(NOW - 1000, catalogue=2)
    site.wait(400)
    assert [sent.topic for sent in site.transport.handed] == ["catalogue"]
    site.wait(1200)
    site.spool.append_batch(site.now_ms - 1000, catalogue=2)  # known by now
    site.wait(1200)
    sent = [item for item in site.transport.arrived if not item.topic.startswith("ledger")]
    assert [item.topic for item in sent] == ["catalogue"] + 2 * ["readings.plant-07"]
    assert (sent[0].key, catalogue.decode(sent[0].value).version) == ("plant-07/gw-1/2", 2)


def test_a_catalogue_that_kafka_refuses_is_offered_again() -> None:
    site = Site()
    site.transport.faults["catalogue"] = Fault.REFUSED
    for _ in range(5):
        site.tick()
    assert site.transport.topic("readings") == []
    assert 2 <= site.uplink.counts.refused["refused"] <= 4
    site.transport.faults.clear()
    for _ in range(10):
        site.tick()
    settled(site)


def test_a_version_that_the_registry_lost_holds_nobody_up() -> None:
    site = Site()
    site.spool.append_batch(NOW - 1000, catalogue=9)
    settled(site)
    assert site.uplink.counts.refused == {"unknown_catalogue": 1}


def test_alerts_rollups_and_refused_messages_go_to_topics_of_their_own() -> None:
    site = Site()
    site.spool.append_alert(7)
    minute = rollup.encode(ROLLUP)
    site.spool.append(Kind.ROLLUP, keep.pack(minute))
    refused = {"reason": "not_json", "topic": "line/1", "refused_ms": "5"}
    site.spool.append(Kind.REFUSED, messages.encode(messages.Message(GATEWAY, refused, b"junk")))
    settled(site)
    sent = [sent[1:5] for sent in site.transport.arrived if "ledger" not in sent.topic]
    assert [one for one in sent if one[0] != "catalogue"] == [
        ("edge-alerts.plant-07", "id-7", b"fire", {"ce_id": "7"}),
        ("edge-rollups.plant-07", "plant-07/gw-1", minute, {}),
        (
            "edge-dead-letters.plant-07",
            "plant-07/gw-1",
            b"junk",
            {"detail": "", "topic": "line/1", "partition": "-1", "offset": "-1", "job": "gateway",
             "reason": "not_json", "refused_ms": "5"},
        ),
    ]  # fmt: skip


def after_an_outage(batches: int = 100, **settings: object) -> Site:
    """A gateway whose network comes back after so many seconds."""
    site = Site(**settings)
    site.tick()
    site.transport.outages = [(site.now_ms, site.now_ms + batches * 1000)]
    for _ in range(batches):
        site.tick()
    return site


def test_live_goes_first_after_an_outage_and_the_backlog_in_order() -> None:
    site = after_an_outage()
    before = len(site.transport.arrived)
    for _ in range(40):
        site.tick()
    settled(site)
    live, backlog = site.transport.topic("readings"), site.transport.topic("backlog")
    first = [sent.topic for sent in site.transport.arrived[before:] if "ledger" not in sent.topic]
    assert first[0] == "readings.plant-07"
    assert sequences(live) == sorted(sequences(live))
    assert sequences(backlog) == sorted(sequences(backlog))
    assert {batch.decode(sent.value).lane for sent in backlog} == {"backlog"}
    counted = Counter(sequences(live) + sequences(backlog))
    assert sorted(counted) == list(range(141))
    assert counted.total() == 141  # nothing twice either
    # what was in the producer's hands when the network came back; the rest is backlog
    assert 30 <= 141 - len(backlog) - 40 <= 45


def test_nothing_else_is_handed_over_while_live_data_look_for_the_network() -> None:
    site = after_an_outage(100, give_up_s=5)
    meanwhile = [s for s in site.transport.handed if NOW + 5_000 < s.at_ms < site.now_ms]
    assert site.uplink.backlog() > 80
    assert {sent.topic for sent in meanwhile} == {"readings.plant-07", "ledger.plant-07"}


def test_backlog_alone_looks_for_the_network_itself() -> None:
    site = Site()
    site.transport.outages = [(NOW, NOW + 60_000)]
    for number in range(20):
        site.spool.append_batch(NOW - 100_000 + 1000 * number)
    site.wait(90_000)
    settled(site)
    assert len(site.transport.topic("backlog")) == 20


def test_alerts_overtake_everything() -> None:
    site = after_an_outage(50)
    site.spool.append_alert(1)
    before = len(site.transport.handed)
    site.tick()
    new = [sent.topic for sent in site.transport.handed[before:]]
    assert new[0] == "edge-alerts.plant-07"


def test_lost_answers_make_duplicates_and_no_loss() -> None:
    site = Site(give_up_s=5)
    site.tick()
    site.transport.deaf = [(site.now_ms, site.now_ms + 20_000)]
    for _ in range(40):
        site.tick()
    settled(site)
    counted = Counter(
        sequences(site.transport.topic("readings")) + sequences(site.transport.topic("backlog"))
    )
    assert sorted(counted) == list(range(41))
    assert counted.total() > 41
    assert site.uplink.counts.unanswered[Lane.LIVE] >= 15
    assert len(site.speaker.told) == 41  # each is acknowledged once


def test_a_restart_loses_nothing() -> None:
    site = after_an_outage(60)
    for _ in range(5):
        site.tick()
        site.restart()
    settled(site)
    sent = site.transport.topic("readings") + site.transport.topic("backlog")
    assert set(sequences(sent)) == set(range(66))


def test_a_topic_that_refuses_holds_up_no_other_and_is_asked_less_and_less() -> None:
    site = Site()
    site.transport.faults["readings.plant-07"] = Fault.REFUSED
    for _ in range(120):
        site.tick()
    site.spool.append_alert(1)
    site.tick()
    assert len(site.transport.topic("edge-alerts")) == 1
    # live batches go as backlog meanwhile, each once it cannot be live any more
    assert sequences(site.transport.topic("backlog"))[:3] == [0, 1, 2]
    asked = [sent.at_ms for sent in site.transport.handed if sent.topic == "readings.plant-07"]
    times = sorted(set(asked))
    assert 4 <= len(times) <= 30
    site.transport.faults.clear()
    for _ in range(70):
        site.tick()
    settled(site)
    assert site.transport.topic("readings") != []


def test_a_record_that_is_too_large_waits_apart_until_the_topic_takes_it() -> None:
    site = Site()
    site.tick()
    site.transport.too_large = 4000
    site.tick(readings=5000)
    for _ in range(5):
        site.tick()
    assert site.spool.pending(Log.RAW) == [(1, 1)]
    assert site.uplink.counts.refused == {"too_large": 1}
    site.transport.too_large = 6_000_000
    for _ in range(60):
        site.tick()
    settled(site)
    assert sequences(site.transport.topic("backlog")) == [1]


def test_a_body_that_cannot_be_read_holds_nobody_up_and_stays() -> None:
    site = Site()
    site.spool.append_body(b"from a later version", NOW - 1000, 5)
    site.spool.append(Kind.ALERT, b"junk")
    site.spool.append_alert(1)
    for _ in range(3):
        site.tick()
    assert site.spool.pending(Log.RAW) == [(0, 0)]
    assert site.spool.pending(Log.ALERTS) == [(0, 0)]
    assert site.uplink.counts.refused == {"unreadable": 2}


def test_what_is_in_flight_is_bounded_and_alerts_still_find_room() -> None:
    site = Site(in_flight_bytes=200_000)
    site.tick()
    site.transport.outages = [(site.now_ms, site.now_ms + 20_000)]
    for _ in range(20):
        site.tick(readings=5000)
        assert site.uplink.in_flight_bytes <= 200_000 + 50_000
    site.spool.append_alert(1)
    site.uplink.step(site.now_ms)
    assert site.transport.handed[-1].topic == "edge-alerts.plant-07"


def test_a_full_queue_is_tried_again() -> None:
    site = Site()
    site.transport.queue = 0
    site.tick()
    site.transport.queue = 10
    site.tick()
    settled(site)
    assert sequences(site.transport.topic("readings")) == [0, 1]


def test_backlog_leaves_a_narrow_way_to_live_data() -> None:
    site = after_an_outage(300)
    site.transport.rate_bytes_s = 4_000  # of some 1,100 bytes a batch and second
    site.transport.latency_ms = 20
    latencies = []
    for second in range(200):
        before = len(site.transport.handed)
        site.tick(step_ms=50)
        if second > 40:
            live = [s for s in site.transport.handed[before:] if s.topic.startswith("readings")]
            latencies += [site.uplink.live_wait_ms(site.now_ms)] if live else []
    assert max(latencies) < 1000
    assert site.uplink.backlog() < 250


def test_backlog_waits_for_a_token_where_one_is_needed() -> None:
    site = after_an_outage(50, admission="required")
    site.wait(40_000)
    assert site.transport.topic("backlog") == []
    assert site.uplink.backlog() > 0
    site.token = (10_000.0, site.now_ms + 1_000_000)
    settled(site)


def test_the_word_says_how_far_and_how_much() -> None:
    site = Site()
    for _ in range(12):
        site.tick(readings=5)
    words = [decode_word(sent.value) for sent in site.transport.topic("ledger")]
    assert site.transport.topic("ledger")[0].key == "gw-1"
    assert len(words) == 2
    assert (words[1].epoch, words[1].sent_through, words[1].readings) == (1, 10, 55)
    assert words[1].ranges == ((0, 10, 55, sum(range(11))),)
    assert words[1].acknowledged_through == 10


def test_a_word_comes_when_the_backlog_begins_and_when_it_ends() -> None:
    site = after_an_outage(60, ledger_s=1000)
    for _ in range(40):
        site.tick()
    settled(site)
    site.wait(5000)
    assert [bool(word.pending) for word in site.speaker.words] == [False, True, False]
    # the one of the outage was said again until it arrived
    assert len(site.transport.topic("ledger")) == 3


def test_what_was_lost_and_what_ended_is_in_the_word() -> None:
    site = Site(ledger_s=1)
    for _ in range(5):
        site.tick(readings=10)
    site.spool.lost = [Lost(1, 1, 2, 20, 0, Why.SPOOL_FULL, NOW, Log.RAW, 1, 2)]
    site.tick(readings=10)
    word = site.speaker.words[-1]
    assert (word.sent_through, word.readings, word.lost) == (5, 40, ((1, 2),))
    site.spool.ended, site.spool.epoch, site.spool.next_sequence = [(1, 5)], 2, 0
    site.tick(readings=7)
    site.tick(readings=7)
    word = site.speaker.words[-1]
    assert (word.epoch, word.sent_through, word.readings) == (2, 1, 14)
    assert (word.lost, word.ended) == ((), ((1, 5),))


def test_an_earlier_epoch_is_spoken_of_while_its_backlog_comes() -> None:
    site = after_an_outage(40, ledger_s=5)
    site.spool.ended, site.spool.epoch, site.spool.next_sequence = [(1, 40)], 2, 0
    for _ in range(30):
        site.tick()
    settled(site)
    site.wait(10_000)
    earlier = [word for word in site.speaker.words if word.epoch == 1][-1]
    assert (earlier.sent_through, earlier.readings) == (40, 82)
    assert earlier.acknowledged_through == 40
    told = [number for word in site.speaker.words for number in word.ranges if word.epoch == 1]
    assert {n for first, last, *_ in told for n in range(first, last + 1)} == set(range(41))
    assert site.speaker.words[-1].epoch == 2


def test_after_a_restart_with_nothing_to_send_the_word_is_the_same() -> None:
    site = Site()
    for _ in range(3):
        site.tick(readings=5)
    site.restart()
    site.uplink.step(site.now_ms)
    word = site.speaker.words[-1]
    assert (word.sent_through, word.readings, word.acknowledged_through) == (2, 15, 2)


def test_what_waits_is_not_called_acknowledged() -> None:
    site = after_an_outage(50, admission="required", ledger_s=1)
    site.wait(3000)
    word = site.speaker.words[-1]
    assert (word.sent_through, word.acknowledged_through) == (50, 0)
    assert word.pending and word.pending >= 5


def test_the_pointer_is_saved_once_a_second_and_before_each_word() -> None:
    site = Site()
    for _ in range(20):
        site.tick(step_ms=50)
    assert 19 <= site.spool.saved <= 21 + len(site.speaker.words)
    site.wait(10_000)
    words = len(site.speaker.words)
    assert site.spool.saved <= 22 + words  # nothing new, nothing to save
    site.uplink.close()
    assert site.spool.saved <= 23 + words


def test_counts() -> None:
    site = Site()
    for _ in range(4):
        site.tick()
    site.spool.append_alert(1)
    site.tick()
    counts = site.uplink.counts
    assert (counts.sent[Lane.LIVE], counts.acknowledged[Lane.LIVE]) == (5, 5)
    assert (counts.sent[Lane.ALERTS], counts.sent[Lane.BACKLOG]) == (1, 0)
    assert counts.live_ack.durations().count == 5
    assert site.uplink.connected and site.uplink.in_flight == 0
    assert counts.bytes_sent > 5 * 16


@pytest.mark.parametrize("factor", [4.0, 9.0])
def test_a_long_outage_is_drained_at_the_pace_that_was_set(factor: float) -> None:
    site = Site(backlog_factor=factor, ledger_s=600)
    seconds = 800
    site.transport.outages = [(NOW, NOW + seconds * 1000)]
    for _ in range(seconds):
        site.tick(readings=2000, step_ms=1000)
    began_ms = site.now_ms
    while site.uplink.backlog():
        site.tick(readings=2000)
    took_s = (site.now_ms - began_ms) / 1000
    assert took_s == pytest.approx(seconds / factor, rel=0.06)
    settled(site)
    sent = site.transport.topic("readings") + site.transport.topic("backlog")
    heads = Counter(json.dumps([s.topic, s.sequence]) for s in sent)
    assert max(heads.values()) == 1
    assert len(sent) == site.spool.next_sequence


def test_an_empty_spool() -> None:
    site = Site(spool=FakeSpool())
    site.wait(30_000, 1000)
    assert {sent.topic for sent in site.transport.handed} == {"ledger.plant-07"}
    assert site.speaker.words[0].sent_through == -1
