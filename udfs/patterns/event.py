"""What a pattern sees, and what it finds."""

from __future__ import annotations

from typing import NamedTuple


class Event(NamedTuple):
    """A condition event of an asset: times in UTC epoch ms, values in the sensor's unit."""

    name: str
    time_ms: int
    onset_ms: int
    value: float
    limit: float
    slot: int


class Match(NamedTuple):
    """What fitted: each event with the label of the part of the pattern that took it, in order.

    time_ms: when it was decided: the time of the last event, or the end of the span in which
    something failed to happen. left_out: events of long loops that are not listed in `events`.
    """

    asset: int
    events: tuple[tuple[str, Event], ...]
    time_ms: int
    left_out: int = 0
