"""Subscriptions to a real OPC UA server in this process: values, qualities, outages, bad nodes."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from pydantic import ValidationError

from edge.errors import EdgeError
from edge.inputs import opcua as inputs
from edge.inputs import opcua_session
from edge.inputs.opcua import OpcUaInput
from edge.inputs.result import Result
from edge.registry import Registry, Sensor
from edge.settings import OpcUaSettings
from tests.edge.authority import Authority, openssl

PRESENT = {"Flow": 1.5, "Running": True, "Count": 7, "Label": "text", "Unwritten": 0.0}
CHANGED = datetime(2024, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
CHANGED_MS = 1_714_564_800_250


class Operators(UserManager):
    """Anybody may come without a name; who gives one must know the password."""

    def get_user(self, iserver: Any, username=None, password=None, certificate=None) -> User | None:
        known = username is None or (username, password) == ("gateway", "secret")
        return User(role=UserRole.Admin) if known else None


class Plant:
    """The server, in a thread with an event loop of its own. It takes 2 s to build: one for all."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.folder = folder
        certificate(folder, "server", "urn:freeopcua:python:server")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.server = self.run(self._build())
        self.running = False

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _build(self) -> Server:
        made = Server(user_manager=Operators())
        await made.init()
        made.set_endpoint(f"opc.tcp://127.0.0.1:{self.port}")
        made.set_security_policy(
            [ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
        )
        await made.load_certificate(str(self.folder / "server.pem"))
        await made.load_private_key(str(self.folder / "server-key.pem"))
        await made.register_namespace("http://plant")
        pump = await made.nodes.objects.add_object(ua.NodeId("Pump", 2), "Pump")
        for name, value in PRESENT.items():
            await pump.add_variable(ua.NodeId(f"Pump.{name}", 2), name, value)
        flow = made.get_node(ua.NodeId("Pump.Flow", 2))
        await flow.add_property(ua.NodeId(7001, 2), ua.QualifiedName("EURange"), ua.Range(0, 80))
        unit = ua.EUInformation(DisplayName=ua.LocalizedText("m³/h"))
        await flow.add_property(ua.NodeId(7002, 2), ua.QualifiedName("EngineeringUnits"), unit)
        return made

    def start(self) -> None:
        self.run(self.server.start())
        self.running = True

    def stop(self) -> None:
        self.run(self.server.stop())
        self.running = False

    def reset(self) -> None:
        for name, value in PRESENT.items():
            self.write(name, value)
        self.write("Unwritten", None, ua.StatusCodes.BadWaitingForInitialData)

    def write(self, name: str, value: Any, status: int = 0, at: datetime | None = None) -> None:
        kind = ua.VariantType.Int64 if name == "Count" else None
        data = ua.DataValue(
            ua.Variant(value, kind),
            ua.StatusCode(status),
            SourceTimestamp=at or datetime.now(UTC),
        )
        self.run(self.server.write_attribute_value(ua.NodeId(f"Pump.{name}", 2), data))

    def cut(self) -> None:
        """Close all connections, without a word."""

        async def close() -> None:
            for client in list(self.server.bserver.clients):
                client.transport.abort()

        self.run(close())


def certificate(folder: Path, name: str, uri: str) -> None:
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=URI:{uri},IP:127.0.0.1",
        "-keyout", folder / f"{name}-key.pem", "-out", folder / f"{name}.pem",
    )  # fmt: skip


def until(what: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


class Harness:
    """An input and what it handed over."""

    def __init__(
        self, port: int, folder: Path, names: tuple[str, ...] = tuple(PRESENT), **more: Any
    ):
        nodes = [{"node": f"ns=2;s=Pump.{name}", "sensor": f"pump.{name}"} for name in names]
        url = f"opc.tcp://127.0.0.1:{port}"
        self.settings = OpcUaSettings.model_validate(
            {"url": url, "publishing_ms": 50, "nodes": nodes} | more
        )
        self.registry = Registry.open(folder, "plant-07", "gw-1")
        self.results: list[Result] = []
        self.gate = threading.Event()
        self.gate.set()
        self.input = OpcUaInput(self.settings, self.registry, self._take, lambda: 1_800_000_000_000)

    def _take(self, result: Result) -> None:
        self.gate.wait(10)
        self.results.append(result)

    def readings(self, name: str) -> list[tuple[float, int]]:
        """(value, quality) of a sensor, in the order of arrival."""
        slot = self.registry.find(f"pump.{name}")
        blocks = [block for result in list(self.results) for block in result.blocks]
        return [
            (float(value), int(quality))
            for block in blocks
            for at, value, quality in zip(block.slot, block.value, block.quality, strict=True)
            if at == slot
        ]

    def values(self, name: str) -> list[float]:
        return [value for value, _ in self.readings(name)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant(tmp_path_factory.mktemp("server"))


@pytest.fixture
def plant(built: Plant) -> Iterator[Plant]:
    built.start()
    built.reset()
    yield built
    if built.running:
        built.stop()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Harness]]:
    monkeypatch.setattr(inputs, "FIRST_WAIT_S", 0.05)
    started: list[Harness] = []

    def run(port: int, *words: Any, **more: Any) -> Harness:
        started.append(Harness(port, tmp_path, *words, **more))
        started[-1].input.start()
        return started[-1]

    yield run
    for harness in started:
        harness.gate.set()
        harness.input.stop()
        assert not harness.input._thread.is_alive()


