"""The MQTT input with a real Mosquitto: what is not acknowledged comes again, all else does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import EdgeError
from edge.inputs import sparkplug
from edge.inputs.mqtt import MqttInput
from edge.registry import Registry
from edge.settings import MqttSettings
from edge.sparkplug.decode import parse
from jobs.local.mosquitto import Mosquitto, TlsListener
from tests.edge.authority import Authority
from tests.edge.inputs.conftest import DATA, NOW, EdgeNode, Gateway, wait_for

Make = Callable[..., Gateway]
ROOT = Path(__file__).parents[3]
both = pytest.mark.parametrize("protocol", ["3.1.1", "5"])


@both
def test_readings_come_and_a_gap_asks_for_births(
    gateway: Make, node: EdgeNode, protocol: str
) -> None:
    first = gateway(protocol=protocol).start()
    node.births()
    for seq in (2, 3, 7):
        node.data(seq)
    assert first.values(3) == [2.0, 3.0, 7.0]
    wait_for(lambda: node.commands)
    (command,) = node.commands
    assert command.topic == "spBv1.0/plant/NCMD/node-1"
    assert parse(bytes(command.payload)).metrics[0].name == "Node Control/Rebirth"
    assert (first.mqtt.counts["gaps"], first.mqtt.counts["missing"]) == (1, 3)
    assert (first.mqtt.connected, first.mqtt.reconnects) == (True, 0)
    # MQTT 3.1.1 has no way not to hear oneself
    wait_for(lambda: first.mqtt.messages == 5 + (protocol == "3.1.1"))


@both
def test_the_session_is_kept_while_the_gateway_is_away(
    gateway: Make, node: EdgeNode, protocol: str
) -> None:
    first = gateway(protocol=protocol).start()
    node.births()
    node.data(2)
    assert first.values(1) == [2.0]
    wait_for(lambda: not first.mqtt.sparkplug.unsaved)
    assert first.nothing_comes()
    first.mqtt.stop()
    for seq in (3, 4):
        node.data(seq)
    second = gateway(protocol=protocol).start()
    assert second.values(2) == [3.0, 4.0]
    assert second.nothing_comes(), "what was acknowledged does not come again"


CLIENT = """
import sys, time
from pathlib import Path
from tests.edge.inputs.conftest import Gateway
from edge.settings import MqttSettings
made = Gateway(Path(sys.argv[1]), MqttSettings(port=int(sys.argv[2]), protocol=sys.argv[3])).start()
print("ready", flush=True)
print(made.values(2), flush=True)            # these are acknowledged
wait = made.results(3)                       # these are not
while made.mqtt._connection._acknowledged:
    time.sleep(0.01)
