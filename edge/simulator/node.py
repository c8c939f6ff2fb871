"""One simulated gateway's machines as a Sparkplug edge node: births, numbers, what is on its way.

Nothing here touches a socket. A message gets its number when it is sent, so what a lost connection
took back goes out again after the new births, in its order and with new numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from edge.simulator.devices import Devices, Message
from edge.sparkplug.encode import node_birth, node_death

NUMBERS = 256  # of messages and of sessions: 0 to 255, then 0 again

Publish = Callable[[str, bytes], int]  # topic, payload; returns the number that is acknowledged


class EdgeNode:
    """The state of one edge node; `publish` is how it sends while it is connected."""

    def __init__(self, devices: Devices, in_flight: int) -> None:
        """Args: in_flight: messages that may wait for an acknowledgement."""
        self.devices = devices
        self.announced = False  # its births were acknowledged, in whatever session
        self.held_bytes = 0  # of all that waits or is not acknowledged
        self._in_flight = in_flight
        self._waiting: deque[Message] = deque()
        self._open: dict[int, Message | None] = {}  # as sent; None: needs no repeat
        self._births_due = True
        self._sequence = self._session = -1

    @property
    def unacknowledged(self) -> int:
        """Messages that wait, or that the broker has not acknowledged."""
        return len(self._waiting) + sum(message is not None for message in self._open.values())

    def begin(self) -> bytes:
        """A new session begins: all that is open goes out again. Returns: its will, the NDEATH."""
        again = [message for message in self._open.values() if message is not None]
        self._waiting.extendleft(reversed(again))
        self._open.clear()
        self._session = (self._session + 1) % NUMBERS
        self._births_due = True
        return node_death(self._session)

    def take(self, messages: Iterable[Message]) -> None:
        """More to send, in order."""
        for message in messages:
            self._waiting.append(message)
            self.held_bytes += message.nbytes

    def rebirth(self) -> None:
        """Somebody asks for the births; they go out before the next message."""
        self._births_due = True

    def pump(self, publish: Publish, now_ms: int) -> None:
        """Send what may be sent: births that are due, then messages while there is room.

        Args: now_ms: UTC epoch ms.
        """
        if self._births_due:
            self._bear(publish, now_ms)
        while self._waiting and len(self._open) < self._in_flight:
            message = self._waiting.popleft()
            payload = self.devices.data(message, self._next())
            topic = self.devices.topic("DDATA", message.line)
            self._open[publish(topic, payload)] = message
            if message.twice:
                self._open[publish(topic, payload)] = None

    def acknowledge(self, number: int) -> None:
        """The broker has what was published under that number."""
        message = self._open.pop(number, None)
        if message is not None:
            self.held_bytes -= message.nbytes
        self.announced = self.announced or not (self._births_due or self._open)

    def end(self, publish: Publish) -> None:
        """Say that it goes, as its will would."""
        publish(self.devices.topic("NDEATH"), node_death(self._session))

    def _bear(self, publish: Publish, now_ms: int) -> None:
        self._births_due, self._sequence = False, -1
        birth = node_birth(now_ms, self._session, self._next())
        self._open[publish(self.devices.topic("NBIRTH"), birth)] = None
        for line in range(len(self.devices)):
            birth = self.devices.birth(line, self._next(), now_ms)
            self._open[publish(self.devices.topic("DBIRTH", line), birth)] = None

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) % NUMBERS
        return self._sequence
