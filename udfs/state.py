"""State of a step as plain versioned bytes: named arrays, texts, numbers; never a pickled object.

    data = pack("rollup", 1, {"sum": array, "epoch": 3, "lane": "live"})
    version, fields = unpack(data, "rollup")

Layout: magic, length of the head, head as JSON (kind, version, fields with type, shape and
position), then the arrays as they lie in memory (little-endian), each on an 8-byte boundary.
Whoever reads an older version gets its number and the fields as they were written.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

_MAGIC = b"HIoT"
_PREFIX = struct.Struct("<4sI")
_ALIGN = 8
_DTYPES = frozenset(["|b1", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"])


class BadState(ValueError):
    """Bytes that are not state of the kind that was asked for."""


def pack(kind: str, version: int, fields: Mapping[str, Any]) -> bytes:
    """The fields as bytes. Arrays keep dtype and shape; int, float, bool, str, bytes and None too.

    Raises: TypeError: a field of another type.
    """
    head: dict[str, Any] = {"kind": kind, "version": version, "fields": {}}
    parts: list[bytes | memoryview] = []
    at = 0
    for name, value in fields.items():
        entry, data = _entry(name, value)
        if data is not None:
            entry["at"], entry["bytes"] = at, len(data)
            padding = -len(data) % _ALIGN
            parts += [data, bytes(padding)]
            at += len(data) + padding
        head["fields"][name] = entry
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(_PREFIX.size + len(text)) % _ALIGN)
    return b"".join([_PREFIX.pack(_MAGIC, len(text)), text, *parts])


def _entry(name: str, value: Any) -> tuple[dict[str, Any], bytes | memoryview | None]:
    if isinstance(value, np.ndarray):
        if value.dtype.str not in _DTYPES:
            raise TypeError(f"{name}: dtype {value.dtype} cannot be kept as state")
        entry = {"type": value.dtype.str, "shape": list(value.shape)}
        return entry, np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
    if isinstance(value, bytes):
        return {"type": "bytes"}, value
    if value is None or isinstance(value, bool | int | float | str):
        return {"type": "plain", "value": value}, None
    raise TypeError(f"{name}: {type(value).__name__} cannot be kept as state")


def unpack(data: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    """Version and fields of packed state; arrays are writable copies.

    Raises: BadState: not packed by `pack`, cut short, or of another kind.
    """
    try:
        magic, size = _PREFIX.unpack_from(data)
        if magic != _MAGIC:
            raise BadState("these bytes are not packed state")
        start = _PREFIX.size + size
        head = json.loads(data[_PREFIX.size : start])
        if head["kind"] != kind:
            raise BadState(f'state of kind "{head["kind"]}" where "{kind}" was asked for')
        fields = {name: _value(entry, data, start) for name, entry in head["fields"].items()}
        return int(head["version"]), fields
    except BadState:
        raise
    except (struct.error, LookupError, ArithmeticError, RecursionError) as error:
        raise BadState(f"damaged state: {error}") from None
    except (AttributeError, TypeError, ValueError) as error:  # the head is JSON of another shape
        raise BadState(f"damaged state: {error}") from None


def _value(entry: dict[str, Any], data: bytes, start: int) -> Any:
    if entry["type"] == "plain":
        return entry["value"]
    begin = start + entry["at"]
    end = begin + entry["bytes"]
    if not start <= begin <= end <= len(data):
        raise BadState("damaged state: it ends early")
    if entry["type"] == "bytes":
        return data[begin:end]
    if entry["type"] not in _DTYPES:
        raise BadState(f"damaged state: dtype {entry['type']}")
    return np.frombuffer(data[begin:end], entry["type"]).reshape(entry["shape"]).copy()
