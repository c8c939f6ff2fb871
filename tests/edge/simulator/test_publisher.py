"""Against a real Mosquitto: what a gateway gets, to the bit, through restarts of the broker."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import numpy as np
import pytest
from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import ValidationError
from typer.testing import CliRunner

from edge.errors import EdgeError
from edge.inputs.sparkplug import SparkplugInput
from edge.registry import Registry
from edge.simulator import run as running
from edge.simulator.__main__ import app as simulator
from edge.simulator.build import FleetBuilder, expected_readings
from edge.simulator.console import settings_with
from edge.simulator.publisher import MqttOutlet
from edge.simulator.run import simulate
from edge.simulator.settings import PLANT, SimulatorSettings
from edge.sparkplug.messages import Payload
from jobs.cli.main import app as hardiot
from tests.edge.simulator.conftest import Mosquitto

START_MS = 1_750_000_000_000
MIXED = PLANT.parent / "mixed-periods.yaml"
SCENARIOS = PLANT.parents[2] / "edge" / "simulator" / "scenarios"


class Listener:
    """A subscriber that the broker remembers; it keeps what comes, in order."""

    def __init__(self, port):
        self.got = []
        self._client = Client(
            CallbackAPIVersion.VERSION2, "listener", clean_session=False, protocol=MQTTv311
        )
        subscribed = threading.Event()
        self._client.on_connect = lambda *_: self._client.subscribe("spBv1.0/#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _c, _u, m: self.got.append((m.topic, m.payload))
        self._client.reconnect_delay_set(0.05, 0.1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(5)

    def publish(self, topic, payload):
        self._client.publish(topic, payload, qos=1)

    def wait_for(self, what, limit_s=5):
        end = time.monotonic() + limit_s
        while not what(self.got):
            assert time.monotonic() < end, Counter(kind(topic) for topic, _ in self.got)
            time.sleep(0.01)

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


def kind(topic):
    return topic.split("/")[2]


def deaths(count):
    return lambda got: sum(kind(topic) == "NDEATH" for topic, _ in got) >= count


@pytest.fixture
def listener(broker):
    made = Listener(broker.port)
    yield made
    made.close()


def settings(broker, **changes):
    mqtt = {"port": broker.port, "metrics_per_message": 100} | changes.pop("mqtt", {})
    given = {"facilities": 2, "sensors": 250, "batches": 20, "start_ms": START_MS, "speed": 50}
    return SimulatorSettings(**(given | changes), mqtt=mqtt)


def quietly(chosen, **options):
    return simulate(chosen, lambda _: None, **options)


def readings(got, facility):
    """Each data metric as (name, time, bits of the value or null), in order of arrival."""
    names, found = {}, []
    for topic, data in got:
        if topic.split("/")[1] != facility:
            continue
        payload = Payload.FromString(data)
        if kind(topic) == "DBIRTH":
            names |= {metric.alias: metric.name for metric in payload.metrics}
        elif kind(topic) == "DDATA":
            found += [
                (
                    names[m.alias],
                    m.timestamp,
                    None if m.is_null else np.float64(m.double_value).tobytes(),
                )
                for m in payload.metrics
            ]
    return found


def expected(chosen, facility):
    catalogue = next(c for c in FleetBuilder(chosen).catalogues if c.facility == facility)
    block = expected_readings(chosen, facility, "gw-1")
    return {
        (catalogue.name[slot], int(at), None if np.isnan(value) else value.tobytes())
        for slot, at, value in zip(block.slot, block.time_ms, block.value, strict=True)
    }


def columns(block):
    """Slot, time, bits of the value (of a null: none) and quality."""
    bits = np.where(np.isnan(block.value), 0, block.value.view(np.int64))
    return block.slot, block.time_ms, bits, block.quality


def numbers(got, facility):
    return [
        Payload.FromString(data).seq
        for topic, data in got
        if topic.split("/")[1] == facility and kind(topic) in ("NBIRTH", "DBIRTH", "DDATA")
    ]


def test_births_then_every_reading_to_the_bit_then_the_death(broker, listener):
    chosen = settings(broker)
    summary = quietly(chosen)
    listener.wait_for(deaths(2))
    for facility in ("plant-0001", "plant-0002"):
        mine = [topic for topic, _ in listener.got if f"/{facility}/" in topic]
        assert [kind(topic) for topic in mine[:5]] == ["NBIRTH"] + ["DBIRTH"] * 3 + ["DDATA"]
        assert mine[-1] == f"spBv1.0/{facility}/NDEATH/gw-1"
        found = readings(listener.got, facility)
        assert len(found) == len(set(found))
        assert set(found) == expected(chosen, facility)
        assert numbers(listener.got, facility) == [n % 256 for n in range(4 + 3 * 20)]
    assert (summary.messages, summary.duplicates, summary.unacknowledged) == (120, 0, 0)
    assert summary.readings == len(readings(listener.got, "plant-0001")) * 2


def test_faults_and_missing_readings_are_seen(broker, listener):
    faults = [
        {"kind": "dropout", "facility": "plant-0001", "sensors": "pump-001.flow"},
        {"kind": "stuck", "facility": "plant-0002", "sensors": "pump-001.flow"},
    ]
    quietly(settings(broker, faults=faults))
    listener.wait_for(deaths(2))
    one = [r for r in readings(listener.got, "plant-0001") if r[0] == "pump-001.flow"]
    other = [r for r in readings(listener.got, "plant-0002") if r[0] == "pump-001.flow"]
    assert one == []
    assert (len(other), len({bits for _, _, bits in other})) == (20, 1)


def test_duplicates_are_whole_messages(broker, listener):
    chosen = settings(broker, facilities=1, batches=40, links={"duplicates": 0.2})
    summary = quietly(chosen)
    listener.wait_for(deaths(1))
    data = Counter(data for topic, data in listener.got if kind(topic) == "DDATA")
    assert 10 < summary.duplicates < 40
    assert sorted(data.values()) == [1] * (120 - summary.duplicates) + [2] * summary.duplicates
    assert set(readings(listener.got, "plant-0001")) == expected(chosen, "plant-0001")


def test_a_rebirth_is_answered(broker, listener):
    stop, found = threading.Event(), []

    def ask(progress):
        payload = Payload()
        payload.metrics.add(name="Node Control/Rebirth", boolean_value=True)
        if not found:
            listener.publish("spBv1.0/plant-0001/NCMD/gw-1", payload.SerializeToString())
        found.append(progress)

    thread = threading.Thread(
        target=lambda: quietly(settings(broker, facilities=1, batches=None, speed=1), stop=stop)
    )
    thread.start()
    listener.wait_for(lambda got: any(kind(topic) == "DBIRTH" for topic, _ in got))
    ask(None)
    listener.wait_for(lambda got: sum(kind(topic) == "NBIRTH" for topic, _ in got) == 2)
    stop.set()
    thread.join(5)
    births = [Payload.FromString(d) for topic, d in listener.got if kind(topic) == "NBIRTH"]
    assert [(b.seq, b.metrics[0].long_value) for b in births] == [(0, 0), (0, 0)]


def test_a_broker_that_is_restarted_loses_nothing(broker, listener):
    chosen = settings(broker, template=MIXED, batches=100, sensors=60, mqtt={"in_flight": 10})
    reports = []

    def kill_once(progress):
        reports.append(progress)
        if len(reports) == 1:
            broker.stop()
            threading.Timer(0.5, broker.start).start()

    summary = simulate(chosen, kill_once)
    assert summary.unacknowledged == 0
    for facility in ("plant-0001", "plant-0002"):
        # deaths tell nothing here: the stopped broker tells of them, too
        whole = expected(chosen, facility)
        listener.wait_for(lambda got, f=facility, w=whole: set(readings(got, f)) >= w, limit_s=20)
        found = dict.fromkeys(readings(listener.got, facility))  # a few came twice
        assert set(found) == whole
        for sensor in {name for name, _, _ in found}:
            times = [time_ms for name, time_ms, _ in found if name == sensor]
            assert times == sorted(times)
    sessions = [
        Payload.FromString(d).metrics[0].long_value
        for topic, d in listener.got
        if topic == "spBv1.0/plant-0001/NBIRTH/gw-1"
    ]
    assert sessions[0] == 0
    assert len(sessions) == 2


def test_while_the_broker_is_away_only_so_much_waits(broker, listener):
    chosen = settings(broker, facilities=1, sensors=5000, batches=40)
    fleet = FleetBuilder(chosen)
    gateway = fleet.gateway(0, START_MS)
    outlet = MqttOutlet(chosen.mqtt, fleet.catalogues, queue_mb=1, duplicates=0)
    outlet.open(threading.Event(), 5)
    broker.stop()
    taken = 0
    while outlet.send(gateway, gateway.batch(taken)):
        taken += 1
        assert taken < 40
    assert outlet.send(gateway, gateway.batch(taken)) is None
    # 24 bytes a reading; the batch that reaches the limit is still taken
    assert taken == -(-(1 << 20) // (5000 * 24))
    broker.start()
    assert outlet.close(5) == 0
    listener.wait_for(deaths(2))
    found = readings(listener.got, "plant-0001")
    ticks = [time_ms for name, time_ms, _ in dict.fromkeys(found) if name == "pump-001.flow"]
    assert ticks == [START_MS + 1000 * n for n in range(taken)]


def test_what_is_given_up_is_counted(broker):
    fleet = FleetBuilder(settings(broker, facilities=1))
    gateway = fleet.gateway(0, START_MS)
    outlet = MqttOutlet(settings(broker).mqtt, fleet.catalogues, queue_mb=1, duplicates=0)
    outlet.open(threading.Event(), 5)
    broker.stop()
    assert outlet.send(gateway, gateway.batch(0)) == (3, 0)
    assert outlet.close(0.2) == 3


def test_a_wrong_password_is_told_at_once(tmp_path):
    password = tmp_path / "password"
    password.write_text("wrong\n")
    broker = Mosquitto(tmp_path, "allow_anonymous false")
    try:
        login = {"username": "line", "password_file": password}
        with pytest.raises(EdgeError, match="the MQTT broker refuses the login: Not authorized"):
            quietly(settings(broker, mqtt=login))
    finally:
        broker.stop()


def test_a_password_that_cannot_be_read(tmp_path):
    mqtt = {"username": "line", "password_file": tmp_path / "none"}
    with pytest.raises(EdgeError, match=r"none: cannot be read: No such file"):
        quietly(SimulatorSettings(batches=1, mqtt=mqtt))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"links": {"lost": [{"first": 1, "last": 2}]}}, "cut the gateway's own link"),
        ({"links": {"outages": [{"at_s": 1, "for_s": 2}]}}, "cut the gateway's own link"),
        ({"produce_only": True}, "produce_only sends nothing, not to mqtt either"),
        ({"mqtt": {"in_flight": 0}}, "in_flight"),
    ],
)
def test_settings_that_do_not_fit(changes, message):
    with pytest.raises(ValidationError, match=message):
        SimulatorSettings(**({"mqtt": {}, "batches": 1} | changes))


def test_the_option_sets_host_and_port():
    made = settings_with(None, {"batches": 1}, [], mqtt="broker:1884").mqtt
    assert (made.host, made.port) == ("broker", 1884)
    scenario = settings_with(SCENARIOS / "edge.yaml", {}, [], mqtt=":1884")
    assert (scenario.mqtt.host, scenario.mqtt.port) == ("127.0.0.1", 1884)
    with pytest.raises(EdgeError, match=r"mqtt\.port: .*not 'x'"):
        settings_with(None, {}, [], mqtt="broker:x")
    with pytest.raises(EdgeError, match="give one of them"):
        settings_with(None, {"bootstrap": "127.0.0.1:9092"}, [], mqtt=":1884")


def test_the_edge_scenario_fits(broker, listener):
    chosen = settings_with(
        SCENARIOS / "edge.yaml", {"seconds": 2, "speed": 50}, [], f":{broker.port}"
    )
    summary = quietly(chosen)
    assert (summary.batches, summary.messages, summary.unacknowledged) == (8, 400, 0)


def test_without_a_broker_it_says_so(monkeypatch):
    monkeypatch.setattr(running, "PATIENCE_S", 0.3)
    with pytest.raises(
        EdgeError, match=r"127\.0\.0\.1:1: no answer from the MQTT broker in 0\.3 s"
    ):
        quietly(SimulatorSettings(batches=1, mqtt={"port": 1}))


@pytest.mark.parametrize("app", [simulator, hardiot])
def test_both_command_lines_send_without_kafka(broker, listener, app):
    command = ["run"] if app is simulator else ["simulate", "--output", "json"]
    options = ["--mqtt", f"127.0.0.1:{broker.port}", "--facilities", "1", "--seconds", "3"]
    result = CliRunner().invoke(app, [*command, *options, "--speed", "50"])
    assert result.exit_code == 0, result.stderr
    said = result.stdout if app is simulator else result.stdout.splitlines()[-1]
    summary = json.loads(said)
    assert (summary["messages"], summary["unacknowledged"]) == (6, 0)
    listener.wait_for(deaths(1))


def test_the_gateways_input_makes_the_same_readings_of_it(broker, listener, tmp_path):
    """Also the counter-test of both sides: what is sent twice is told apart, nothing is missing."""
    chosen = settings(broker, facilities=1, batches=90, links={"duplicates": 0.1})
    summary = quietly(chosen)
    listener.wait_for(deaths(1))
    registry = Registry("plant-0001", "gw-1", tmp_path)
    asked = []
    machines = SparkplugInput(registry, lambda topic, _: asked.append(topic), tmp_path)
    results = [machines.on_message(topic, data, START_MS) for topic, data in listener.got]
    blocks = [block for result in results for block in result.blocks]
    assert [result.refused for result in results if result.refused] == []
    assert (len(blocks), asked) == (summary.messages + summary.duplicates, [])
    catalogue = FleetBuilder(chosen).catalogues[0]
    assert tuple(sensor.name for sensor in registry.sensors()) == catalogue.name
    assert registry.sensor(0).unit == catalogue.unit[0]
    found = {row for b in blocks for row in zip(*map(np.ndarray.tolist, columns(b)), strict=True)}
    block = expected_readings(chosen, "plant-0001", "gw-1")
    assert found == set(zip(*map(np.ndarray.tolist, columns(block)), strict=True))
