"""The broker's configuration."""

from __future__ import annotations

import subprocess
import time
import uuid
from pathlib import Path

import pytest

from jobs.local import kafka
from jobs.local.ports import free_ports


def properties(edge: tuple[int, int] | None = None) -> dict[str, str]:
    text = kafka.server_properties(Path("/run/kafka"), 20_001, 20_002, edge)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_broker_listens_on_loopback_only() -> None:
    found = properties()
    assert found["listeners"] == "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert found["controller.quorum.voters"] == "1@127.0.0.1:20002"
    assert found["log.dirs"] == "/run/kafka"


def test_clients_that_come_by_a_link_are_told_its_port() -> None:
    assert "EDGE" not in properties()["listeners"]
    found = properties(edge=(20_003, 20_004))
    assert found["listeners"].endswith(",EDGE://127.0.0.1:20003")
    advertised = "PLAINTEXT://127.0.0.1:20001,EDGE://127.0.0.1:20004"
    assert found["advertised.listeners"] == advertised
    assert found["listener.security.protocol.map"].endswith(",EDGE:PLAINTEXT")


def test_the_settings_that_our_data_need() -> None:
    found = properties()
    assert found["message.max.bytes"] == "16777216"
    assert found["log.message.timestamp.type"] == "LogAppendTime"
    assert found["auto.create.topics.enable"] == "false"
    # jobs ask for transactions of 15 minutes
    assert found["transaction.max.timeout.ms"] == "900000"


def test_a_port_without_a_broker_is_not_ready_at_once() -> None:
    began = time.monotonic()
    assert not kafka.is_ready(free_ports(1)[0])
    assert time.monotonic() - began < 1


def test_an_id_that_begins_with_a_dash_is_no_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dash = uuid.UUID(bytes=b"\xf8" + bytes(15))
    monkeypatch.setattr(uuid, "uuid4", lambda: dash)
    port, controller = free_ports(2)
    settings = tmp_path / "server.properties"
    settings.write_text(kafka.server_properties(tmp_path / "data", port, controller))
    subprocess.run(kafka.format_command(settings), check=True, capture_output=True, text=True)
    written = (tmp_path / "data" / "meta.properties").read_text()
    assert "cluster.id=-AAAAAAAAAAAAAAAAAAAAA" in written
