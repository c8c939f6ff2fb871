"""The contract of topic edge-alerts is that of alerts, but for what only the job knows."""

from __future__ import annotations

from jobs.common.contracts import load_contracts
from tests.edge.web.test_alarms import alert
from udfs.alerts import to_cloudevent

CONTRACTS = load_contracts()
EDGE, CLOUD = CONTRACTS["hardiot.edge-alert.v1"], CONTRACTS["hardiot.alert.v1"]


def test_the_fields_are_those_of_an_alert() -> None:
    assert [(key.name, key.type, key.required) for key in EDGE.fields_] == [
        (key.name, key.type, key.required) for key in CLOUD.fields_
    ]


def test_the_headers_are_what_a_gateway_sends() -> None:
    _, _, headers = to_cloudevent(alert(traceparent="00-a-b-01"))
    assert set(headers) == {key.name for key in EDGE.record_headers}
    _, _, bare = to_cloudevent(alert())
    assert set(bare) == {key.name for key in EDGE.record_headers if key.required}
