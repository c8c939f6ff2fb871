"""One edge node's connection to the broker, without a thread: paho makes and reads the packets.

A client lives for one session, so the library holds nothing back for a later one: what goes out
again, and in which order, `EdgeNode` decides.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import EdgeError
from edge.simulator.devices import asks_rebirth
from edge.simulator.node import EdgeNode
from edge.simulator.settings import BrokerSettings

_CONNECT_S = 2.0  # the longest that one try takes
_GOODBYE_S = 1.0  # the longest that a broker which reads no more is waited for
_KEEPALIVE_S = 30
_CHORES_S = 1.0  # how often the keep-alive is looked at
_WRONG = {132: "MQTT 3.1.1", 133: "the client id", 134: "user or password", 135: "the login"}


class Connection:
    """Carries one node's messages. Callers wait on the selector, then call `handle` and `work`."""

    def __init__(
        self,
        node: EdgeNode,
        settings: BrokerSettings,
        password: str | None,
        selector: selectors.BaseSelector,
    ) -> None:
        self.node = node
        self._settings = settings
        self._password = password
        self._selector = selector
        self._client: Client | None = None
        self._socket: socket.socket | None = None
        self._ready = False  # the broker has accepted the session
        self._lost = False
        self._refused = ""
        self._events = selectors.EVENT_READ
        self._chores_at_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return self._client is not None

    def open(self) -> None:
        """Begin a session. Raises: OSError: the broker is not there."""
        settings, node = self._settings, self.node
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"machines-{node.devices.group}-{node.devices.node}",
        )
        client.username_pw_set(settings.username, self._password)
        client.will_set(node.devices.topic("NDEATH"), node.begin(), qos=1)
        client.max_inflight_messages_set(0)  # the node counts them itself
        client.connect_timeout = _CONNECT_S
        client.on_socket_open, client.on_socket_close = self._opened, self._closed
        client.on_connect, client.on_disconnect = self._connected, self._disconnected
        client.on_publish, client.on_message = self._acknowledged, self._commanded
        self._ready = self._lost = False
        client.connect(settings.host, settings.port, _KEEPALIVE_S)
        self._client = client

    def handle(self, events: int) -> None:
        """Read and write what the socket is ready for."""
        if self._client and events & selectors.EVENT_READ:
            self._client.loop_read()
        if self._client and events & selectors.EVENT_WRITE:
            self._client.loop_write()

    def work(self) -> None:
        """Send what may be sent. Raises: EdgeError: the broker refuses."""
        if self._refused:
            raise EdgeError(self._refused)
        if self._client and self._ready:
            self.node.pump(self._publish, time.time_ns() // 1_000_000)
        self._do_chores()
        if self._lost:
            self._client, self._ready = None, False
        elif self._client and self._socket:
            self._want_events(self._client, self._socket)

    def close(self) -> None:
        """Say goodbye, as far as there is somebody to say it to."""
        if self._client and self._ready:
            self.node.end(self._publish)
            self._client.disconnect()
            end_s = time.monotonic() + _GOODBYE_S
            while self._client.want_write() and time.monotonic() < end_s:
                time.sleep(0.01)
                self._client.loop_write()
        self._client = None

    def _publish(self, topic: str, payload: bytes) -> int:
        """Once the connection is lost it goes nowhere; a new session sends it again."""
        assert self._client
        return self._client.publish(topic, payload, qos=1).mid

    def _do_chores(self) -> None:
        if self._client and time.monotonic() >= self._chores_at_s:
            self._chores_at_s = time.monotonic() + _CHORES_S
            self._client.loop_misc()

    def _want_events(self, client: Client, sock: socket.socket) -> None:
        """Wait for room to write only while there is something to write."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        if events != self._events:
            self._events = events
            self._selector.modify(sock, events, self)

    # --- called by the client, inside `handle` and `work` ---------------------------------------

    def _opened(self, client: Client, userdata: Any, sock: Any) -> None:
        # each message leaves at once, not when the kernel at the other end has answered the last
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._events = sock, selectors.EVENT_READ
        self._selector.register(sock, self._events, self)

    def _closed(self, client: Client, userdata: Any, sock: Any) -> None:
        self._socket = None
        self._selector.unregister(sock)

    def _connected(
        self,
        client: Client,
        userdata: Any,
        flags: Any,
        reason: ReasonCode,
        props: Properties | None,
    ) -> None:
        if reason.is_failure:
            if reason.value in _WRONG:
                where = f"{self._settings.host}:{self._settings.port}"
                self._refused = (
                    f"{where}: the MQTT broker refuses {_WRONG[reason.value]}: {reason}; "
                    "see username and password_file"
                )
            return
        client.subscribe(self.node.devices.topic("NCMD"), qos=1)
        self._ready = True

    def _disconnected(self, client: Client, *details: Any) -> None:
        self._lost = True

    def _acknowledged(self, client: Client, userdata: Any, mid: int, *details: Any) -> None:
        self.node.acknowledge(mid)

    def _commanded(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        if asks_rebirth(bytes(message.payload)):
            self.node.rebirth()
