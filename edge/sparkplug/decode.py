"""Payloads of one device as columns: by a layout that was learned, or the general way.

    decoder = Decoder(table)
    content = decoder.read(payload, received_ms=now_ms)     # raises BadPayload

Both ways give the same; the first is some ten times faster.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from edge.sparkplug.content import Content, read
from edge.sparkplug.layout import Layout
from edge.sparkplug.messages import Payload
from edge.sparkplug.table import Table

# a device has a few lengths (numbers below and above 127), each in a few forms
_MAX_LENGTHS = 4
_MAX_FORMS = 2
# Learning costs as much as ten general readings. A device that says other metrics each time gets
# few tries: each layout that is used again earns one more.
_CREDIT = 8
_EARN_EVERY = 64


class BadPayload(Exception):
    """The bytes are no Sparkplug B payload."""


def parse(payload: bytes) -> Any:
    """Raises: BadPayload: not a protobuf message of that kind."""
    try:
        return Payload.FromString(payload)
    except DecodeError as error:
        raise BadPayload(f"{len(payload)} bytes, no Sparkplug B payload: {error}") from None


class Decoder:
    """Reads the data messages of one device, as long as one birth is valid."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._layouts: dict[int, list[Layout]] = {}
        self._credit = _CREDIT
        self._misses = 0

    def read(self, payload: bytes, received_ms: int) -> Content:
        """The payload's readings; `received_ms` is for those without a time.

        Raises: BadPayload: not a protobuf message of that kind.
        """
        for layout in self._layouts.get(len(payload), ()):
            content = layout.read(payload)
            if content is not None:
                if self._credit < _CREDIT:
                    self._credit += 1
                return content
        parsed = parse(payload)
        content = read(parsed, self.table, received_ms)
        if self._may_learn():
            self._learn(payload, parsed, content)
        return content

    def _may_learn(self) -> bool:
        self._misses += 1
        return self._credit > 0 or self._misses % _EARN_EVERY == 0

    def _learn(self, payload: bytes, parsed: Any, content: Content) -> None:
        self._credit = max(self._credit - 1, 0)
        layout = Layout.learn(payload, parsed, content, self.table)
        if layout is None:
            return
        forms = [layout, *self._layouts.pop(len(payload), [])]
        self._layouts[len(payload)] = forms[:_MAX_FORMS]
        if len(self._layouts) > _MAX_LENGTHS:
            del self._layouts[next(iter(self._layouts))]
