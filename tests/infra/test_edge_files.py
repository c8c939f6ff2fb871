"""What is installed at a site agrees with the code: paths, ports, limits, rights, documents."""

from __future__ import annotations

import configparser
import getpass
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from edge import tls
from edge.settings import GatewaySettings, HttpSettings, MqttSettings, SpoolSettings, read_settings
from edge.web.health import MAX_IDLE_S
from jobs.common.contracts import ROOT, load_topics
from tests.edge.authority import Authority

EDGE = ROOT / "infra" / "edge"
DOCS = ROOT / "docs"
SAMPLE = EDGE / "gateway.sample.yaml"
UNIT = EDGE / "hardiot-gateway.service"


class Unit(configparser.RawConfigParser):
    """Keys keep their case; of a key that is there twice the last one counts."""

    def __init__(self) -> None:
        super().__init__(strict=False)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read(UNIT)


def bytes_of(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([KMG])i?", text).groups()
    return int(number) * 1024 ** " KMG".index(unit)


# settings


def test_the_sample_is_sound_and_its_defaults_are_the_code_s():
    found = read_settings(SAMPLE)
    assert found.mqtt == MqttSettings()
    assert found.http == HttpSettings()
    assert found.spool.max_bytes == SpoolSettings().max_bytes
    assert found.uplink.tls is not None


def test_the_sample_shows_every_setting_with_its_default(tmp_path: Path):
    everything = re.sub(r"^(\s*)# (?=\s*(?:- )?[a-z_]+:)", r"\1", SAMPLE.read_text(), flags=re.M)
    path = tmp_path / "gateway.yaml"
    path.write_text(everything)
    found = read_settings(path)
    shown = yaml.safe_load(everything)
    assert missing(GatewaySettings, shown) == []
    assert found.ticks == GatewaySettings(facility="x").ticks
    assert found.alarm_topic == GatewaySettings(facility="x").alarm_topic
    given = found.uplink.model_copy(update={"bootstrap": "", "tls": None})
    default = GatewaySettings(facility="x").uplink.model_copy(update={"bootstrap": ""})
    assert given == default
    folder = {"folder": Path("spool")}
    assert found.spool.model_copy(update=folder) == SpoolSettings()


def missing(model: type[BaseModel], shown: Any, where: str = "") -> list[str]:
    """Names of settings that are not shown."""
    if isinstance(shown, list):
        shown = shown[0]
    gone = [f"{where}{name}" for name in model.model_fields if name not in shown]
    for name, info in model.model_fields.items():
        inner = model_in(info.annotation)
        if inner is not None and name in shown:
            gone += missing(inner, shown[name], f"{where}{name}.")
    return gone


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_in(argument) for argument in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)


# the image


