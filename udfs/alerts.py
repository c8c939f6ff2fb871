"""An alert: the life of a finding under one deterministic id, and its form as a CloudEvent.

The id is a UUIDv5 of what was found and when it began, so that the same readings give the same id
on any path: live, replayed, at the edge, after a restart. An alert fires once and is resolved once;
between the two it may be updated, when its severity changes. Whoever has seen the `ce_id` of an
event has seen the event.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from udfs import flat_json

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://hardiot.io/alerts/v1")

FIRING = "firing"
UPDATED = "updated"
RESOLVED = "resolved"
SEVERITIES = ("info", "warning", "critical")  # rising
GATEWAY = "gateway"  # the subject, and the kind, of an alert about a whole gateway
ASSET = "asset"  # the kind of an alert about an asset


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An alert fires, is updated or is resolved; all its events share the id.

    severity: from this event on; of a resolved alert the highest that it had, so that whoever hears
    of one severity only hears of its end too. subject: name of a sensor or an asset, or "gateway".
    kind: of the sensor, "asset" or "gateway". value, limit: in `unit`; None where they are no
    finite numbers. onset_ms: event time at which it began. event_ms: event time of what this event
    tells. created_ms: wall clock at which this event was made. late: found in the backlog; it is
    stored, but does not page. All times are UTC epoch milliseconds.
    """

    id: str
    status: str
    rule: str
    rule_version: int
    severity: str
    facility: str
    gateway: str
    subject: str
    asset: str
    kind: str
    unit: str
    value: float | None
    limit: float | None
    onset_ms: int
    event_ms: int
    created_ms: int
    late: bool
    text: str
    traceparent: str = ""


def alert_id(
    facility: str, gateway: str, subject: str, rule: str, version: int, onset_ms: int
) -> str:
    """The alert's id. The gateway is part of it: two of a facility may fall silent at one time."""
    parts = (facility, gateway, subject, rule, str(version), str(onset_ms))
    return str(uuid.uuid5(_NAMESPACE, "\n".join(parts)))


def event_id(event: AlertEvent) -> str:
    """The `ce_id`: one alert may be updated several times, never twice at one event time."""
    when = f"/{event.event_ms}" if event.status == UPDATED else ""
    return f"{event.id}/{event.status}{when}"


def finite(number: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return number if number is not None and math.isfinite(number) else None


def to_json(event: AlertEvent) -> bytes:
    """The event as one JSON object, keys in the order of the fields."""
    return flat_json.encode(event)


def from_json(data: bytes) -> AlertEvent:
    """Read an event; keys of a later version are ignored.

    Raises: ValueError: not JSON, or a field is missing or of the wrong type.
    """
    return flat_json.decode(data, AlertEvent, "an alert")


def to_cloudevent(event: AlertEvent) -> tuple[str, bytes, dict[str, str]]:
    """Kafka key, value and headers: CloudEvents 1.0, Kafka protocol binding, binary mode.

    The key is the alert's id, so that its events keep their order. `ce_id` is the same whenever the
    same event is sent again.
    """
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id(event),
        "ce_source": f"/facilities/{event.facility}/gateways/{event.gateway}",
        "ce_type": f"io.hardiot.alert.{event.status}.v1",
        "ce_time": rfc3339(event.event_ms),
        "ce_subject": event.subject,
        "content-type": "application/json",
    }
    if event.traceparent:
        headers["traceparent"] = event.traceparent
    return event.id, to_json(event), headers


def rfc3339(time_ms: int) -> str:
    """Epoch milliseconds as 2026-01-31T12:00:00.250Z."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"