time.sleep(0.1)                              # on their way
print([float(r.blocks[0].value[0]) for r in wait], flush=True)
time.sleep(60)
"""


def says(process: subprocess.Popen[str], text: str) -> None:
    """Wait for a line; others are its log."""
    assert any(line.strip() == text for line in process.stdout), f"it did not say {text}"


@both
def test_a_killed_gateway_gets_again_what_it_had_not_acknowledged(
    gateway: Make, node: EdgeNode, broker: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    command = [sys.executable, "-c", CLIENT, str(tmp_path / "gateway"), str(broker.port), protocol]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    says(process, "ready")
    node.births()
    for seq in range(2, 7):
        node.data(seq)
    says(process, "[2.0, 3.0]")
    says(process, "[4.0, 5.0, 6.0]")
    wait_for((tmp_path / "gateway" / "births.json").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    node.data(7)
    second = gateway(protocol=protocol).start()
    assert second.values(4) == [4.0, 5.0, 6.0, 7.0], "read by the births of before the kill"
    assert second.nothing_comes()
    assert second.mqtt.counts["gaps"] == 0


def test_the_broker_sends_no_more_than_the_receive_maximum(gateway: Make, node: EdgeNode) -> None:
    first = gateway(receive_maximum=5).start()
    node.births()
    assert first.nothing_comes(), "births are acknowledged"
    for seq in range(2, 12):
        node.data(seq)
    found = first.results(5)
    assert first.nothing_comes()
    # Mosquitto 2.0.11 sends more than one for one that is acknowledged
    found[3].receipt.release()
    assert [float(r.blocks[0].value[0]) for r in first.results(1)] == [7.0]


def test_a_receipt_of_a_former_connection_acknowledges_nothing(
    gateway: Make, node: EdgeNode, broker: Mosquitto
) -> None:
    first = gateway().start()
    node.births()
    assert first.nothing_comes()
    node.data(2)
    node.data(3)
    old = first.results(2)
    broker.stop()
    wait_for(lambda: not first.mqtt.connected)
    broker.start()
    wait_for(lambda: first.mqtt.connected)
    again = first.results(2)
    for result in old:
        result.receipt.release()
    assert first.nothing_comes()
    first.mqtt.stop()
    second = gateway().start()
    assert second.values(2) == [2.0, 3.0], "still not acknowledged"
    assert [float(r.blocks[0].value[0]) for r in again] == [2.0, 3.0]
    assert first.mqtt.reconnects == 1


def test_a_birth_is_acknowledged_once_it_is_on_disk(
    gateway: Make, node: EdgeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    first = gateway().start()
    with monkeypatch.context() as patch:
        patch.setattr(sparkplug, "replace_file", full)
        node.births()
        node.data(2)
        assert first.values(1) == [2.0], "readings go on"
        wait_for(lambda: first.mqtt.counts["births_not_saved"])
        assert first.nothing_comes()
        first.mqtt.stop()
    second = gateway().start()
    node.data(3)
    assert second.values(1) == [3.0]
    assert second.mqtt.counts["births"] == 2, "both came again"
    wait_for(lambda: not second.mqtt.sparkplug.unsaved)


def test_a_full_inbox_holds_back_the_broker_and_loses_nothing(
    gateway: Make, node: EdgeNode
) -> None:
    first = gateway(room=2).start()
    node.births()
    first.results(0)
    for seq in range(2, 22):
        node.data(seq)
    time.sleep(0.1)
    assert first.mqtt.messages < 10
    assert first.values(20) == [float(seq) for seq in range(2, 22)]


def test_bad_messages_are_handed_over_with_their_reason(
    gateway: Make, node: EdgeNode, tmp_path: Path
) -> None:
    mapping = tmp_path / "map.yaml"
    mapping.write_text("topics: [{topic: 'json/{m}', sensor: '{m}', values: [{path: v}]}]")
    first = gateway(json_mapping=mapping).start()
    node.send(DATA, b"\xff")
    node.send("json/m1", b"{")
    node.send("json/m1", b'{"v": 2}')
    results = first.results(3)
    assert [r.refused[0].reason for r in results[:2]] == ["bad_payload", "bad_json"]
    assert results[2].blocks[0].value.tolist() == [2.0]
    assert first.mqtt.refused == {"bad_payload": 1, "bad_json": 1}


def test_alarms_wait_for_a_connection_and_go_out_in_order(gateway: Make, node: EdgeNode) -> None:
    first = gateway()
    for number in range(50):
        first.mqtt.publish("alarms/plant-07", str(number).encode())
    first.start()
    wait_for(lambda: len(node.commands) == 50)
    assert [bytes(m.payload) for m in node.commands] == [str(n).encode() for n in range(50)]


def test_an_alarm_that_the_broker_did_not_confirm_goes_out_again(
    gateway: Make, broker: Mosquitto
) -> None:
    first = gateway().start()
    os.kill(broker.pid, signal.SIGSTOP)
    first.mqtt.publish("alarms/plant-07", b"hot", retain=True)
    wait_for(lambda: not first.mqtt._outbox)
    os.kill(broker.pid, signal.SIGKILL)
    wait_for(lambda: not first.mqtt.connected)
    broker.start()
    wait_for(lambda: first.mqtt.connected)
    late = EdgeNode(broker.port)
    wait_for(lambda: late.commands)
    late.close()
    assert [bytes(message.payload) for message in late.commands] == [b"hot"]


def test_alarms_that_wait_are_bounded(gateway: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.inputs.mqtt._MAX_OUTBOX", 3)
    first = gateway()
    for number in range(5):
        first.mqtt.publish("alarms/plant-07", str(number).encode())
    assert first.mqtt.publishes_dropped == 2


def test_a_broker_that_comes_later(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    made = Gateway(tmp_path, MqttSettings(port=broker.port))
    made.mqtt.start()
    try:
        wait_for(lambda: "refused" in made.mqtt.problem)
        assert made.mqtt.alive
        with broker:
            wait_for(lambda: made.mqtt.connected)
            assert made.mqtt.problem == ""
    finally:
        made.mqtt.stop()
    assert not made.mqtt.alive


def test_over_tls_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path).create()
    certificate, key = authority.issue("broker")
    authority.issue("gw-1")
    with Mosquitto(tmp_path / "b", TlsListener(certificate, key, authority.certificate)) as broker:
        tls = authority.settings("gw-1")
        made = Gateway(tmp_path, MqttSettings(port=broker.tls_port, tls=tls)).start()
        made.mqtt.stop()
        bare = Gateway(tmp_path, MqttSettings(port=broker.tls_port, tls=authority.settings()))
        bare.mqtt.start()
        wait_for(lambda: bare.mqtt.problem)
        bare.mqtt.stop()
        assert not bare.mqtt.connections


@pytest.mark.parametrize("options, problem", [
    ({"sparkplug": ()}, "nothing to subscribe to"),
    ({"username": "gw", "password_file": "none"}, "none: the password cannot be read"),
    ({"tls": {"ca": "none.pem"}}, "none.pem: cannot be read"),
    ({"json_mapping": "none.yaml"}, "none.yaml: cannot be read"),
])  # fmt: skip
def test_what_is_wrong_at_the_start_is_said_at_the_start(
    tmp_path: Path, options: dict[str, Any], problem: str
) -> None:
    registry = Registry.open(tmp_path, "plant-07", "gw-1")
    with pytest.raises(EdgeError, match=problem):
        MqttInput(MqttSettings(**options), "plant-07", "gw-1", registry, tmp_path, print)


def test_the_time_of_arrival_is_that_of_the_clock_given(gateway: Make, node: EdgeNode) -> None:
    first = gateway().start()
    node.births()
    node.data(2)
    assert first.results(1)[0].blocks[0].received_ms == NOW
