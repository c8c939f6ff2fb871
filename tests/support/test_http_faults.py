"""The proxy itself: what a client is told, and what the server really did."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from jobs.local.ports import LOOPBACK, free_ports
from tests.support.http_faults import HttpFaults, Seen


class Origin(BaseHTTPRequestHandler):
    """Answers with what it got; remembers each request that it executed."""

    protocol_version = "HTTP/1.1"
    done: list[tuple[str, str, bytes]]

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.done.append((self.command, self.path, body))
        self.send_response(200 if body or self.command != "POST" else 400)
        self.send_header("X-Token", self.headers.get("Authorization", "none"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)

    do_GET = do_HEAD = do_POST = do_DELETE = handle_any

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


Done = list[tuple[str, str, bytes]]
Way = tuple[HttpFaults, httpx.Client, Done]


@pytest.fixture
def way() -> Iterator[Way]:
    """Faults, a client on their side, and what the server behind them executed."""
    done: Done = []
    server = ThreadingHTTPServer((LOOPBACK, 0), type("One", (Origin,), {"done": done}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://{LOOPBACK}:{server.server_address[1]}"
    with HttpFaults(url) as faults, httpx.Client(base_url=faults.url, trust_env=False) as client:
        yield faults, client, done
    server.shutdown()
    server.server_close()


def test_everything_passes_when_nothing_is_told(way: Way) -> None:
    faults, client, done = way
    data = bytes(range(256)) * 1000
    found = client.post("/write?bucket=b%20c", content=data, headers={"Authorization": "Token t"})
    assert (found.status_code, found.content, found.headers["X-Token"]) == (200, data, "Token t")
    assert client.head("/x").content == b""
    assert client.delete("/x").status_code == 200
    assert client.post("/empty").status_code == 400, "the server's own refusal"
    assert done == [
        ("POST", "/write?bucket=b%20c", data), ("HEAD", "/x", b""), ("DELETE", "/x", b""),
        ("POST", "/empty", b""),
    ]  # fmt: skip
    assert faults.seen[0] == Seen("POST", "/write?bucket=b%20c", 200, executed=True)


def test_a_body_in_chunks_arrives_whole(way: Way) -> None:
    _, client, done = way
    assert client.post("/write", content=iter([b"one ", b"two"])).content == b"one two"
    assert done == [("POST", "/write", b"one two")]


def test_a_status_for_some_requests_then_all_pass(way: Way) -> None:
    faults, client, done = way
    faults.answer(429, headers={"Retry-After": "1"}, body=b"slowly", times=2)
    found = [client.post("/write", content=b"x") for _ in range(3)]
    assert [answer.status_code for answer in found] == [429, 429, 200]
    assert (found[0].headers["Retry-After"], found[0].content) == ("1", b"slowly")
    assert len(done) == 1
    assert [(seen.status, seen.executed) for seen in faults.seen] == [
        (429, False), (429, False), (200, True),
    ]  # fmt: skip


def test_a_status_although_it_was_done(way: Way) -> None:
    faults, client, done = way
    faults.answer(504, executed=True)
    assert client.post("/commit", content=b"x").status_code == 504
    assert done == [("POST", "/commit", b"x")]
    assert faults.seen == [Seen("POST", "/commit", 504, executed=True)]


def test_faults_hit_only_what_they_name_the_oldest_first(way: Way) -> None:
    faults, client, _ = way
    faults.answer(409, method="POST", path="/tables/", times=1)
    faults.answer(503, method="POST")
    paths = ["/other", "/tables/a", "/tables/a"]
    assert [client.post(path, content=b"x").status_code for path in paths] == [503, 409, 503]
    assert client.get("/tables/a").status_code == 200
    faults.clear()
    assert client.post("/other", content=b"x").status_code == 200


@pytest.mark.parametrize("executed", [False, True])
def test_a_dropped_connection_before_or_after(way: Way, executed: bool) -> None:
    faults, client, done = way
    faults.drop(executed=executed, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post("/write", content=b"x")
    assert done == ([("POST", "/write", b"x")] if executed else [])
    assert faults.seen == [Seen("POST", "/write", None, executed)]
    assert client.post("/write", content=b"y").content == b"y"


def test_a_slow_answer_is_done_at_once(way: Way) -> None:
    faults, client, done = way
    faults.delay(0.3, times=2)
    began = time.monotonic()
    assert client.post("/write", content=b"x").status_code == 200
    assert 0.3 <= time.monotonic() - began < 2
    with pytest.raises(httpx.ReadTimeout):
        client.post("/write", content=b"y", timeout=0.1)
    assert [body for *_, body in done] == [b"x", b"y"]


def test_half_a_request_is_not_executed(way: Way) -> None:
    faults, client, done = way
    with socket.create_connection((LOOPBACK, client.base_url.port or 0)) as half:
        half.sendall(b"POST /write HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        half.shutdown(socket.SHUT_WR)
        assert half.recv(100) == b""
    assert (done, faults.seen) == ([], [])


def test_a_dead_server_ends_the_connection() -> None:
    with HttpFaults(f"http://{LOOPBACK}:{free_ports(1)[0]}") as faults:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(faults.url, trust_env=False)
        assert faults.seen == [Seen("GET", "/", None, executed=False)]


def test_its_end_waits_for_nobody_and_closes_what_clients_keep() -> None:
    threads = threading.active_count()
    faults = HttpFaults(f"http://{LOOPBACK}:{free_ports(1)[0]}")
    with httpx.Client(base_url=faults.url, trust_env=False) as kept:
        with faults:
            faults.delay(60, path="/slow")
            faults.answer(200)
            assert kept.get("/").status_code == 200
            slow = threading.Thread(target=read_until_it_ends, args=(faults.url + "/slow",))
            slow.start()
            time.sleep(0.1)
            began = time.monotonic()
        slow.join(5)
        while threading.active_count() > threads:
            time.sleep(0.01)
        assert time.monotonic() - began < 2
        with pytest.raises(httpx.ConnectError):
            kept.get("/")


def read_until_it_ends(url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False, timeout=60)
