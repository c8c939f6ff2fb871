"""Condition events: form as JSON, key and topic, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.condition_events import ConditionEvent, from_json, to_json, to_output

EVENT = ConditionEvent(
    facility="plant-1",
    gateway="gw-1",
    asset="pump-1",
    subject="pump-1.bearing",
    rule="bearing-failing",
    rule_version=2,
    event="hot",
    phase="begin",
    time_ms=1_700_000_003_250,
    onset_ms=1_700_000_000_000,
    value=91.5,
    limit=85.0,
    unit="°C",
    late=False,
)
TEXT = (
    '{"facility": "plant-1", "gateway": "gw-1", "asset": "pump-1", "subject": "pump-1.bearing", '
    '"rule": "bearing-failing", "rule_version": 2, "event": "hot", "phase": "begin", '
    '"time_ms": 1700000003250, "onset_ms": 1700000000000, "value": 91.5, "limit": 85.0, '
    '"unit": "°C", "late": false}'
)
events = st.builds(
    ConditionEvent,
    **dict.fromkeys(["facility", "gateway", "asset", "subject", "rule", "event"], st.text()),
    phase=st.sampled_from(["begin", "end"]),
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    limit=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)


def test_as_a_record_of_its_topic() -> None:
    topic, key, value, headers = to_output(EVENT)
    assert (topic, key, headers) == ("condition-events", "plant-1/gw-1/pump-1", {})
    assert value.decode() == TEXT
    assert from_json(TEXT.encode()) == EVENT


@given(events)
def test_there_and_back(event: ConditionEvent) -> None:
    assert from_json(to_json(event)) == event


def test_a_reader_ignores_what_it_does_not_know() -> None:
    data = json.loads(TEXT) | {"trace": "00-ab"}
    assert from_json(json.dumps(data).encode()) == EVENT


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"asset": None}, "asset is None"),
        ({"time_ms": 1.5}, r"time_ms is 1\.5"),
        ({"rule_version": True}, "rule_version is True"),
        ({"late": 0}, "late is 0"),
        ({"value": "91"}, "value is '91'"),
        ({"phase": "over"}, 'phase is "over", not begin or end'),
    ],
)
def test_a_field_of_another_type_is_refused(change: dict[str, object], problem: str) -> None:
    data = json.loads(TEXT) | change
    with pytest.raises(ValueError, match=f"^not a condition event: {problem}$"):
        from_json(json.dumps(data).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"asset": "x"}', b"7", b"[" * 9999])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not a condition event: "):
        from_json(data)


def test_json_has_no_infinity() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(replace(EVENT, value=float("inf")))
