"""Against the Kafka broker that librdkafka carries for tests: a real client, a real protocol."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from edge.errors import EdgeError
from edge.simulator import run as running
from edge.simulator.run import simulate
from edge.simulator.settings import SimulatorSettings
from edge.simulator.uplink import KafkaUplink
from udfs.batch import decode

MOCK = {"test.mock.num.brokers": 1}


def read(uplink, topic, count):
    broker = next(iter(uplink._producer.list_topics(timeout=5).brokers.values()))
    consumer = Consumer({"bootstrap.servers": f"{broker.host}:{broker.port}", "group.id": "test"})
    partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found = consumer.consume(count, timeout=10)
    consumer.close()
    return [(message.key().decode(), message.value()) for message in found]


def test_a_run_arrives_in_order_with_its_keys():
    uplink = KafkaUplink("mock", extra=MOCK)
    settings = SimulatorSettings(facilities=2, sensors=20, batches=20, speed=20)
    summary = simulate(settings, lambda _: None, uplink=uplink)
    assert summary.unacknowledged == 0
    records = read(uplink, "readings.plant-0002", 20)
    assert {key for key, _ in records} == {"gw-1"}
    assert [decode(value).sequence for _, value in records] == list(range(20))
    assert [key for key, _ in read(uplink, "catalogue", 2)] == [
        "plant-0001/gw-1/1",
        "plant-0002/gw-1/1",
    ]
    assert len(read(uplink, "ledger.plant-0001", 1)) == 1


def test_a_full_queue_takes_nothing():
    uplink = KafkaUplink("127.0.0.1:1", queue_mb=1)
    value = bytes(600 * 1024)
    assert uplink.publish("readings.x", "gw-1", value)
    assert not uplink.publish("readings.x", "gw-1", value)
    assert uplink.close(0.1) == 1


def test_without_kafka_it_says_so(monkeypatch):
    monkeypatch.setattr(running, "PATIENCE_S", 0.3)
    settings = SimulatorSettings(bootstrap="127.0.0.1:1", batches=1)
    with pytest.raises(EdgeError, match=r"127\.0\.0\.1:1: no answer from Kafka in 0.3 s"):
        simulate(settings, lambda _: None)


def test_a_record_that_is_given_up_ends_the_run():
    # in place of a topic that does not exist, for which librdkafka waits 30 s
    extra = {"message.timeout.ms": 100, "enable.idempotence": False}
    uplink = KafkaUplink("127.0.0.1:1", extra=extra)
    uplink.publish("readings.x", "gw-1", b"value")
    with pytest.raises(EdgeError, match=r"refused a record for topic readings\.x: .*timed out"):
        uplink.drain(5)
    with pytest.raises(EdgeError, match="must exist before the simulator starts"):
        uplink.serve(0)