def test_what_the_image_holds_is_enough_to_start(tmp_path: Path):
    copied = re.findall(r"^COPY (\S+) (\S+)$", (EDGE / "Dockerfile").read_text(), re.M)
    assert [source for source, _ in copied] == ["udfs", "edge", "flink-conf/rules"]
    for source, target in copied:
        shutil.copytree(ROOT / source, tmp_path / target)
    (tmp_path / "gateway.yaml").write_text("facility: plant-07\n")
    command = [sys.executable, "-m", "edge", "gateway.yaml", "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nothing wrong" in done.stderr
    shutil.rmtree(tmp_path / "flink-conf")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"{tmp_path}/flink-conf/rules: no such folder; copy" in done.stderr


# systemd


def test_systemd_understands_the_unit(tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    path = tmp_path / UNIT.name
    python = "/opt/hardiot/current/venv/bin/python"
    assert python in UNIT.read_text()
    path.write_text(UNIT.read_text().replace(python, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_never_gives_up():
    unit = Unit()
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] == "always"
    assert "RestartPreventExitStatus" not in unit["Service"]


def test_the_watchdog_is_slower_than_what_is_called_alive():
    told_every_s = float(Unit()["Service"]["WatchdogSec"]) / 4
    assert Unit()["Service"]["Type"] == "notify"
    assert MAX_IDLE_S + told_every_s < float(Unit()["Service"]["WatchdogSec"])


def test_the_unit_has_quotas_and_writes_to_the_spool_only():
    service = Unit()["Service"]
    for quota in ("MemoryMax", "CPUQuota", "TasksMax", "LimitNOFILE"):
        assert service[quota]
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert "ReadWritePaths" not in service
    assert (
        read_settings(SAMPLE).spool.folder == Path("/var/lib") / service["StateDirectory"] / "spool"
    )
    assert service["ExecStart"].endswith(" -m edge /etc/hardiot/gateway.yaml")


# Mosquitto


def broker_settings() -> dict[str, str]:
    lines = (EDGE / "mosquitto.conf").read_text().splitlines()
    pairs = [line.split(" ", 1) for line in lines if line and not line.startswith("#")]
    return dict(pairs)


def test_the_broker_s_limits_fit_the_gateway_s():
    found, mqtt = broker_settings(), MqttSettings()
    assert int(found["max_inflight_messages"]) >= mqtt.receive_maximum
    assert found["persistent_client_expiration"] == "2d"
    assert mqtt.session_expiry_s <= 2 * 86_400
    assert int(found["max_queued_bytes"]) > 0
    text = (EDGE / "mosquitto.conf").read_text()
    assert f"\nlistener {mqtt.port} {mqtt.host}\n" in text


class Site:
    """Mosquitto with our own configuration, its paths and ports moved."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.ports = [free_port(), free_port()]
        names = {"ca.crt": "ca.pem", "broker.crt": "broker.pem", "broker.key": "broker.key"}
        text = (EDGE / "mosquitto.conf").read_text()
        for ours, made in names.items():
            text = text.replace(f"/etc/mosquitto/tls/{ours}", str(authority.folder / made))
        text = text.replace("/etc/mosquitto/", f"{EDGE}/")
        text = text.replace("/var/lib/mosquitto/", f"{folder}/").replace("syslog", "stderr")
        text = text.replace("listener 1883", f"listener {self.ports[0]}")
        text = text.replace("listener 8883", f"listener {self.ports[1]} 127.0.0.1")
        text += f"\nuser {getpass.getuser()}\n"
        (folder / "mosquitto.conf").write_text(text)
        self.log = (folder / "log").open("w+")
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        self.process = subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stderr=self.log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca")).create()
    for name in ("broker", "press-1"):
        made.issue(name)
    return made


@pytest.fixture
def site(tmp_path: Path, authority: Authority) -> Iterator[Site]:
    made = Site(tmp_path, authority)
    yield made
    made.process.terminate()
    made.process.wait(5)
    made.log.close()


def connected(site: Site, port: int, made: ssl.SSLContext | None) -> socket.socket:
    for _ in range(100):
        try:
            plain: socket.socket = socket.create_connection(("127.0.0.1", port), 5)
            break
        except OSError:
            time.sleep(0.02)
    else:
        site.log.seek(0)
        raise AssertionError(site.log.read())
    link = made.wrap_socket(plain, server_hostname="127.0.0.1") if made else plain
    link.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02" + (b"de" if made else b"gw"))
    assert link.recv(4) == b"\x20\x02\x00\x00"
    return link


def publish(link: socket.socket, topic: str) -> None:
    """QoS 1; comes back when it is acknowledged (also what the ACL drops is)."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + b"\x00\x01" + b"value"
    link.sendall(bytes([0x32, len(body)]) + body)
    assert link.recv(4) == b"\x40\x02\x00\x01"


def test_a_device_may_publish_as_itself_only(site: Site, authority: Authority):
    gateway = connected(site, site.ports[0], None)
    gateway.sendall(b"\x82\x06\x00\x01\x00\x01#\x00")
    assert gateway.recv(5) == b"\x90\x03\x00\x01\x00"
    device = connected(site, site.ports[1], tls.context(authority.settings("press-1")))
    allowed = ("spBv1.0/g/NDATA/press-1", "spBv1.0/g/DDATA/press-1/axis", "devices/press-1/flow")
    for topic in ("spBv1.0/g/NDATA/press-2", "devices/press-2/flow", "x", *allowed):
        publish(device, topic)
    found = b""
    while found.count(b"value") < len(allowed):
        found += gateway.recv(1000)
    topics = re.findall(rb"(?:spBv|devices|x)[^\0]*?(?=value)", found)
    assert [topic.decode() for topic in topics] == list(allowed)
    gateway.close()
    device.close()


def test_a_device_without_a_certificate_is_not_let_in(site: Site, authority: Authority):
    connected(site, site.ports[0], None).close()
    with pytest.raises(OSError):
        connected(site, site.ports[1], tls.context(authority.settings()))


# K3s


def documents() -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all((EDGE / "k3s.yaml").read_text()) if d]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [found for found in documents() if found["kind"] == kind]


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = [found for found in of_kind(kind) if found["metadata"]["name"] == name]
    return found


def containers() -> list[dict[str, Any]]:
    return [c for s in of_kind("StatefulSet") for c in s["spec"]["template"]["spec"]["containers"]]


def test_everything_is_in_the_namespace_that_has_quotas():
    [space] = of_kind("Namespace")
    name = space["metadata"]["name"]
    rest = [found for found in documents() if found["kind"] != "Namespace"]
    assert {found["metadata"]["namespace"] for found in rest} == {name}
    [quota] = of_kind("ResourceQuota")
    assert {"limits.cpu", "limits.memory", "requests.storage", "pods"} <= set(quota["spec"]["hard"])
    assert of_kind("LimitRange")


def test_pods_are_locked_down():
    for found in of_kind("StatefulSet"):
        pod = found["spec"]["template"]["spec"]
        assert found["spec"]["replicas"] == 1
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["terminationGracePeriodSeconds"] >= 30
    for container in containers():
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]) == {"requests", "limits"}
        assert re.fullmatch(r"\S+:\$\{[A-Z]+_TAG\}", container["image"])


