"""Where the parts of a payload lie in its bytes. Only the plain form is known; else None.

Plain is: one byte a tag, and one number as value. Of a field that is there twice the last one
counts, as in protobuf. What follows from the positions holds for every payload that differs from
this one in the bytes of times and values alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# tag byte: field number << 3 | wire type
_SENT, _METRIC, _SEQ = 0x08, 0x12, 0x18
_METRIC_TAGS = {
    0x0A: "name",
    0x10: "alias",
    0x18: "time",
    0x20: "datatype",
    0x28: "is_historical",
    0x30: "is_transient",
    0x38: "is_null",
    0x4A: "properties",
    0x50: "int_value",
    0x58: "long_value",
    0x65: "float_value",
    0x69: "double_value",
    0x70: "boolean_value",
}
VALUES = ("int_value", "long_value", "float_value", "double_value", "boolean_value")
_FIXED_BYTES = {1: 8, 5: 4}

Span = tuple[int, int]  # first byte, and the one after the last


class _NotPlain(Exception):
    """Another form, or damaged."""


@dataclass(slots=True)
class Scan:
    """Spans of the contents of fields; metrics in order. kind of a value: the field's name."""

    sent: Span | None = None
    seq: Span | None = None
    metrics: list[dict[str, Span]] = field(default_factory=list)


def scan(payload: bytes) -> Scan | None:
    """The spans of a plain payload, None of any other."""
    found = Scan()
    at = 0
    try:
        while at < len(payload):
            tag = payload[at]
            span = _span(payload, tag & 7, at + 1, len(payload))
            if tag == _METRIC:
                found.metrics.append(_metric(payload, *span))
            elif tag == _SENT:
                found.sent = span
            elif tag == _SEQ:
                found.seq = span
            else:
                return None
            at = span[1]
    except _NotPlain:
        return None
    return found


def _metric(payload: bytes, at: int, end: int) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    while at < end:
        tag = payload[at]
        name = _METRIC_TAGS.get(tag)
        if name is None:
            raise _NotPlain
        spans[name] = _span(payload, tag & 7, at + 1, end)
        at = spans[name][1]
    if sum(name in spans for name in VALUES) > 1:
        raise _NotPlain
    return spans


def _span(payload: bytes, wire_type: int, at: int, end: int) -> Span:
    """The content of the field whose tag ended at `at`."""
    if wire_type in _FIXED_BYTES:
        stop = at + _FIXED_BYTES[wire_type]
    elif wire_type == 0:
        stop = _varint_end(payload, at, end)
    elif wire_type == 2:
        begin = _varint_end(payload, at, end)
        length = varint(payload, (at, begin))
        at, stop = begin, begin + length
    else:
        raise _NotPlain
    if stop > end:
        raise _NotPlain
    return at, stop


def _varint_end(payload: bytes, at: int, end: int) -> int:
    for stop in range(at, min(end, at + 10)):
        if payload[stop] < 0x80:
            return stop + 1
    raise _NotPlain


def varint(payload: bytes, span: Span) -> int:
    """The number in a span, as unsigned 64 bits."""
    value = 0
    for place, at in enumerate(range(*span)):
        value |= (payload[at] & 0x7F) << (7 * place)
    return value & 0xFFFFFFFFFFFFFFFF
