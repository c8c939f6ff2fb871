import json
from threading import Event

import numpy as np
import pytest
from pydantic import ValidationError

from edge.simulator.build import expected_batches
from edge.simulator.measure import measure
from edge.simulator.run import simulate
from edge.simulator.settings import PLANT, SimulatorSettings, read_settings
from udfs import catalogue
from udfs.batch import check, decode

START_MS = 1_750_000_000_000  # a whole number of ticks of 1 s

SCENARIOS = PLANT.parents[2] / "edge" / "simulator" / "scenarios"


def run(memory, stop=None, **changes):
    given = {"facilities": 2, "sensors": 50, "batches": 30, "start_ms": START_MS} | changes
    settings = SimulatorSettings(**given)
    reports = []
    summary = simulate(settings, reports.append, stop, memory, memory.now_ms)
    return settings, summary, reports


def sequences(memory, topic):
    return [decode(value).sequence for value in memory.topic(topic)]


def test_catalogues_come_before_the_first_batch(memory):
    run(memory)
    topics = [topic for topic, _, _ in memory.records]
    assert topics[:3] == ["catalogue", "catalogue", "readings.plant-0001"]
    assert [key for _, key, _ in memory.records[:2]] == ["plant-0001/gw-1/1", "plant-0002/gw-1/1"]
    assert len(catalogue.decode(memory.records[0][2])) == 50


def test_what_is_sent_is_what_is_expected(memory):
    settings, summary, _ = run(memory)
    for facility in ("plant-0001", "plant-0002"):
        sent = [decode(value) for value in memory.topic(f"readings.{facility}")]
        expected = list(expected_batches(settings, facility, "gw-1"))
        assert len(sent) == len(expected) == 30
        for one, other in zip(sent, expected, strict=True):
            assert one.value.tobytes() == other.value.tobytes()
            assert (one.sequence, one.time_ms) == (other.sequence, other.time_ms)
            assert one.traceparent == other.traceparent
            check(one, facility, sensors=50, now_ms=one.sent_ms)
    assert summary.batches == 60
    assert summary.readings == sum(
        len(batch)
        for facility in ("plant-0001", "plant-0002")
        for batch in expected_batches(settings, facility, "gw-1")
    )


def test_batches_leave_when_their_tick_ends_spread_over_the_next(memory):
    run(memory)
    first, second = (
        [decode(value) for value in memory.topic(f"readings.plant-000{n}")] for n in (1, 2)
    )
    assert {b.sent_ms - b.time_ms - 1000 for b in first} <= {0, 1}
    assert {b.sent_ms - b.time_ms - 1500 for b in second} <= {0, 1}


def test_staggered_ticks_leave_at_once(memory):
    run(memory, stagger_ticks=True)
    second = [decode(value) for value in memory.topic("readings.plant-0002")]
    assert {b.time_ms % 1000 for b in second} == {500}
    assert {b.sent_ms - b.time_ms - 1000 for b in second} <= {0, 1}


def test_ten_times_as_fast(memory):
    _, summary, _ = run(memory, speed=10)
    assert summary.seconds == pytest.approx(3.05, abs=0.1)


def test_an_outage_holds_back_and_replays_without_a_gap(memory):
    outage = {"facility": "plant-0001", "at_s": 5, "for_s": 10, "replay": 5}
    _, summary, _ = run(memory, links={"outages": [outage]})
    live = sequences(memory, "readings.plant-0001")
    backlog = sequences(memory, "backlog.plant-0001")
    assert live == [0, 1, 2, 3, *range(14, 30)]
    assert backlog == list(range(4, 14))
    assert {decode(v).lane for v in memory.topic("backlog.plant-0001")} == {"backlog"}
    assert sequences(memory, "readings.plant-0002") == list(range(30))
    assert [(g.backlog, g.batches, g.sent_through) for g in summary.gateways] == [
        (10, 30, 29),
        (0, 30, 29),
    ]


def test_a_replay_does_not_take_back_what_was_sent_through(memory):
    outage = {"facility": "plant-0001", "at_s": 5, "for_s": 10, "replay": 0.5}
    _, summary, _ = run(memory, links={"outages": [outage]})
    assert decode(memory.topic("backlog.plant-0001")[-1]).sequence == 13
    assert json.loads(memory.topic("ledger.plant-0001")[-1])["sent_through"] == 29
    assert summary.gateways[0].sent_through == 29


def test_the_ledger_is_silent_in_an_outage(memory):
    outage = {"facility": "plant-0001", "at_s": 5, "for_s": 10}
    run(memory, ledger_s=2, links={"outages": [outage]})
    times = [json.loads(word)["sent_ms"] - START_MS for word in memory.topic("ledger.plant-0001")]
    assert any(time < 5000 for time in times)
    assert not any(5000 <= time < 15000 for time in times)


def test_duplicates_are_the_same_bytes(memory):
    _, summary, _ = run(memory, batches=400, links={"duplicates": 0.1})
    sent = memory.topic("readings.plant-0001")
    duplicates = summary.gateways[0].duplicates
    assert 20 < duplicates < 60
    assert len(sent) == 400 + duplicates
    assert len(set(sent)) == 400
    assert summary.gateways[0].batches == 400


