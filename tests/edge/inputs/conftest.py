"""A real broker, and an edge node that speaks to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any

import numpy as np
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from edge.inputs.mqtt import MqttInput
from edge.inputs.result import Result
from edge.registry import Registry, Sensor
from edge.settings import MqttSettings
from edge.sparkplug.encode import DeviceEncoder, node_birth
from jobs.local import mosquitto
from jobs.local.mosquitto import Mosquitto

NOW = 1_772_366_400_000
SENSORS = [Sensor("pump-001.flow"), Sensor("pump-001.pressure")]
DATA = "spBv1.0/plant/DDATA/node-1/line-01"


def wait_for(what: Callable[[], Any], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


class EdgeNode:
    """An edge node with one device, by QoS 1."""

    def __init__(self, port: int) -> None:
        self.commands: list[MQTTMessage] = []
        self._client = Client(CallbackAPIVersion.VERSION2, "node-1")
        self._client.on_message = lambda client, data, message: self.commands.append(message)
        subscribed = Event()
        self._client.on_subscribe = lambda *answer: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe([("spBv1.0/plant/NCMD/node-1", 1), ("alarms/#", 1)])
        assert subscribed.wait(20)
        self._encoder = DeviceEncoder(SENSORS)

    def send(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(20)

    def births(self) -> None:
        self.send("spBv1.0/plant/NBIRTH/node-1", node_birth(NOW, bd_seq=1))
        self.send("spBv1.0/plant/DBIRTH/node-1/line-01", self._encoder.birth(NOW, 1))

    def data(self, seq: int) -> None:
        values = np.array([seq, -seq], np.float64)
        times = np.full(2, NOW + 1000 * seq)
        self.send(DATA, self._encoder.data(values, times, seq % 256))

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Gateway:
    """An MQTT input, and what it handed over."""

    def __init__(self, folder: Path, settings: MqttSettings, room: int = 0) -> None:
        self.inbox: Queue[Result] = Queue(room)
        self.registry = Registry.open(folder, "plant-07", "gw-1")
        self.mqtt = MqttInput(
            settings, "plant-07", "gw-1", self.registry, folder, self.inbox.put, lambda: NOW
        )

    def start(self) -> Gateway:
        self.mqtt.start()
        wait_for(lambda: self.mqtt.connected)
        return self

    def results(self, count: int, limit_s: float = 20.0) -> list[Result]:
        """The next results, in order; births that are on disk now are no results."""
        found: list[Result] = []
        deadline = time.monotonic() + limit_s
        while len(found) < count:
            result = self.inbox.get(timeout=max(deadline - time.monotonic(), 0.001))
            if result.blocks or result.refused:
                found.append(result)
            elif result.receipt is not None:
                result.receipt.release()
        return found

    def values(self, count: int, limit_s: float = 20.0) -> list[float]:
        """The first value of each of the next messages; they are acknowledged."""
        found = self.results(count, limit_s)
        for result in found:
            result.receipt.release()
        return [float(result.blocks[0].value[0]) for result in found]

    def nothing_comes(self, within_s: float = 0.2) -> bool:
        try:
            self.results(1, within_s)
        except Empty:
            return True
        return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker for this test alone: sessions and messages are its own."""
    if mosquitto.program() is None:
        pytest.skip("Mosquitto is not installed")
    with Mosquitto(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def node(broker: Mosquitto) -> Iterator[EdgeNode]:
    made = EdgeNode(broker.port)
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path: Path, broker: Mosquitto) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways of one identity and folder, one after the other; all are stopped."""
    made: list[Gateway] = []
    folder = tmp_path / "gateway"
    folder.mkdir()

    def make(room: int = 0, **options: Any) -> Gateway:
        settings = MqttSettings(**{"port": broker.port, **options})
        made.append(Gateway(folder, settings, room))
        return made[-1]

    yield make
    for one in made:
        one.mqtt.stop()
