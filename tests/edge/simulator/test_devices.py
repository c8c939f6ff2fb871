"""A batch as messages, and what an edge node sends when, without a broker."""

import numpy as np
import pytest

from edge.simulator.build import FleetBuilder, expected_batches, expected_readings
from edge.simulator.devices import Devices, asks_rebirth
from edge.simulator.node import EdgeNode
from edge.simulator.settings import PLANT, SimulatorSettings
from edge.sparkplug.messages import Payload
from udfs.batch import Batch, Quality

START_MS = 1_750_000_000_000
MIXED = PLANT.parent / "mixed-periods.yaml"


def settings(**changes):
    given = {"facilities": 1, "sensors": 250, "batches": 3, "start_ms": START_MS} | changes
    return SimulatorSettings(**given)


def devices(size=100, **changes):
    return Devices(FleetBuilder(settings(**changes)).catalogues[0], size)


def batch(slots, offset_ms=None, quality=None):
    value = np.arange(len(slots)) + 0.5
    sensor = np.array(slots, np.uint32)
    offset = None if offset_ms is None else np.array(offset_ms, np.int32)
    codes = None if quality is None else np.array(quality, np.uint8)
    return Batch("plant-0001", "gw-1", 1, 0, START_MS, value, sensor, offset, codes)


def told(messages):
    """(line, metric, time after the start, value) of all readings, in order."""
    return [
        (m.line, metric, time - START_MS, value)
        for m in messages
        for metric, time, value in zip(
            m.metric.tolist(), m.time_ms.tolist(), m.value.tolist(), strict=True
        )
    ]


def test_a_tick_of_5000_sensors_is_50_messages_of_100():
    made = devices(sensors=5000)
    whole = Batch("plant-0001", "gw-1", 1, 0, START_MS, np.arange(5000.0))
    messages = made.split(whole)
    assert [len(m.value) for m in messages] == [100] * 50
    assert [m.line for m in messages] == list(range(50))
    assert np.array_equal(np.concatenate([m.value for m in messages]), whole.value)
    assert made.topic("DDATA", 49) == "spBv1.0/plant-0001/DDATA/gw-1/line-50"


def test_missing_readings_are_left_out_and_so_is_a_device_without_any():
    found = devices(size=100).split(batch([0, 99, 200, 249]))
    assert told(found) == [(0, 0, 0, 0.5), (0, 99, 0, 1.5), (2, 0, 0, 2.5), (2, 49, 0, 3.5)]
    assert len(found) == 2


def test_several_readings_of_a_sensor_are_several_messages_in_order_of_time():
    slots, offsets = [0, 0, 0, 1, 100, 100], [0, 100, 200, 50, 0, 500]
    found = devices(size=100).split(batch(slots, offsets, quality=[0, 1, 0, 0, 0, 0]))
    assert told(found) == [
        (0, 0, 0, 0.5), (0, 1, 50, 3.5), (1, 0, 0, 4.5),
        (0, 0, 100, 1.5), (1, 0, 500, 5.5),
        (0, 0, 200, 2.5),
    ]  # fmt: skip
    assert [m.quality is not None and m.quality.tolist() for m in found] == [
        False, False, [1], False, False
    ]  # fmt: skip


def test_an_empty_batch_is_no_message():
    assert devices().split(batch([])) == []


def test_fast_and_slow_sensors_lose_nothing():
    chosen = settings(template=MIXED, sensors=300, batches=3)
    made = Devices(FleetBuilder(chosen).catalogues[0], 100)
    for one in expected_batches(chosen, "plant-0001", "gw-1"):
        messages = made.split(one)
        assert sum(len(m.value) for m in messages) == len(one)
        parts = [m.metric.astype(np.int64) for m in messages if m.metric is not None]
        assert all((np.diff(part) > 0).all() for part in parts)


def test_expected_readings_are_those_of_the_batches_by_sensor_and_time():
    chosen = settings(template=MIXED, sensors=300, batches=3)
    found = expected_readings(chosen, "plant-0001", "gw-1")
    batches = list(expected_batches(chosen, "plant-0001", "gw-1"))
    assert len(found) == sum(map(len, batches))
    keys = found.slot.astype(np.int64) << 44 | (found.time_ms - START_MS)
    assert (np.diff(keys) > 0).all()
    assert np.nansum(found.value) == pytest.approx(sum(np.nansum(b.value) for b in batches))


def test_only_a_true_rebirth_command_asks_for_births():
    def command(name, value):
        payload = Payload()
        payload.metrics.add(name=name, boolean_value=value)
        return payload.SerializeToString()

    assert asks_rebirth(command("Node Control/Rebirth", True))
    assert not asks_rebirth(command("Node Control/Rebirth", False))
    assert not asks_rebirth(command("Node Control/Reboot", True))
    assert not asks_rebirth(b"\xff no payload")


