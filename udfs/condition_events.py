"""A condition event: a condition of one rule begins or ends at one sensor (or asset).

The open way into our rules: what conditions find, before any pattern, as plain JSON in the topic
`condition-events`, for SQL and for whoever wants to match events in a way of their own.

At least once: after a restart an event may come again. It is the same event when facility, gateway,
subject, rule, rule_version, event, phase and onset_ms are.
"""

from __future__ import annotations

from dataclasses import dataclass

from udfs import flat_json
from udfs.records import CONDITION_EVENTS, Output

BEGIN = "begin"
END = "end"


@dataclass(frozen=True, slots=True)
class ConditionEvent:
    """A condition begins or ends.

    subject: the sensor's name; the asset, where the condition tests a signal. event: name in the
    rule's `events`, "" for the condition of a plain rule. time_ms: event time at which it was
    found: of a begin, the end of its duration. onset_ms: event time at which the condition began
    to hold; the same in begin and end. value, limit: in `unit`; None where they are no finite
    numbers. late: found in the backlog. All times are UTC epoch milliseconds.
    """

    facility: str
    gateway: str
    asset: str
    subject: str
    rule: str
    rule_version: int
    event: str
    phase: str
    time_ms: int
    onset_ms: int
    value: float | None
    limit: float | None
    unit: str
    late: bool

    @property
    def key(self) -> str:
        """Kafka key: all events of one machine stay in order."""
        return f"{self.facility}/{self.gateway}/{self.asset}"


def to_json(event: ConditionEvent) -> bytes:
    """The event as one JSON object, keys in the order of the fields."""
    return flat_json.encode(event)


def from_json(data: bytes) -> ConditionEvent:
    """Read an event; keys of a later version are ignored.

    Raises: ValueError: not JSON, or a field is missing, of the wrong type or no such phase.
    """
    event = flat_json.decode(data, ConditionEvent, "a condition event")
    if event.phase not in (BEGIN, END):
        raise ValueError(f'not a condition event: phase is "{event.phase}", not begin or end')
    return event


def to_output(event: ConditionEvent) -> Output:
    """The event as a Kafka record of the topic `condition-events`."""
    return Output(CONDITION_EVENTS, event.key, to_json(event))