def test_values_of_all_kinds(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port)
    until(lambda: found.readings("Unwritten"))
    assert found.readings("Flow") == [(1.5, 0)]
    assert found.readings("Running") == [(1.0, 0)]
    assert found.readings("Count") == [(7.0, 0)]
    [(value, quality)] = found.readings("Unwritten")
    assert value != value  # NaN: there is none
    assert quality == 2
    [refused] = [refused for result in found.results for refused in result.refused]
    assert (refused.reason, refused.topic, refused.payload) == (
        "not_a_number",
        "ns=2;s=Pump.Label",
        b"text",
    )
    assert refused.detail == "str; a reading is a number or true/false"
    status = found.input.status
    assert (status.connected, status.connections, status.readings) == (True, 1, 4)
    assert (status.problem, status.nodes, status.overflows) == ("", {}, 0)


def test_unit_and_range_are_the_servers_where_settings_say_nothing(
    plant: Plant, start: Callable[..., Harness]
):
    found = start(plant.port, ("Flow", "Count"))
    until(lambda: found.readings("Count"))
    assert found.registry.sensor(0) == Sensor("pump.Flow", "m³/h", low=0.0, high=80.0)
    assert found.registry.sensor(1) == Sensor("pump.Count")


def test_a_change_has_its_own_time_and_quality(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    plant.write("Flow", 2.5, ua.StatusCodes.UncertainSensorNotAccurate, CHANGED)
    plant.write("Flow", 3.5, ua.StatusCodes.BadSensorFailure, CHANGED + timedelta(seconds=1))
    until(lambda: len(found.readings("Flow")) == 3)
    (uncertain, (value, quality)) = found.readings("Flow")[1:]
    assert uncertain == (2.5, 1)
    assert value != value  # this server leaves out what is bad
    assert quality == 2
    blocks = [block for result in found.results for block in result.blocks]
    times = [int(at) for block in blocks for at in block.time_ms]
    assert times[1:] == [CHANGED_MS, CHANGED_MS + 1000]
    assert {block.source for block in blocks} == {f"opc.tcp://127.0.0.1:{plant.port}"}


def test_the_present_value_is_of_now_however_long_ago_it_changed(
    plant: Plant, start: Callable[..., Harness]
):
    plant.write("Flow", 4.5, at=CHANGED)
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    assert found.results[0].blocks[0].time_ms.tolist() == [1_800_000_000_000]


def test_a_server_that_starts_again_is_subscribed_to_again(
    plant: Plant, start: Callable[..., Harness]
):
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    plant.stop()
    until(lambda: not found.input.status.connected)
    until(lambda: "Connect" in found.input.status.problem)
    plant.start()
    until(lambda: found.input.status.connections == 2)
    plant.write("Flow", 9.5)
    until(lambda: 9.5 in found.values("Flow"))
    assert (found.input.status.connected, found.input.status.problem) == (True, "")


def test_a_cut_connection_is_made_again(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    plant.cut()
    until(lambda: found.input.status.connections == 2)
    plant.write("Flow", 12.0)
    until(lambda: 12.0 in found.values("Flow"))
    assert found.values("Flow")[:2] == [1.5, 1.5]  # a new subscription tells the present value


def test_nothing_is_lost_while_the_inbox_is_full(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    found.gate.clear()
    for value in range(10):
        plant.write("Flow", 100.0 + value)
        time.sleep(0.02)
    assert len(found.results) == 1
    found.gate.set()
    until(lambda: 109.0 in found.values("Flow"))
    assert found.values("Flow") == [1.5, *(100.0 + value for value in range(10))]
    assert found.input.status.connections == 1


def test_it_stops_although_nobody_empties_the_inbox(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port, ("Flow",))
    until(lambda: found.readings("Flow"))
    found.gate.clear()
    plant.write("Flow", 2.0)
    until(lambda: any(thread.name == "opcua-inbox" for thread in threading.enumerate()))
    found.input.stop(timeout_s=3)
    assert not found.input._thread.is_alive()
    waiting = [thread for thread in threading.enumerate() if thread.name == "opcua-inbox"]
    assert [thread.daemon for thread in waiting] == [True]


def test_nodes_that_are_unknown_are_named_all_at_once_and_the_others_are_read(
    plant: Plant, start: Callable[..., Harness]
):
    found = start(plant.port, ("Nothing", "Flow", "Neither"))
    until(lambda: found.readings("Flow"))
    assert found.input.status.nodes == {
        "ns=2;s=Pump.Nothing": "BadNodeIdUnknown",
        "ns=2;s=Pump.Neither": "BadNodeIdUnknown",
    }


def test_a_node_that_comes_later_is_read(
    plant: Plant, start: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inputs, "RETRY_NODES_S", 0.2)
    found = start(plant.port, ("Flow", "Late"))
    until(lambda: found.input.status.nodes)
    objects = plant.server.nodes.objects
    plant.run(objects.add_variable(ua.NodeId("Pump.Late", 2), "Late", 5.5))
    until(lambda: found.values("Late") == [5.5])
    until(lambda: found.input.status.nodes == {})


def test_a_silent_server_is_noticed(
    plant: Plant, start: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inputs, "SILENCE_S", 0.5)  # its keep-alive comes after 5 s
    found = start(plant.port, ("Flow",))
    until(lambda: found.input.status.connections >= 2)
    assert "Flow" in str(found.settings.nodes[0].node)


def test_user_and_password(plant: Plant, start: Callable[..., Harness], tmp_path: Path):
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    found = start(plant.port, ("Flow",), username="gateway", password_file=str(secret))
    until(lambda: "denied" in found.input.status.problem.lower())
    secret.write_text("secret\n")
    until(lambda: found.readings("Flow"))


def test_signed_and_encrypted(
    plant: Plant,
    start: Callable[..., Harness],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(inputs, "CONNECT_S", 1)  # it does not answer what it cannot read
    certificate(tmp_path, "gw", "urn:hardiot:plant-07:gw-1")
    certificate(tmp_path, "other", "urn:freeopcua:python:server")
    key = (tmp_path / "gw-key.pem").rename(tmp_path / "gw.key")  # content counts, not the name
    security = {"certificate": str(tmp_path / "gw.pem"), "key": str(key)}
    wrong = security | {"server_certificate": str(tmp_path / "other.pem")}
    stranger = start(plant.port, ("Flow",), security=wrong)
    until(lambda: "another server's" in stranger.input.status.problem)
    stranger.input.stop()
    assert stranger.input.status.connections == 0
    right = security | {"server_certificate": str(plant.folder / "server.pem")}
    found = start(plant.port, ("Flow",), security=right)
    until(lambda: found.readings("Flow"))


def test_a_certificate_without_our_uri_is_named(
    plant: Plant, start: Callable[..., Harness], authority: Authority
):
    files = {"certificate": authority.folder / "gw.pem", "key": authority.folder / "gw.key"}
    security = files | {"server_certificate": plant.folder / "server.pem"}
    found = start(plant.port, ("Flow",), security=security)
    until(lambda: "gw.pem: has no URI among its alternative names" in found.input.status.problem)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path).create()
    made.issue("gw")
    return made


def test_a_missing_password_file_is_said(plant: Plant, start: Callable[..., Harness]):
    found = start(plant.port, ("Flow",), username="x", password_file="/no/such")
    until(lambda: found.input.status.problem)
    assert found.input.status.problem == "/no/such: cannot be read: No such file or directory"


def test_a_full_registry_leaves_the_node_out(
    plant: Plant, start: Callable[..., Harness], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edge.registry.MAX_SENSORS", 1)
    found = start(plant.port, ("Flow", "Count"))
    until(lambda: found.readings("Flow"))
    assert found.input.status.nodes == {"ns=2;s=Pump.Count": "too many sensors for one gateway"}


def test_node_ids_that_are_none_are_named_all_at_once(tmp_path: Path):
    nodes = [{"node": node, "sensor": node} for node in ("Pump1", "ns=2;s=Good", "ns=x;s=1")]
    settings = OpcUaSettings.model_validate({"url": "opc.tcp://127.0.0.1:1", "nodes": nodes})
    registry = Registry.open(tmp_path, "plant-07", "gw-1")
    with pytest.raises(EdgeError) as caught:
        OpcUaInput(settings, registry, lambda result: None, lambda: 0)
    assert str(caught.value).splitlines() == [
        f'opcua: "{node}" is no node id; write it as ns=2;s=Pump1.Flow'
        for node in ("Pump1", "ns=x;s=1")
    ]


def test_a_node_that_is_there_twice_is_refused():
    nodes = [{"node": "i=1", "sensor": name} for name in ("a", "b")]
    with pytest.raises(ValidationError, match="node is there more than once: i=1"):
        OpcUaSettings.model_validate({"url": "opc.tcp://127.0.0.1:1", "nodes": nodes})


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "asyncua", None)
    spec = importlib.util.spec_from_file_location("again", opcua_session.__file__)
    with pytest.raises(EdgeError, match=r"asyncua is not installed; run pip install --require-has"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
