"""A link that can be cut, stalled, delayed and made narrow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from jobs.local.link import Link
from jobs.local.ports import LOOPBACK, free_ports


def echo(server: socket.socket) -> None:
    """Send back what comes, for each connection."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


@pytest.fixture
def link() -> Iterator[Link]:
    listen, to = free_ports(2)
    with socket.create_server((LOOPBACK, to)) as server:
        threading.Thread(target=echo, args=(server,), daemon=True).start()
        with Link(listen, to) as found:
            yield found
        server.shutdown(socket.SHUT_RDWR)


def connect(link: Link) -> socket.socket:
    return socket.create_connection((LOOPBACK, link._listen_port), timeout=2)


def round_trip(client: socket.socket, data: bytes = b"ping") -> float:
    began = time.monotonic()
    client.sendall(data)
    left = len(data)
    while left:
        found = client.recv(65536)
        if not found:
            raise ConnectionError("closed")
        left -= len(found)
    return time.monotonic() - began


def test_what_goes_in_comes_out(link: Link) -> None:
    with connect(link) as client:
        data = bytes(range(256)) * 4000
        threading.Thread(target=client.sendall, args=(data,)).start()
        found = b""
        while len(found) < len(data):
            found += client.recv(65536)
        assert found == data
    assert link.passed_bytes == 2 * len(data)


def test_a_cut_breaks_connections_and_refuses_new_ones(link: Link) -> None:
    with connect(link) as client:
        round_trip(client)
        link.cut()
        with pytest.raises(ConnectionError):
            round_trip(client)
            round_trip(client)
    with pytest.raises(ConnectionRefusedError):
        connect(link)
    link.restore()
    with connect(link) as client:
        round_trip(client)
    assert link.connections == 2


def test_a_stalled_link_keeps_what_came_and_delivers_it_later(link: Link) -> None:
    with connect(link) as client:
        round_trip(client)
        link.stall()
        client.sendall(b"later")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        link.restore()
        client.settimeout(2)
        assert client.recv(10) == b"later"


def test_a_delay_goes_both_ways(link: Link) -> None:
    link.delay_ms = 60
    with connect(link) as client:
        assert 0.12 <= round_trip(client) < 1


def test_a_narrow_link(link: Link) -> None:
    link.rate_bytes_s = 200_000
    with connect(link) as client:
        assert 0.2 <= round_trip(client, bytes(40_000)) < 2


def test_nobody_listens_behind_it() -> None:
    listen, to = free_ports(2)
    with Link(listen, to) as link, connect(link) as client:
        assert client.recv(10) == b""
