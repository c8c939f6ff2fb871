"""The few bytes of the Arrow IPC format that PyArrow does not show before it acts on them.

Source: Arrow columnar format, "Encapsulated message format", and its flatbuffers `Message.fbs`.
"""

from __future__ import annotations

import struct

_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3  # MessageHeader union
_MESSAGE_HEADER_TYPE, _MESSAGE_HEADER = 1, 2  # fields of table Message
_COMPRESSION = 3  # field of table RecordBatch


def body_is_plain(stream: bytes) -> bool:
    """Whether the first record batch of an IPC stream is uncompressed.

    PyArrow inflates a compressed body while it reads: 2 MB can become gigabytes before any size is
    known, so this is asked first.

    Raises: ValueError: the stream ends early, or its second message is no record batch.
    """
    try:
        schema_end = _metadata(stream, 0)[1]
        message, _ = _metadata(stream, schema_end)
        root = message + struct.unpack_from("<I", stream, message)[0]
        kind = _field(stream, root, _MESSAGE_HEADER_TYPE)
        header = _field(stream, root, _MESSAGE_HEADER)
        if not kind or not header or stream[kind] != _RECORD_BATCH:
            raise ValueError("no record batch after the schema")
        batch = header + struct.unpack_from("<I", stream, header)[0]
        return _field(stream, batch, _COMPRESSION) == 0
    except (struct.error, IndexError):
        raise ValueError("the stream ends early") from None


def _metadata(stream: bytes, at: int) -> tuple[int, int]:
    """Where the message's flatbuffer starts and ends. A schema message has no body."""
    marker, size = struct.unpack_from("<Ii", stream, at)
    if marker != _CONTINUATION or size <= 0:
        raise ValueError("no encapsulated message")
    return at + 8, at + 8 + size


def _field(stream: bytes, table: int, index: int) -> int:
    """Position of a table's field, 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", stream, table)[0]
    size = struct.unpack_from("<H", stream, vtable)[0]
    slot = 4 + 2 * index
    if slot >= size:
        return 0
    offset = struct.unpack_from("<H", stream, vtable + slot)[0]
    return table + offset if offset else 0
