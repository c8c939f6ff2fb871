"""Readings from an MQTT broker, and messages to it: one thread, a session that outlives it.

    mqtt = MqttInput(settings, "plant-07", "gw-1", registry, folder, inbox)
    mqtt.start()
    mqtt.publish("hardiot/plant-07/gw-1/alarms", payload)
    mqtt.stop()

A message is acknowledged (PUBACK) when its receipt is given: the broker holds what is not, and
sends it again to the next connection. Acknowledgements go out as receipts are given, and so not
always in the order of the messages, as the standard wants it: one message with a time far ahead
would hold up all others. Brokers find them by their number.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import structlog
from paho.mqtt.client import MQTTMessage

from edge import tls
from edge.block import Receipt
from edge.errors import EdgeError
from edge.inputs.json_topics import JsonTopics
from edge.inputs.mapping import read_mapping
from edge.inputs.mqtt_connection import Connection
from edge.inputs.result import Inbox, Refused, Result
from edge.inputs.sparkplug import SparkplugInput
from edge.inputs.sparkplug_message import PREFIX
from edge.registry import Registry
from edge.settings import MqttSettings
from edge.timings import Timings

log = structlog.get_logger()

_WAIT_S = 0.02  # the longest that an acknowledgement waits for a message to come
_SAVE_S = 0.05  # births come in bursts: one file for all,
_SAVE_SHARE = 0.1  # and of this thread's time not more than so much for it
_FIRST_RETRY_S, _LAST_RETRY_S = 0.25, 15.0
_LOOK_S = 10.0  # between two looks at the files of certificates
_MAX_OUTBOX = 10_000
_MAX_OPEN = 20
_STOP_S = 10.0


class _Outgoing(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class MqttInput:
    """The MQTT input. Its attributes are for metrics and the page, read from any thread.

    connected: there is a connection, and it is subscribed. problem: why not, or what is missing.
    messages, bytes, readings: received. refused: by reason. reconnects: after the first connection.
    publishes_dropped: the oldest of those that waited, when too many did. acks: from a message's
    arrival to its acknowledgement.
    """

    def __init__(
        self,
        settings: MqttSettings,
        facility: str,
        gateway: str,
        registry: Registry,
        folder: Path,
        inbox: Inbox,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Args: folder: for births.json. inbox: takes a result, waits while it is full.

        Raises: EdgeError: the mapping, a certificate or the password file cannot be used.
        """
        self._settings, self._inbox, self._now_ms = settings, inbox, now_ms
        self._client_id = settings.client_id or f"hardiot-{facility}-{gateway}"
        self.sparkplug = SparkplugInput(registry, self._command, folder, settings.sensor_name)
        mapping = settings.json_mapping
        self._json = None if mapping is None else JsonTopics(read_mapping(mapping), registry)
        self._topics = [*settings.sparkplug, *(self._json.subscriptions if self._json else ())]
        if not self._topics:
            raise EdgeError("mqtt: nothing to subscribe to; set sparkplug or json_mapping")
        self.acks = Timings()
        self._connection = self._make()  # wrong files are said at the start, not at every retry
        self._outbox: deque[_Outgoing] = deque()
        self._owed: list[Receipt] = []  # for births that are not on disk yet
        self._save_at_s = 0.0
        self._save_wait_s = _SAVE_S
        self._stop = Event()
        self._thread = Thread(target=self._run, name="mqtt", daemon=True)
        self._watch: tls.Watch | None = None
        self.connected = False
        self.problem = ""
        self.messages = self.bytes = self.readings = self.connections = 0
        self.publishes_dropped = 0
        self.refused: Counter[str] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """gaps, missing, rebirths, births, deaths, stale_deaths: of Sparkplug."""
        return self.sparkplug.counts

    @property
    def reconnects(self) -> int:
        """Connections after the first one."""
        return max(self.connections - 1, 0)

    @property
    def certificate_expires_ms(self) -> int | None:
        """When the own certificate ends, UTC epoch ms; None without one."""
        return self._watch.expires_ms() if self._watch else None

    @property
    def alive(self) -> bool:
        """Whether its thread runs; False after `start` means a bug: nothing more will come."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Read what births said, then connect, in a thread of its own, for as long as it takes."""
        self.sparkplug.load()
        self._thread.start()

    def stop(self) -> None:
        """Disconnect. What is not acknowledged comes again at the next start."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Send a message as soon as there is a connection. Any thread may call."""
        if len(self._outbox) >= _MAX_OUTBOX:
            self._outbox.popleft()
            self.publishes_dropped += 1
        self._outbox.append(_Outgoing(topic, payload, qos, retain))

    def _command(self, topic: str, payload: bytes) -> None:
        self.publish(topic, payload, qos=0)

    # -- the thread

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                self._connection = self._make()
                self._connection.open()
                self._serve()
            except (OSError, EdgeError) as error:
                self.problem = tls.explain(error)
            if self.connected:
                self.connected, retry_s = False, _FIRST_RETRY_S
            if not self._stop.is_set():
                self._note_end(retry_s)
                self._stop.wait(retry_s)
                retry_s = min(retry_s * 2, _LAST_RETRY_S)

    def _make(self) -> Connection:
        return Connection(self._settings, self._client_id, self._topics, self._take, self.acks)

    def _serve(self) -> None:
        """From CONNECT to the end of the connection."""
        connection = self._connection
        watch = self._watch = None if self._settings.tls is None else tls.Watch(self._settings.tls)
        look_s = time.monotonic() + _LOOK_S
        try:
            while not self._stop.is_set() and connection.serve(_WAIT_S):
                if connection.ready:
                    self._note_ready()
                    self._send()
                self._save_if_due()
                if watch is not None and time.monotonic() > look_s:
                    look_s = time.monotonic() + _LOOK_S
                    if watch.changed():
                        log.info("mqtt_certificates_changed")
                        break
        finally:
            self._owed.clear()  # not acknowledged: they come again
            self._outbox.extendleft(reversed(connection.unconfirmed))
            self.problem = connection.problem
            connection.close()

    def _note_ready(self) -> None:
        if not self.connected:
            self.connected = True
            self.connections += 1
            kept = self._connection.session_kept
            log.info("mqtt_connected", broker=self._where, session_kept=kept)
        self.problem = self._connection.problem

    def _note_end(self, retry_s: float) -> None:
        log.warning("mqtt_away", broker=self._where, problem=self.problem, retry_s=retry_s)

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _send(self) -> None:
        while self._outbox and len(self._connection.unconfirmed) < _MAX_OPEN:
            item = self._outbox.popleft()
            self._connection.publish(*item, item)

    # -- messages

    def _take(self, message: MQTTMessage, receipt: Receipt) -> None:
        births = self.counts["births"]
        result = self._read(message, receipt)
        if self.sparkplug.unsaved and self.counts["births"] > births:
            receipt.hold()
            if not self._owed:
                self._save_at_s = max(self._save_at_s, time.monotonic() + self._save_wait_s)
            self._owed.append(receipt)
        self._inbox(result)

    def _read(self, message: MQTTMessage, receipt: Receipt) -> Result:
        payload = bytes(message.payload)
        self.messages += 1
        self.bytes += len(payload)
        result = self._decode(message, payload, receipt)
        self.readings += sum(len(block) for block in result.blocks)
        for refused in result.refused:
            self.refused[refused.reason] += 1
        return result

    def _decode(self, message: MQTTMessage, payload: bytes, receipt: Receipt) -> Result:
        now_ms = self._now_ms()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            receipt.hold()
            return Result([], [Refused("bad_topic", "it is not UTF-8", "", payload)], receipt)
        if self._json is None or topic.startswith(PREFIX + "/"):
            return self.sparkplug.on_message(topic, payload, now_ms, receipt, message.dup)
        return self._json.on_message(topic, payload, now_ms, receipt, message.retain)

    def _save_if_due(self) -> None:
        """Put births on disk; the pipeline releases their receipts, as it does all others."""
        if not self.sparkplug.unsaved or time.monotonic() < self._save_at_s:
            return
        began_s = time.monotonic()
        try:
            self.sparkplug.save()
        except OSError as error:
            log.error("births_not_saved", error=str(error), retry_s=_LAST_RETRY_S)
            self.counts["births_not_saved"] += 1
            self._save_at_s = time.monotonic() + _LAST_RETRY_S
            return
        self._save_wait_s = max(_SAVE_S, (time.monotonic() - began_s) / _SAVE_SHARE)
        owed, self._owed = self._owed, []
        for receipt in owed:
            self._inbox(Result(receipt=receipt))
