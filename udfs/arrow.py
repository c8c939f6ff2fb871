"""Arrow IPC streams: how our contracts are written and opened, and the few bytes of the format
that PyArrow does not show before it acts on them.

Source: Arrow columnar format, "Encapsulated message format", and its flatbuffers `Message.fbs`.
"""

from __future__ import annotations

import struct

import pyarrow as pa

_CONTINUATION = 0xFFFFFFFF
_RECORD_BATCH = 3  # MessageHeader union
_MESSAGE_HEADER_TYPE, _MESSAGE_HEADER, _BODY_LENGTH = 1, 2, 3  # fields of table Message
_COMPRESSION = 3  # field of table RecordBatch
# how version 0.17 said that a body is compressed; PyArrow still obeys it
_OLD_COMPRESSION = b"ARROW:experimental_compression"
_END = struct.pack("<II", _CONTINUATION, 0)


def encode_stream(schema: pa.Schema, arrays: list[pa.Array]) -> bytes:
    """One record batch as an Arrow IPC stream; the schema's metadata is the contract's header."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def open_stream(data: bytes, contract: str) -> tuple[pa.RecordBatchReader, dict[str, str]]:
    """Reader and header of a stream of one contract.

    Raises: ValueError: of another contract. pyarrow.ArrowException, OSError: no Arrow stream.
    """
    reader = pa.ipc.open_stream(data)
    header = {k.decode(): v.decode() for k, v in (reader.schema.metadata or {}).items()}
    if header.get("contract") != contract:
        raise ValueError(f"contract {header.get('contract')!r}; this reader knows {contract}")
    return reader, header


def body_is_plain(stream: bytes) -> bool:
    """Whether the one record batch of an IPC stream is uncompressed.

    PyArrow inflates a compressed body while it reads: 2 MB can become gigabytes before any size is
    known, so this is asked first. And it says nothing of a second record batch that nobody reads.

    Raises: ValueError: the stream ends early, or is not a schema and just one record batch.
    """
    try:
        schema_end = _metadata(stream, 0)[1]
        message, body = _metadata(stream, schema_end)
        root = message + struct.unpack_from("<I", stream, message)[0]
        kind = _field(stream, root, _MESSAGE_HEADER_TYPE)
        header = _field(stream, root, _MESSAGE_HEADER)
        if not kind or not header or stream[kind] != _RECORD_BATCH:
            raise ValueError("no record batch after the schema")
        _check_end(stream, root, body)
        batch = header + struct.unpack_from("<I", stream, header)[0]
        plain = _field(stream, batch, _COMPRESSION) == 0
        return plain and stream.find(_OLD_COMPRESSION, message, body) < 0
    except (struct.error, IndexError):
        raise ValueError("the stream ends early") from None


def _metadata(stream: bytes, at: int) -> tuple[int, int]:
    """Where the message's flatbuffer starts and ends. A schema message has no body."""
    marker, size = struct.unpack_from("<Ii", stream, at)
    if marker != _CONTINUATION or size <= 0:
        raise ValueError("no encapsulated message")
    return at + 8, at + 8 + size


def _check_end(stream: bytes, message: int, body: int) -> None:
    """Hold what follows the body, which starts at `body`, against the end of a stream."""
    length = _field(stream, message, _BODY_LENGTH)
    end = body + (struct.unpack_from("<q", stream, length)[0] if length else 0)
    if not body <= end <= len(stream):
        raise ValueError("the stream ends early")
    if stream[end:] not in (b"", _END):
        raise ValueError("more than one record batch")


def _field(stream: bytes, table: int, index: int) -> int:
    """Position of a table's field, 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", stream, table)[0]
    size = struct.unpack_from("<H", stream, vtable)[0]
    slot = 4 + 2 * index
    if slot >= size:
        return 0
    offset = struct.unpack_from("<H", stream, vtable + slot)[0]
    return table + offset if offset else 0
