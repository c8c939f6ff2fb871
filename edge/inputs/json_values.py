"""Values of a JSON message: found by a dotted path, and held against what they should be."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from edge.inputs.mapping import TopicMapping
from edge.sparkplug.content import quality_of_code
from udfs.batch import Quality

MISSING = object()
_MAX_READINGS = 100_000
_QUALITIES = {
    "good": Quality.GOOD,
    "uncertain": Quality.UNCERTAIN,
    "bad": Quality.BAD,
    "stuck": Quality.STUCK,
}


class Unusable(Exception):
    """Why something gives no reading: a reason, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def parse(payload: bytes) -> Any:
    """The message. Raises: Unusable: it is not JSON."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Unusable("bad_json", f"{len(payload)} bytes, not JSON: {error}") from None


def readings(message: Any, mapping: TopicMapping) -> list[Any]:
    """The readings of a message. Raises: Unusable: there is no list where it should be."""
    if mapping.each is None:
        return [message]
    found = at(message, mapping.each)
    if not isinstance(found, list) or len(found) > _MAX_READINGS:
        raise Unusable("bad_form", f"{mapping.each} is no list of up to {_MAX_READINGS} readings")
    return found


def at(reading: Any, path: str) -> Any:
    """What is at a dotted path; digits are places in a list."""
    for part in path.split("."):
        if isinstance(reading, dict):
            reading = reading.get(part, MISSING)
        elif isinstance(reading, list) and part.isdecimal() and int(part) < len(reading):
            reading = reading[int(part)]
        else:
            return MISSING
    return reading


def number(found: Any, path: str) -> float:
    """A number or boolean as float64; null is NaN. Raises: Unusable: something else."""
    if found is None:
        return math.nan
    if isinstance(found, int | float):
        try:
            return float(found)
        except OverflowError:
            pass
    raise Unusable("no_number", f"{path}: {_said(found)}, not a number")


def time_ms_of(found: Any, mapping: TopicMapping) -> int:
    """UTC epoch ms; ISO times without a zone are UTC. Raises: Unusable: no time."""
    try:
        if mapping.time_format == "iso" and isinstance(found, str):
            when = datetime.fromisoformat(found)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            return round(when.timestamp() * 1000)
        if mapping.time_format != "iso" and type(found) in (int, float):
            time_ms = round(found * (1000 if mapping.time_format == "s" else 1))
            if 0 <= time_ms < 1 << 62:
                return int(time_ms)
    except (ValueError, OverflowError):
        pass
    raise Unusable("bad_time", f"{mapping.time}: {_said(found)}, not {mapping.time_format}")


def quality_of(found: Any) -> int:
    """Our quality; what cannot be understood is uncertain."""
    if isinstance(found, bool):
        return Quality.GOOD if found else Quality.BAD
    if isinstance(found, int):
        return quality_of_code(found)
    return _QUALITIES.get(found.lower() if isinstance(found, str) else "", Quality.UNCERTAIN)


def text_of(found: Any, path: str) -> str:
    """A part of a name. Raises: Unusable: neither a text nor a whole number."""
    if (isinstance(found, str) and found) or type(found) is int:
        return str(found)
    raise Unusable("no_name", f"{path}: {_said(found)}, not a text")


def _said(found: Any) -> str:
    return "nothing" if found is MISSING else repr(found)[:80]