def test_the_gateway_s_settings_agree_with_its_pod(tmp_path: Path):
    path = tmp_path / "gateway.yaml"
    text = named("ConfigMap", "gateway")["data"]["gateway.yaml"]
    path.write_text(text.replace("${FACILITY}", "plant-07").replace("${KAFKA_BOOTSTRAP}", "k:9093"))
    settings = read_settings(path)
    found = named("StatefulSet", "gateway")["spec"]
    [container] = found["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert container["ports"] == [{"name": "http", "containerPort": settings.http.port}]
    assert settings.spool.folder.parent == Path(mounts["spool"]["mountPath"])
    assert {file.parent for file in tls.files(settings.uplink.tls)} == {
        Path(mounts["tls"]["mountPath"])
    }
    assert "subPath" not in mounts["tls"]
    [claim] = found["volumeClaimTemplates"]
    size = bytes_of(claim["spec"]["resources"]["requests"]["storage"])
    assert size > 1.1 * settings.spool.max_bytes
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    limit = bytes_of(container["resources"]["limits"]["memory"])
    assert limit == bytes_of(Unit()["Service"]["MemoryMax"])
    broker = named("Service", settings.mqtt.host)
    assert broker["spec"]["ports"] == [{"name": "mqtt", "port": settings.mqtt.port}]


def test_only_what_is_named_gets_through():
    everything = named("NetworkPolicy", "nothing-else")["spec"]
    assert everything == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    out = named("NetworkPolicy", "gateway")["spec"]["egress"]
    ports = [port["port"] for rule in out for port in rule["ports"]]
    assert ports == [MqttSettings().port, 9093, 53, 53]
    broker = named("NetworkPolicy", "broker")["spec"]
    assert broker["egress"] == []
    assert [rule["ports"][0]["port"] for rule in broker["ingress"]] == [1883, 8883]


def test_volumes_are_there_for_every_mount():
    for found in of_kind("StatefulSet"):
        spec = found["spec"]
        pod = spec["template"]["spec"]
        there = {v["name"] for v in pod["volumes"]}
        there |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
        mounted = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounted == there


# documents


def test_the_rights_in_kafka_are_those_of_the_contracts():
    text = (DOCS / "edge-security.md").read_text()
    rights = text.partition("## What a gateway may do in Kafka")[2].partition("```sh")[0]
    written = {topic for topic in load_topics() if topic.writer == "gateway"}
    for topic in written:
        assert f"`{topic.name.replace('<facility>', 'plant-07')}`" in rights
    listed = re.findall(r"`([a-z-]+)(?:\.plant-07)?`", rights.partition("Read,")[0])
    names = {topic.name.removesuffix(".<facility>") for topic in written}
    assert set(listed) - {"plant-07"} == names


def test_the_disk_table_is_right():
    text = (DOCS / "edge-install.md").read_text()
    rows = re.findall(r"\| ([\d,]+) \| ([\d.]+) h \| ([\d.]+) GB \| ([\d,]+) h \|", text)
    assert len(rows) == 5
    for rate, per_gb, day, default in rows:
        per_hour = float(rate.replace(",", "")) * 2.5 * 3600
        assert float(per_gb) == pytest.approx(1e9 / per_hour, rel=0.02)
        assert float(day) == pytest.approx(24 * per_hour / 1e9, rel=0.03)
        hours = SpoolSettings().max_bytes / per_hour
        assert float(default.replace(",", "")) == pytest.approx(hours, rel=0.02)


def test_the_messages_that_are_explained_are_those_that_are_said():
    text = (DOCS / "edge-security.md").read_text()
    for name in ("CERTIFICATE_EXPIRED", "UNKNOWN_CA", "CERTIFICATE_REQUIRED"):
        assert tls._MEANINGS[name] in text