class Broker:
    """Takes what a node publishes; acknowledges when told to."""

    def __init__(self):
        self.sent = []

    def publish(self, topic, payload):
        self.sent.append((topic.removeprefix("spBv1.0/plant-0001/"), Payload.FromString(payload)))
        return len(self.sent)

    def said(self, begin=0):
        return [(topic, payload.seq) for topic, payload in self.sent[begin:]]


@pytest.fixture
def broker():
    return Broker()


def node(in_flight=100, size=100):
    made = EdgeNode(devices(size=size), in_flight)
    made.begin()
    return made


BIRTHS = [("NBIRTH/gw-1", 0), ("DBIRTH/gw-1/line-01", 1), ("DBIRTH/gw-1/line-02", 2),
          ("DBIRTH/gw-1/line-03", 3)]  # fmt: skip


def test_births_come_first_and_numbers_go_on(broker):
    made = node()
    made.take(made.devices.split(batch([0, 100, 200])))
    made.pump(broker.publish, START_MS)
    data = [(f"DDATA/gw-1/line-0{n}", n + 3) for n in (1, 2, 3)]
    assert broker.said() == BIRTHS + data


def test_numbers_begin_again_after_255(broker):
    made = node(in_flight=1000)
    for _ in range(100):
        made.take(made.devices.split(batch([0, 100, 200])))
    made.pump(broker.publish, START_MS)
    assert [seq for _, seq in broker.said()] == [n % 256 for n in range(304)]


def test_a_rebirth_begins_the_numbers_again(broker):
    made = node()
    made.pump(broker.publish, START_MS)
    made.rebirth()
    made.take(made.devices.split(batch([0])))
    made.pump(broker.publish, START_MS)
    assert broker.said(4) == [*BIRTHS, ("DDATA/gw-1/line-01", 4)]


def test_what_was_not_acknowledged_goes_out_again_in_order_with_new_numbers(broker):
    made = node(in_flight=7)
    made.take(made.devices.split(batch([0, 100, 200, 201])))
    made.take(made.devices.split(batch([1, 101])))
    made.pump(broker.publish, START_MS)
    assert len(broker.sent) == 7
    made.acknowledge(5)  # the first of the data
    will = Payload.FromString(made.begin())
    assert will.metrics[0].long_value == 1
    made.pump(broker.publish, START_MS)
    again = [("DDATA/gw-1/line-02", 4), ("DDATA/gw-1/line-03", 5), ("DDATA/gw-1/line-01", 6)]
    assert broker.said(7) == BIRTHS + again
    assert (made.unacknowledged, made.announced) == (4, False)
    for number in range(8, 15):
        made.acknowledge(number)
    made.pump(broker.publish, START_MS)
    made.acknowledge(15)
    assert (made.unacknowledged, made.held_bytes, made.announced) == (0, 0, True)


def test_a_message_sent_twice_is_the_same_bytes(broker):
    made = node()
    (message,) = made.devices.split(batch([7]))
    message.twice = True
    made.take([message])
    made.pump(broker.publish, START_MS)
    one, other = broker.sent[-2:]
    assert one == other
    assert made.unacknowledged == 1


def test_the_births_name_everything(broker):
    made = node()
    made.pump(broker.publish, START_MS)
    birth = broker.sent[1][1]
    first = birth.metrics[0]
    said = dict(zip(first.properties.keys, first.properties.values, strict=True))
    catalogue = FleetBuilder(settings()).catalogues[0]
    assert [m.name for m in birth.metrics] == list(catalogue.name[:100])
    assert len({m.alias for topic in broker.sent[1:] for m in topic[1].metrics}) == 250
    assert said["engUnit"].string_value == catalogue.unit[0]
    assert said["kind"].string_value == catalogue.kind[0]
    assert (said["engLow"].double_value, said["engHigh"].double_value) == (
        catalogue.low[0],
        catalogue.high[0],
    )
    assert said["samplePeriodMs"].WhichOneof("value")
    assert {m.name for m in broker.sent[0][1].metrics} == {"bdSeq", "Node Control/Rebirth"}


def test_bad_readings_are_null_or_carry_their_quality(broker):
    made = node()
    quality = [Quality.GOOD, Quality.UNCERTAIN, Quality.BAD]
    one = batch([0, 1, 2], quality=quality)
    one.value[2] = np.nan
    made.take(made.devices.split(one))
    made.pump(broker.publish, START_MS)
    good, uncertain, bad = broker.sent[-1][1].metrics
    assert (good.double_value, good.is_null, len(good.properties.keys)) == (0.5, False, 0)
    assert (uncertain.double_value, list(uncertain.properties.keys)) == (1.5, ["Quality"])
    assert bad.is_null
