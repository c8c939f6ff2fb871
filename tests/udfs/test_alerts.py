"""Alert events: identity, form as a CloudEvent, and back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from udfs.alerts import (
    AlertEvent,
    alert_id,
    event_id,
    finite,
    from_json,
    rfc3339,
    to_cloudevent,
    to_json,
)

EVENT = AlertEvent(
    id="0b0e9f6e-6a39-5d6c-a6f4-6ad9d9f6b0a1",
    status="firing",
    rule="bearing-hot",
    rule_version=2,
    severity="warning",
    facility="plant-1",
    gateway="gw-1",
    subject="pump-1.bearing",
    asset="pump-1",
    kind="temperature",
    unit="°C",
    value=81.5,
    limit=80.0,
    onset_ms=1_700_000_000_000,
    event_ms=1_700_000_003_250,
    created_ms=1_700_000_003_400,
    late=False,
    text="pump-1.bearing is at 81.5 °C",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def test_the_id_is_the_same_for_ever() -> None:
    made = alert_id("plant-1", "gw-1", "pump-1.bearing", "bearing-hot", 2, 1_700_000_000_000)
    assert made == "a4171ed5-6dd3-5a77-98c5-7989a8556a76"


@pytest.mark.parametrize(
    "other",
    [
        ("plant-2", "gw-1", "s", "r", 1, 5),
        ("plant-1", "gw-2", "s", "r", 1, 5),
        ("plant-1", "gw-1", "t", "r", 1, 5),
        ("plant-1", "gw-1", "s", "q", 1, 5),
        ("plant-1", "gw-1", "s", "r", 2, 5),
        ("plant-1", "gw-1", "s", "r", 1, 6),
    ],
)
def test_the_id_depends_on_every_part(other: tuple[str, str, str, str, int, int]) -> None:
    assert alert_id(*other) != alert_id("plant-1", "gw-1", "s", "r", 1, 5)


def test_cloudevent_in_kafka_binary_mode() -> None:
    key, value, headers = to_cloudevent(EVENT)
    assert key == EVENT.id
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "0b0e9f6e-6a39-5d6c-a6f4-6ad9d9f6b0a1/firing",
        "ce_source": "/facilities/plant-1/gateways/gw-1",
        "ce_type": "io.hardiot.alert.firing.v1",
        "ce_time": "2023-11-14T22:13:23.250Z",
        "ce_subject": "pump-1.bearing",
        "content-type": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    assert json.loads(value)["unit"] == "°C"


def test_resolved_has_the_same_key_and_another_ce_id_and_no_trace_means_no_header() -> None:
    key, _, headers = to_cloudevent(replace(EVENT, status="resolved", traceparent=""))
    assert (key, headers["ce_id"]) == (EVENT.id, EVENT.id + "/resolved")
    assert headers["ce_type"] == "io.hardiot.alert.resolved.v1"
    assert "traceparent" not in headers


def test_each_update_has_a_ce_id_of_its_own_and_the_same_key() -> None:
    first = replace(EVENT, status="updated", severity="critical")
    key, _, headers = to_cloudevent(first)
    assert (key, headers["ce_id"]) == (EVENT.id, EVENT.id + "/updated/1700000003250")
    assert headers["ce_type"] == "io.hardiot.alert.updated.v1"
    assert event_id(replace(first, event_ms=1_700_000_003_251)) != headers["ce_id"]
    assert event_id(EVENT) == EVENT.id + "/firing"


def test_there_and_back() -> None:
    for event in (
        EVENT,
        replace(EVENT, value=None, limit=None, late=True),
        replace(EVENT, status="updated"),
    ):
        assert from_json(to_json(event)) == event


def test_a_reader_ignores_what_it_does_not_know() -> None:
    data = json.loads(to_json(EVENT)) | {"runbook": "https://example.org"}
    assert from_json(json.dumps(data).encode()) == EVENT


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id": None}, "id is None"),
        ({"onset_ms": "now"}, "onset_ms is 'now'"),
        ({"rule_version": True}, "rule_version is True"),
        ({"late": 0}, "late is 0"),
        ({"value": True}, "value is True"),
    ],
)
def test_a_field_of_another_type_is_refused(change: dict[str, object], problem: str) -> None:
    data = json.loads(to_json(EVENT)) | change
    with pytest.raises(ValueError, match=f"not an alert: {problem}"):
        from_json(json.dumps(data).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff\xfe", b'{"id": "x"}', b"7"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not an alert"):
        from_json(data)


def test_json_has_no_infinity() -> None:
    assert [finite(v) for v in (1.5, float("inf"), float("nan"), None)] == [1.5, None, None, None]
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(EVENT, value=float("inf")))


def test_times_are_rfc3339_with_milliseconds() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1_700_000_000_001) == "2023-11-14T22:13:20.001Z"
