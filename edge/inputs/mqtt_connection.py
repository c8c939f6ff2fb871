"""One connection to an MQTT broker, from CONNECT to its end.

Each connection has a client of its own: message numbers are given anew by the broker, so a receipt
of a former connection must not acknowledge anything on this one; it acknowledges into the void.
All calls are made by one thread; only `acknowledge`, through receipts, comes from another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge import tls
from edge.block import Receipt
from edge.errors import EdgeError
from edge.settings import MqttSettings
from edge.timings import Timings

_KEEPALIVE_S = 30
_CONNECT_S = 5.0
# what the broker retains is sent at the first subscription only, not at each connection
_RETAINED_ONCE = 1

Take = Callable[[MQTTMessage, Receipt], None]


class Connection:
    """A connection that is being made, is up, or has ended; never used again after its end."""

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        topics: Sequence[str],
        take: Take,
        acks: Timings,
    ) -> None:
        """Args: acks: where it is noted how long an acknowledgement took.

        Raises: EdgeError: certificates or the password file cannot be used.
        """
        self._settings, self._topics, self._take = settings, topics, take
        self._acks = acks
        self._acknowledged: deque[tuple[int, float]] = deque()  # number, when it came
        self._open: dict[int, object] = {}  # number of what was published -> what for
        self.ready = False  # the broker accepted us, and what we subscribe to
        self.session_kept = False  # the broker still had our session
        self.problem = ""  # why it ended, or what it lacks
        self._client = self._make(client_id)

    def open(self) -> None:
        """Connect. Raises: OSError: the broker cannot be reached."""
        where = (self._settings.host, self._settings.port, _KEEPALIVE_S)
        if self._settings.protocol == "5":
            self._client.connect(*where, clean_start=False, properties=self._properties())
        else:
            self._client.connect(*where)

    def serve(self, wait_s: float) -> bool:
        """Acknowledge, read and write; wait for that long at most. Returns: whether it is up."""
        while self._acknowledged:
            number, came_s = self._acknowledged.popleft()
            self._client.ack(number, 1)
            self._acks.note(time.monotonic() - came_s)
        code = self._client.loop(wait_s)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.ready = False
            self.problem = self.problem or f"connection lost: {code.name}"
        return code == MQTTErrorCode.MQTT_ERR_SUCCESS

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool, item: object) -> None:
        """Send a message; `item` stands for it in `unconfirmed`."""
        sent = self._client.publish(topic, payload, qos, retain)
        self._open[sent.mid] = item

    @property
    def unconfirmed(self) -> list[Any]:
        """What was published and not confirmed yet, in order."""
        return list(self._open.values())

    def close(self) -> None:
        """Say goodbye; the broker keeps the session."""
        self._client.disconnect()
        self._client.loop(0)
        self.ready = False

    def _make(self, client_id: str) -> Client:
        settings = self._settings
        fifth = settings.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if fifth else False,
            protocol=MQTTv5 if fifth else MQTTv311,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_S
        if settings.username is not None:
            client.username_pw_set(settings.username, _password(settings.password_file))
        if settings.tls is not None:
            client.tls_set_context(tls.context(settings.tls))
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    def _properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.ReceiveMaximum = self._settings.receive_maximum
        return properties

    def _on_connect(
        self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            self.problem = f"refused: {code}"
            return
        self.session_kept = flags.session_present
        client.subscribe([self._subscription(topic) for topic in self._topics])

    def _subscription(self, topic: str) -> tuple[str, Any]:
        if self._settings.protocol == "5":
            return topic, SubscribeOptions(qos=1, noLocal=True, retainHandling=_RETAINED_ONCE)
        return topic, 1

    def _on_subscribe(
        self, client: Client, data: Any, mid: int, codes: list[ReasonCode], properties: Any
    ) -> None:
        self.ready = True
        answers = zip(self._topics, codes, strict=False)
        refused = [topic for topic, code in answers if code.is_failure]
        if refused:
            self.problem = f"the broker refuses subscriptions: {', '.join(refused)}"

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        key = (message.mid, time.monotonic())
        give = partial(self._acknowledged.append, key) if message.qos else _nothing
        self._take(message, Receipt(give))

    def _on_publish(
        self, client: Client, data: Any, mid: int, code: ReasonCode, properties: Any
    ) -> None:
        self._open.pop(mid, None)

    def _on_disconnect(
        self, client: Client, data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            self.problem = self.problem or f"connection lost: {code}"


def _password(path: Path | None) -> str | None:
    """Read at each connection: it may change."""
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeError(f"{path}: the password cannot be read: {error}") from None


def _nothing() -> None:
    """QoS 0 owes nothing."""
