"""Words to systemd, against a socket that listens as systemd does."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import notify


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(1)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_a_word_arrives(systemd: socket.socket):
    assert notify.say(notify.READY, "5000 sensors")
    assert systemd.recv(100) == b"READY=1\nSTATUS=5000 sensors"
    assert notify.say(notify.ALIVE)
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch):
    name = f"hardiot-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify.say(notify.STOPPING)
        assert listening.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "nowhere", "/no/such/socket"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify.say(notify.READY)


def test_a_systemd_that_does_not_listen_stops_nobody(systemd: socket.socket):
    told = 0
    while notify.say(notify.ALIVE) and told < 100_000:  # until its queue is full
        told += 1
    assert 0 < told < 100_000


def test_the_watchdog_is_fed_more_often_than_it_bites(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert notify.watchdog_s() == 7.5
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert notify.watchdog_s() == 7.5
    monkeypatch.setenv("WATCHDOG_PID", "1")  # meant for another process
    assert notify.watchdog_s() is None


@pytest.mark.parametrize("value", ["", "0", "soon"])
def test_no_watchdog(monkeypatch: pytest.MonkeyPatch, value: str):
    monkeypatch.setenv("WATCHDOG_USEC", value)
    assert notify.watchdog_s() is None
