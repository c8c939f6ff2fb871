"""The server itself: a real socket, every path, and clients that misbehave."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import edge.web
from edge.errors import EdgeError
from edge.settings import HttpSettings
from edge.status import Status
from edge.web.server import MAX_SHOWN, Web, status_json
from tests.edge.web.samples import alarms, status
from tests.edge.web.test_alarms import alert

FOLDER = Path(edge.web.__file__).parent
SETTINGS = HttpSettings(port=0)


class Gateway:
    """A status that a test may change, and a server that shows it."""

    def __init__(self) -> None:
        self.status: Status | Exception = status()
        self.web = Web(SETTINGS, self._look)

    def _look(self) -> Status:
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> tuple[int, dict]:
        code, _, body = self.ask(path)
        return code, json.loads(body)


@pytest.fixture(scope="module")
def running() -> Iterator[Gateway]:
    made = Gateway()
    made.web.start()
    yield made
    made.web.stop()


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    running.status = status()
    return running


def test_the_page_needs_no_other_file_and_lets_nothing_in(gateway: Gateway) -> None:
    code, headers, body = gateway.ask("/")
    text = body.decode()
    assert (code, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!/|data:)", text) and "@import" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"


def test_the_policy_admits_exactly_what_is_in_the_page(gateway: Gateway) -> None:
    _, headers, body = gateway.ask("/")
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in headers["Content-Security-Policy"]


def test_the_script_makes_text_of_all_text() -> None:
    script = (FOLDER / "page.js").read_text()
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)


def test_the_script_runs(tmp_path: Path) -> None:
    """In a document of a few lines: every part of the page is filled, texts as they are."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH")
    evil = "<img src=x onerror=alert(1)>"
    made = status(alarms=alarms(alert(1, evil, severity="critical")))
    (tmp_path / "status.json").write_text(json.dumps(status_json(made)))
    stub = Path(__file__).with_name("document.js")
    done = subprocess.run(
        [node, str(stub), str(FOLDER / "page.js"), str(tmp_path / "status.json")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert page["name"] == "plant-07 / gw-1" and page["title"] == "(1) plant-07 / gw-1"
    assert page["headline"] == "1 alarm (1 critical). This gateway is in order."
    assert f"critical | pump-1: {evil} | {evil} is at 1.5 m3/h" in page["firing"]
    assert "in order | Cloud | Connected for 3 h 0 min." in page["cards"]
    assert page["stale"].startswith("The gateway does not answer since ")


def test_status_is_data_and_words(gateway: Gateway) -> None:
    gateway.status = status(alarms=alarms())
    code, found = gateway.json("/status.json")
    assert code == 200
    assert found["summary"]["headline"].startswith("2 alarms (1 critical")
    assert found["spool"]["hours_left"] == 31.4 and found["uplink"]["connection"]["connected"]
    assert found["alarms"]["by_severity"] == {"critical": 1, "warning": 1, "info": 0}


def test_alarms(gateway: Gateway) -> None:
    gateway.status = status(alarms=alarms(*(alert(n, f"s{n}") for n in range(MAX_SHOWN + 50))))
    _, found = gateway.json("/alarms.json")
    assert (found["count"], len(found["firing"])) == (MAX_SHOWN + 50, MAX_SHOWN)
    assert found["firing"][0]["subject"] == f"s{MAX_SHOWN + 49}"


def test_alive_and_ready(gateway: Gateway) -> None:
    for path in ("/healthz", "/readyz"):
        assert gateway.json(path) == (200, {"ok": True, "reasons": []})


def test_a_thread_that_hangs_is_not_alive(gateway: Gateway) -> None:
    gateway.status = status(idle_s={"pipeline": 61.0, "uplink": 0.1})
    reason = "pipeline has not moved for 61 s; at most 60 s"
    assert gateway.json("/healthz") == (503, {"ok": False, "reasons": [reason]})
    assert gateway.json("/readyz")[0] == 503


def test_a_failed_spool_is_not_alive(gateway: Gateway) -> None:
    gateway.status = status(spool=replace(status().spool, failed="ENOSPC"))
    assert gateway.json("/healthz")[1]["reasons"] == ["the spool has failed: ENOSPC"]


def test_without_a_cloud_it_is_alive_and_ready(gateway: Gateway) -> None:
    uplink = status().uplink
    gateway.status = status(
        uplink=replace(uplink, connection=replace(uplink.connection, connected=False))
    )
    assert gateway.json("/healthz")[0] == gateway.json("/readyz")[0] == 200


def test_recovering_or_without_an_input_it_is_alive_but_not_ready(gateway: Gateway) -> None:
    first, *rest = status().inputs
    away = replace(first, connection=replace(first.connection, connected=False))
    gateway.status = status(recovered=False, inputs=(away, *rest))
    assert gateway.json("/healthz")[0] == 200
    assert gateway.json("/readyz") == (503, {"ok": False, "reasons": [
        "what the spool held at start is still being taken in", "input mqtt is not connected",
    ]})  # fmt: skip


def test_metrics(gateway: Gateway) -> None:
    code, headers, body = gateway.ask("/metrics")
    assert code == 200 and headers["Content-Type"].startswith("text/plain; version=")
    assert b'hardiot_edge_batches_total{facility="plant-07",gateway="gw-1"} 9123.0' in body
    assert b"process_resident_memory_bytes" in body


def test_other_paths_and_methods(gateway: Gateway) -> None:
    code, _, body = gateway.ask("/etc/passwd")
    assert code == 404 and b"/alarms.json" in body
    assert gateway.ask("/healthz?probe=1")[0] == 200
    assert gateway.ask("/", "POST")[0] == 501
    code, headers, body = gateway.ask("/", "HEAD")
    assert (code, body) == (200, b"") and int(headers["Content-Length"]) > 5000


def test_a_mistake_of_ours_stops_nothing(gateway: Gateway) -> None:
    gateway.status = RuntimeError("no status")
    with pytest.raises(http.client.RemoteDisconnected):
        gateway.ask("/status.json")
    gateway.status = status()
    assert gateway.ask("/healthz")[0] == 200


def test_clients_that_do_not_speak_are_bounded() -> None:
    web = Web(SETTINGS, status)
    web.start()
    mute = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(40)]
    try:
        # sixteen are waited for, the others were closed at once
        closed = 0
        for each in mute[16:]:
            each.settimeout(2)
            closed += each.recv(1) == b""
        assert closed == 24
    finally:
        for each in mute:
            each.close()
        web.stop()


def test_an_address_that_is_taken_is_said(gateway: Gateway) -> None:
    with pytest.raises(EdgeError, match=r"http: cannot listen on 127.0.0.1:\d+: .*set another"):
        Web(HttpSettings(port=gateway.web.port), status).start()


def test_it_can_be_stopped_twice() -> None:
    web = Web(SETTINGS, status)
    web.stop()
    web.start()
    assert web.port > 0
    web.stop()
    web.stop()
