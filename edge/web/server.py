"""HTTP on site: a page for people, JSON, health checks and metrics. It reads and never changes.

    /              one page, no other files; it works on a phone and without internet
    /status.json   the status, as data and in plain words
    /alarms.json   what fires now, and the last events
    /healthz       200: alive. 503: a restart would help, with the reasons
    /readyz        200: readings are taken in. 503: not now, with the reasons
    /metrics       Prometheus

Listen on loopback, or on a network where everybody may read it: there is no log-in.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from edge.alarms import Alarms
from edge.errors import EdgeError
from edge.metrics import registry_of
from edge.settings import HttpSettings
from edge.status import Status
from edge.web import health, page
from edge.web.words import summarise

log = structlog.get_logger()

MAX_SHOWN = 200  # alarms in one answer; a phone cannot show more, and the numbers are complete
_MAX_REQUESTS = 16
_PATIENCE_S = 10  # for a client that does not speak or listen

Answer = tuple[HTTPStatus, str, bytes]


class Web:
    """The HTTP server of one gateway. Threads of it call `status`, several at a time."""

    def __init__(self, settings: HttpSettings, status: Callable[[], Status]) -> None:
        self._settings = settings
        self._pages = Pages(status)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen. Raises: EdgeError: the address is taken or not ours."""
        host, port = self._settings.host, self._settings.port
        try:
            self._server = _Server((host, port), self._pages)
        except OSError as error:
            raise EdgeError(
                f"http: cannot listen on {host}:{port}: {error.strerror}; set another http.port"
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on; also right when the settings say 0."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    @property
    def address(self) -> str:
        """Where the page is, for a person."""
        return f"http://{self._settings.host}:{self.port}"

    def stop(self) -> None:
        """Stop listening; answers under way may end."""
        if self._server and self._thread:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


class Pages:
    """What is answered to each path."""

    def __init__(self, status: Callable[[], Status]) -> None:
        self._status = status
        self._registry = registry_of(status)
        self._page = page.build()
        self._answers: dict[str, Callable[[], Answer]] = {
            "/": self._html,
            "/status.json": lambda: _json(status_json(status())),
            "/alarms.json": lambda: _json(alarms_json(status())),
            "/healthz": lambda: _verdict(health.not_alive(status())),
            "/readyz": lambda: _verdict(health.not_ready(status())),
            "/metrics": self._metrics,
        }
        self.policy = self._page.policy

    def answer(self, path: str) -> Answer:
        """Status, content type and body."""
        found = self._answers.get(path.partition("?")[0])
        if found is None:
            paths = " ".join(self._answers)
            return HTTPStatus.NOT_FOUND, "text/plain", f"not here; there is {paths}\n".encode()
        return found()

    def _html(self) -> Answer:
        return HTTPStatus.OK, "text/html", self._page.html

    def _metrics(self) -> Answer:
        return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self._registry)


def status_json(status: Status) -> dict[str, Any]:
    """The status as data, and `summary`: the same in words."""
    found = asdict(replace(status, alarms=Alarms()))  # thousands of alarms are not copied for ten
    return {**found, "alarms": _alarms(status, events=10), "summary": asdict(summarise(status))}


def alarms_json(status: Status) -> dict[str, Any]:
    """What fires now, worst first, and the last events, newest first."""
    who = {"facility": status.facility, "gateway": status.gateway, "now_ms": status.now_ms}
    return who | _alarms(status, events=len(status.alarms.events))


def _alarms(status: Status, events: int) -> dict[str, Any]:
    alarms = status.alarms
    return {
        "count": alarms.count,
        "by_severity": dict(alarms.by_severity),
        "firing": [asdict(event) for event in alarms.firing[:MAX_SHOWN]],
        "events": [asdict(event) for event in alarms.events[:events]],
    }


def _json(value: Any, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    return code, "application/json", json.dumps(value, ensure_ascii=False).encode()


def _verdict(reasons: list[str]) -> Answer:
    code = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
    return _json({"ok": not reasons, "reasons": reasons}, code)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], pages: Pages) -> None:
        self.pages = pages
        self._free = threading.BoundedSemaphore(_MAX_REQUESTS)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer asks the DNS for its own name, which hangs where there is no network
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve it in a thread of its own, unless too many are there."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or a mistake of ours: neither stops the server."""
        log.warning("http_request_failed", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "hardiot", ""
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        code, kind, body = self.server.pages.answer(self.path)
        self.send_response(code)
        charset = "" if ";" in kind else "; charset=utf-8"
        headers = {
            "Content-Type": kind + charset,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": self.server.pages.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a page that refreshes itself would fill the log."""
