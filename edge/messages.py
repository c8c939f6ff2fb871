"""A Kafka record as bytes, as it lies in the spool: key, headers, value.

    body = encode(Message("plant-07/gw-1", {"reason": "not_json"}, payload))
    message = decode(body)

Topic and partition are not in it: the lane that it is sent by decides on them.
"""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

_PREFIX = struct.Struct("<4sI")  # magic, length of the head
_MAGIC = b"HIm1"


class Message(NamedTuple):
    """What is to be sent."""

    key: str
    headers: dict[str, str]
    value: bytes


def encode(message: Message) -> bytes:
    """Magic and length, key and headers as JSON, then the value as it is."""
    head = json.dumps([message.key, message.headers], separators=(",", ":")).encode()
    return _PREFIX.pack(_MAGIC, len(head)) + head + message.value


def decode(body: bytes) -> Message:
    """Raises: ValueError: these bytes are not a message."""
    try:
        magic, size = _PREFIX.unpack_from(body)
        end = _PREFIX.size + size
        if magic != _MAGIC or end > len(body):
            raise ValueError("no such head")
        key, headers = json.loads(body[_PREFIX.size : end])
        texts = [key, *headers, *headers.values()]
    except (struct.error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a message: {error}") from None
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("not a message: key and headers are texts")
    return Message(key, headers, body[end:])
