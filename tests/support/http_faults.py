"""An HTTP proxy on loopback that answers wrongly, late or not at all when a test says so.

    with HttpFaults(server.url) as faults:
        client = Client(faults.url)
        faults.answer(429, headers={"Retry-After": "1"}, times=2)   # then everything passes again
        faults.answer(503, method="POST", path="/api/v2/write")     # until clear()
        faults.drop(executed=True, times=1)      # the server did it, and nobody heard of it
        faults.delay(0.5)
        faults.clear()
        assert [seen.status for seen in faults.seen] == [429, 429, 204]

A fault that is told holds for the requests after it; of several that fit, the oldest counts. The
server's own death shows as it would without a proxy: the connection ends without an answer.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from jobs.local.ports import LOOPBACK

_SERVER_S = 60.0
# of one connection, not of the message; the length is ours
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_NO_BODY = {204, 304}


@dataclass
class Fault:
    """What happens to the requests that it fits, `left` times (None: until cleared).

    status: the answer; None: the server's own. drop: no answer. executed: the server gets it.
    """

    method: str
    path: str
    left: int | None
    executed: bool
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    delay_s: float = 0.0
    drop: bool = False

    def fits(self, method: str, path: str) -> bool:
        """Whether it is for this request, and not used up."""
        return self.left != 0 and self.method in ("", method) and self.path in path


@dataclass(frozen=True)
class Seen:
    """A request that came. status: what the client was answered, None when nothing.

    executed: whether the server got it and answered.
    """

    method: str
    path: str
    status: int | None
    executed: bool


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class HttpFaults:
    """A way to the server at `to`, open from `__enter__` on; methods may be called at any time."""

    def __init__(self, to: str, port: int = 0) -> None:
        """Args: to: as http://127.0.0.1:8086. port: to listen on, 0 means any free one."""
        parts = urlsplit(to)
        self.target = (parts.hostname or LOOPBACK, parts.port or 80)
        self.seen: list[Seen] = []
        """Requests in the order in which they ended."""
        self.ending = threading.Event()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, port), self)
        self._thread = threading.Thread(target=self._serve, name="http faults", daemon=True)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def answer(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        executed: bool = False,
        times: int | None = None,
        method: str = "",
        path: str = "",
    ) -> None:
        """Answer this status. Args: executed: only after the server did what was asked.

        times: for so many requests, None: until `clear`. method, path: only requests of this
        method, with this text in path or query.
        """
        self._add(Fault(method, path, times, executed, status, headers, body))

    def drop(
        self, *, executed: bool, times: int | None = None, method: str = "", path: str = ""
    ) -> None:
        """End the connection without an answer, before or after the server did what was asked."""
        self._add(Fault(method, path, times, executed, drop=True))

    def delay(
        self, seconds: float, *, times: int | None = None, method: str = "", path: str = ""
    ) -> None:
        """The server gets the request at once, its answer comes so much later."""
        self._add(Fault(method, path, times, executed=True, delay_s=seconds))

    def clear(self) -> None:
        """Let everything pass again; who waits in a delay goes on waiting."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault:
        """What is to happen to this request; counts it."""
        with self._lock:
            found = next((fault for fault in self._faults if fault.fits(method, path)), None)
            if found is None:
                return Fault(method, path, None, executed=True)
            if found.left is not None:
                found.left -= 1
            return found

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], faults: HttpFaults) -> None:
        self.faults = faults
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Those that clients keep for later too."""
        for connection in list(self._open):
            _end(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body leave in two pieces
    server: _Server

    def _handle(self) -> None:
        faults = self.server.faults
        body = self._body()
        if body is None:
            self.close_connection = True
            return
        fault = faults.take(self.command, self.path)
        answer = self._execute(body) if fault.executed else None
        executed = answer is not None
        if fault.status is not None and (executed or not fault.executed):
            answer = _Answer(fault.status, list((fault.headers or {}).items()), fault.body)
        if fault.drop:
            answer = None
        faults.ending.wait(fault.delay_s)
        # before the client can know of it, so that who has an answer finds it in the list
        status = answer.status if answer else None
        faults.seen.append(Seen(self.command, self.path, status, executed))
        if answer is None:
            self.close_connection = True
            _end(self.connection)
        else:
            self._reply(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _handle

    def _body(self) -> bytes | None:
        """None when the client went away before its end: half a request is not to be executed."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return self._chunks()
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        return body if len(body) == length else None

    def _chunks(self) -> bytes | None:
        body = b""
        while size := self.rfile.readline().split(b";")[0].strip():
            length = int(size, 16)
            chunk = self.rfile.read(length)
            if len(chunk) < length or not self.rfile.readline():
                return None
            if not length:
                return body
            body += chunk
        return None

    def _execute(self, body: bytes) -> _Answer | None:
        """The server's answer, None when there was none; each request has its own connection."""
        connection = http.client.HTTPConnection(*self.server.faults.target, timeout=_SERVER_S)
        headers = dict(_passing(self.headers.items()))
        try:
            connection.request(self.command, self.path, body or None, headers)
            found = connection.getresponse()
            return _Answer(found.status, _passing(found.getheaders()), found.read())
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _reply(self, answer: _Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status not in _NO_BODY:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD" and answer.status not in _NO_BODY:
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test looks at `seen`."""


def _passing(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP]


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was faster
