"""Values of OPC UA as columns: one publishing interval of notifications becomes one block.

The client library gives an object for each value; they are read once, into columns. Nothing here
imports it, so tests need no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from edge.block import Block, Bools, Floats, Slots
from edge.inputs.result import Refused, Result
from udfs.batch import Quality

# A server answers a subscription with the present value, under the time of its last change. One
# that is older than this is the value of now all the same, and no reading of last week.
PRESENT_MS = 10_000

NOT_A_NUMBER = "not_a_number"
_NUMBERS = (float, int, bool)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
# severity is in the two highest bits (OPC UA Part 4, 7.39): good, uncertain, bad, reserved
_QUALITY = np.array([Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD], np.uint8)
_SEVERITY_SHIFT = 30
# data value bits: "this came out of a queue that had to drop values"
_OVERFLOW = 0x480


@dataclass(slots=True)
class Monitored:
    """What is subscribed to, n nodes; a notification names its node by its place here.

    slot: uint32 (n,), of the registry. fresh: bool (n,), whether the next value is the one that the
    subscription was answered with.
    """

    node: tuple[str, ...]
    slot: Slots
    fresh: Bools


def read_values(
    items: Sequence[Any], monitored: Monitored, source: str, received_ms: int
) -> tuple[Result, int]:
    """Blocks and refused values of monitored item notifications (n of them).

    Returns: at most one block, and how many values say that the server dropped others before them.
    """
    handle = np.fromiter((item.ClientHandle for item in items), np.intp, len(items))
    number, usable = _numbers([item.Value for item in items])
    status = np.fromiter((_status(item.Value) for item in items), np.uint32, len(items))
    time_ms = np.fromiter((_time_ms(i.Value, received_ms) for i in items), np.int64, len(items))
    quality = _QUALITY[status >> _SEVERITY_SHIFT]
    quality[np.isnan(number)] = Quality.BAD
    time_ms[monitored.fresh[handle] & (time_ms < received_ms - PRESENT_MS)] = received_ms
    monitored.fresh[handle] = False
    result = Result(refused=[_refused(items[at], monitored) for at in np.flatnonzero(~usable)])
    if usable.any():
        slot = monitored.slot[handle[usable]]
        columns = (slot, time_ms[usable], number[usable], quality[usable])
        result.blocks.append(Block(*columns, source=source, received_ms=received_ms))
    return result, int(((status & _OVERFLOW) == _OVERFLOW).sum())


def _numbers(values: Sequence[Any]) -> tuple[Floats, Bools]:
    """float64 of each value, NaN where there is none; and which may be a reading at all."""
    plain = [None if v is None or v.Value is None else v.Value.Value for v in values]
    number = [type(v) in _NUMBERS for v in plain]
    given: list[Any] = [v if n else np.nan for v, n in zip(plain, number, strict=True)]
    absent = np.array([v is None for v in plain], np.bool_)
    return np.array(given, np.float64), np.array(number, np.bool_) | absent


def _status(value: Any) -> int:
    return 0 if value is None or value.StatusCode is None else int(value.StatusCode.value)


def _time_ms(value: Any, received_ms: int) -> int:
    """When the device measured it; else when the server saw it; else when it came here."""
    at = None if value is None else value.SourceTimestamp or value.ServerTimestamp
    return received_ms if at is None else (at - _EPOCH) // _MS


def _refused(item: Any, monitored: Monitored) -> Refused:
    node, value = monitored.node[item.ClientHandle], item.Value.Value.Value
    payload = value.encode()[:1000] if isinstance(value, str) else b""
    detail = f"{type(value).__name__}; a reading is a number or true/false"
    return Refused(NOT_A_NUMBER, detail, node, payload)
