"""Between broker and gateway: passes every byte on, and knows which messages were acknowledged.

Both directions go through it, so a PUBACK that it has not seen cannot be at the broker.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

from jobs.local.ports import LOOPBACK

PUBLISH, PUBACK = 3, 4
_TIMESTAMP = 0x08  # field 1 of a Sparkplug payload, a varint
_DATA = b"/DDATA/"


class Tap:
    """A proxy on a port of its own.

    broker: its port. acknowledged: event times (ms) of data messages whose PUBACK went by.
    """

    def __init__(self, broker: int) -> None:
        self.broker = broker
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.acknowledged: list[int] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Take no connection more; those that are open end with the gateway."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                gateway, _ = self._listener.accept()
                broker = socket.create_connection((LOOPBACK, self.broker))
                open_: dict[int, int | None] = {}
                for source, sink, look in (
                    (broker, gateway, self._published),
                    (gateway, broker, self._answered),
                ):
                    arguments = (source, sink, look, open_)
                    threading.Thread(target=self._pass, args=arguments, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, look, open_) -> None:
        """Bytes are looked at before they are passed on."""
        packets = _Packets()
        with suppress(OSError):
            while data := source.recv(1 << 18):
                for kind, flags, body in packets.feed(data):
                    look(kind, flags, body, open_)
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _published(self, kind: int, flags: int, body: memoryview, open_) -> None:
        if kind != PUBLISH or not flags & 0b0110:
            return
        length = int.from_bytes(body[:2], "big")
        topic = bytes(body[2 : 2 + length])
        number = int.from_bytes(body[2 + length : 4 + length], "big")
        properties, begin = _varint(body, 4 + length)
        payload = body[begin + properties :]
        is_data = _DATA in topic and payload[0] == _TIMESTAMP
        open_[number] = _varint(payload, 1)[0] if is_data else None

    def _answered(self, kind: int, flags: int, body: memoryview, open_) -> None:
        if kind != PUBACK:
            return
        at_ms = open_.pop(int.from_bytes(body[:2], "big"), None)
        if at_ms is not None:
            self.acknowledged.append(at_ms)


class _Packets:
    """Cuts a stream of bytes into MQTT packets."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, memoryview]]:
        """(kind, flags, body) of each packet that is whole now."""
        self._rest += data
        at, whole = 0, bytes(self._rest)
        while (found := _packet(whole, at)) is not None:
            begin, end = found
            yield whole[at] >> 4, whole[at] & 15, memoryview(whole)[begin:end]
            at = end
        del self._rest[:at]


def _packet(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None: it is not whole yet."""
    try:
        length, begin = _varint(data, at + 1)
    except IndexError:
        return None
    return (begin, begin + length) if begin + length <= len(data) else None


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends. Raises: IndexError: it is not whole."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
