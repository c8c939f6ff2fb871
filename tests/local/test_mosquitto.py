"""A real Mosquitto of our own: where it listens, what it keeps, how it ends."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from jobs.common.errors import ClusterError
from jobs.local import mosquitto
from jobs.local.mosquitto import Mosquitto, TlsListener
from jobs.local.ports import is_free

needs_mosquitto = pytest.mark.skipif(
    mosquitto.program() is None, reason="Mosquitto is not installed"
)


def test_the_settings_that_a_gateway_needs() -> None:
    lines = mosquitto.config(Path("/run/m"), 20_001).splitlines()
    assert {
        "listener 20001 127.0.0.1", "persistence true", "persistence_location /run/m/",
        "max_inflight_messages 0", "max_queued_messages 0", "upgrade_outgoing_qos true",
    } <= set(lines)  # fmt: skip
    assert [line for line in lines if line.startswith("listener")] == ["listener 20001 127.0.0.1"]


def test_a_tls_listener_beside_it() -> None:
    tls = TlsListener(Path("/c.pem"), Path("/c.key"), Path("/ca.pem"))
    lines = mosquitto.config(Path("/run/m"), 20_001, 20_002, tls).splitlines()
    begin = lines.index("listener 20002 127.0.0.1")
    assert lines[begin + 1 :] == [
        "certfile /c.pem", "keyfile /c.key", "cafile /ca.pem", "require_certificate true",
        "tls_version tlsv1.2",
    ]  # fmt: skip


@needs_mosquitto
def test_start_answer_stop(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "broker")
    with broker:
        assert broker.pid is not None
        assert not is_free(broker.port)
        listening = {
            c.laddr.ip for c in psutil.Process(broker.pid).net_connections() if c.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}
        first = broker.pid
    assert broker.pid is None
    assert not psutil.pid_exists(first)
    assert (tmp_path / "broker" / "mosquitto.db").exists()
    with broker:
        assert broker.pid != first
        assert not is_free(broker.port)


@needs_mosquitto
def test_one_that_cannot_start_shows_why(tmp_path: Path) -> None:
    missing = TlsListener(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(ClusterError, match=r"(?s)mosquitto ended while it started.*none\.pem"):
        Mosquitto(tmp_path / "broker", missing).start()


def test_without_the_program_the_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mosquitto, "program", lambda: None)
    with pytest.raises(ClusterError, match="apt-get install mosquitto"):
        Mosquitto(tmp_path / "broker").start()
