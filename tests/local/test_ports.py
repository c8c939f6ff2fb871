"""Ports are free when they are given, and different."""

from __future__ import annotations

import socket

import pytest

from jobs.local.ports import free_ports, is_free


@pytest.fixture
def server() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_with_a_server_is_not_free(server: int) -> None:
    assert not is_free(server)
    assert not is_free(server, host="")


def test_a_port_without_a_server_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert is_free(port)


def test_ports_differ_and_lie_below_those_of_outgoing_connections() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(20_000 <= port < 32_000 for port in ports)


def test_taken_ports_are_not_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.local.ports._RANGE", range(20_000, 20_010))
    first = free_ports(4)
    assert not set(free_ports(4, taken=first)) & set(first)


def test_too_few_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.local.ports._RANGE", range(20_000, 20_002))
    monkeypatch.setattr("jobs.local.ports.is_free", lambda port, host: port == 20_001)
    with pytest.raises(OSError, match="only 1 of 3 ports are free in 20000-20002"):
        free_ports(3)
