"""Inputs as the gateway runs and shows them, whatever they speak."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from edge.inputs.mqtt import MqttInput
from edge.status import Connection, InputStatus

if TYPE_CHECKING:  # asyncua is there only where it is needed
    from edge.inputs.opcua import OpcUaInput

_MINUTE_S = 60.0
_SAMPLE_S = 2.0


class Source(Protocol):
    """An input with a thread of its own."""

    def start(self) -> None:
        """Begin to hand results to the inbox."""

    def stop(self) -> None:
        """Hand over nothing more."""

    def status(self, now_ms: int) -> InputStatus:
        """How it goes; `now_ms` is the wall clock."""


class Rate:
    """Mean of a count over the last minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=round(_MINUTE_S / _SAMPLE_S) + 1)

    def of(self, count: int) -> float:
        """Per second, by the monotonic clock."""
        now_s = time.monotonic()
        if not self._samples or now_s - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now_s, count))
        since_s, before = self._samples[0]
        return (count - before) / (now_s - since_s) if now_s > since_s else 0.0


class Since:
    """When a connection changed last."""

    def __init__(self) -> None:
        self._connected: bool | None = None
        self._since_ms = 0

    def of(self, connected: bool, now_ms: int) -> int:
        """UTC epoch ms; of the first look before the first change."""
        if connected is not self._connected:
            self._connected, self._since_ms = connected, now_ms
        return self._since_ms


class MqttSource:
    """An MQTT broker. Its readings are counted by whoever takes them out of the inbox."""

    def __init__(self, mqtt: MqttInput) -> None:
        self._mqtt = mqtt
        self._rate, self._since = Rate(), Since()
        self.start, self.stop = mqtt.start, mqtt.stop

    def status(self, now_ms: int) -> InputStatus:
        """How it goes."""
        mqtt = self._mqtt
        connected = mqtt.connected and mqtt.alive
        return InputStatus(
            Connection(
                "mqtt",
                connected,
                self._since.of(connected, now_ms),
                mqtt.problem,
                mqtt.certificate_expires_ms,
            ),
            readings=mqtt.readings,
            readings_per_s=self._rate.of(mqtt.readings),
            rebirths=mqtt.counts["rebirths"],
            sequence_gaps=mqtt.counts["gaps"],
            acks=mqtt.acks.durations(),
        )


class OpcUaSource:
    """An OPC UA server."""

    def __init__(self, name: str, opcua: OpcUaInput) -> None:
        self._name, self._opcua = name, opcua
        self._rate, self._since = Rate(), Since()
        self.start = opcua.start

    def stop(self) -> None:
        """Hand over nothing more."""
        self._opcua.stop()

    def status(self, now_ms: int) -> InputStatus:
        """How it goes."""
        found = self._opcua.status
        problem = found.problem or "; ".join(f"{n}: {why}" for n, why in found.nodes.items())
        since_ms = self._since.of(found.connected, now_ms)
        return InputStatus(
            Connection(self._name, found.connected, since_ms, problem),
            readings=found.readings,
            readings_per_s=self._rate.of(found.readings),
        )