def test_the_ledger_is_the_gateways_word(memory):
    lost = [
        {"facility": "plant-0001", "first": 3, "last": 5},
        {"facility": "plant-0001", "first": 28, "last": 40},
        {"facility": "plant-0001", "first": 10, "last": 10, "declared": False},
    ]
    _, summary, _ = run(memory, links={"lost": lost, "duplicates": 1})
    words = [json.loads(word) for word in memory.topic("ledger.plant-0001")]
    readings = sum(len(decode(v)) for v in set(memory.topic("readings.plant-0001")))
    assert words[0]["lost"] == [[3, 5]]
    assert words[-1] == {
        "contract": "hardiot.ledger.v1",
        "facility": "plant-0001",
        "gateway": "gw-1",
        "epoch": 1,
        "sent_through": 27,
        "readings": readings,
        "lost": [[3, 5], [28, 29]],
        "ended": [],
        "sent_ms": memory.now_ms(),
    }
    assert [word["sent_through"] for word in words] == [9, 19, 27, 27]
    assert (summary.gateways[0].lost, summary.gateways[0].readings) == (6, readings)


def test_a_receiver_that_stalls_costs_nothing_but_time(memory):
    memory.stall_ms = (START_MS + 5200, START_MS + 17_000)
    _, summary, reports = run(memory)
    assert sequences(memory, "readings.plant-0001") == list(range(30))
    assert summary.behind_ms == pytest.approx(11_500, abs=100)
    assert max(report.behind_ms for report in reports) > 5000
    assert reports[-1].behind_ms < 10


def test_catalogues_wait_for_a_slow_receiver(memory):
    memory.stall_ms = (START_MS, START_MS + 2000)
    _, summary, _ = run(memory)
    assert [topic for topic, _, _ in memory.records[:2]] == ["catalogue", "catalogue"]
    assert (summary.batches, summary.behind_ms) == (60, pytest.approx(0, abs=2))


def test_stops_when_told_to(memory):
    stop = Event()
    serve = memory.serve

    def stop_at_ten(wait_s):
        serve(wait_s)
        if memory.now_ms() > START_MS + 10_200:
            stop.set()

    memory.serve = stop_at_ten
    _, summary, _ = run(memory, stop, batches=None)
    assert summary.stopped
    assert [gateway.sent_through for gateway in summary.gateways] == [9, 8]
    assert json.loads(memory.topic("ledger.plant-0001")[-1])["sent_through"] == 9


def test_progress_comes_every_second(memory):
    _, _, reports = run(memory)
    assert 29 <= len(reports) <= 32
    assert reports[10].readings_per_s == pytest.approx(100, rel=0.1)
    assert reports[-1].batches == 60


def test_without_a_start_time_the_first_tick_is_the_next_whole_one(memory):
    memory.time_ms = START_MS + 300
    _, summary, _ = run(memory, start_ms=None)
    assert summary.start_ms == START_MS + 1000
    first = decode(memory.topic("readings.plant-0001")[0])
    assert first.sent_ms in (START_MS + 2000, START_MS + 2001)


def test_fast_runs_never_send_the_future(memory):
    run(memory, start_ms=None, speed=10)
    for value in memory.topic("readings.plant-0002"):
        batch = decode(value)
        assert batch.time_ms <= batch.sent_ms


def test_two_gateways_of_a_facility_share_its_topic(memory):
    run(memory, facilities=1, gateways=2)
    keys = [key for topic, key, _ in memory.records if topic == "readings.plant-0001"]
    assert (keys.count("gw-1"), keys.count("gw-2")) == (30, 30)


def test_the_demo_runs(memory):
    settings = read_settings(SCENARIOS / "demo.yaml")
    summary = simulate(settings, lambda _: None, None, memory, memory.now_ms)
    assert summary.batches == 20 * 60 - 3
    assert not np.isnan(decode(memory.topic("readings.plant-0001")[0]).value).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": 5, "batches": 5}, "give seconds or batches, not both"),
        ({"start_ms": START_MS + 1}, f"whole number of ticks, as {START_MS}"),
        ({"speed": 5}, "a speed over 1 needs seconds"),
        ({"produce_only": True}, "produce_only needs seconds or batches"),
        ({"sensor": 5}, "sensor"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(ValidationError, match=message):
        SimulatorSettings(**changes)


def test_seconds_are_whole_ticks():
    assert SimulatorSettings(seconds=2.5).ticks == 3
    assert SimulatorSettings(batches=7).ticks == 7
    assert SimulatorSettings().ticks is None


def test_measure_counts_what_it_made():
    found = measure(facilities=2, sensors=1000, batches=50)
    assert set(found) == {"readings_per_s", "readings_per_cpu_s", "bytes_per_reading", "load"}
    assert 8 < found["bytes_per_reading"] < 9.5
    assert found["load"].startswith("50 batches of 1000 sensors from 2 facilities of plant.yaml")
