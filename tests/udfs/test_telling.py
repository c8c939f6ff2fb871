"""Findings in words: of sensors, assets and gateways, and what an alert came to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.udfs.plant import T0, catalogue, rule
from udfs.alerts import alert_id
from udfs.conditions.latch import Found
from udfs.watch.course import Told
from udfs.watch.silence import Silent
from udfs.watch.telling import Occasion, Teller

TELLER = Teller(catalogue(["temperature", "flow"]))
RULE = rule("threshold: {above: 80}").model_copy(
    update={"text": "{sensor} {value:.1f} {unit} ({severity})"}
)
NOW = Occasion(T0 + 9000, traceparent="00-ab-cd-01")


def told(status: str = "updated", severity: str = "critical", text: str = "", **more) -> Told:
    return Told(status, severity, text, T0, T0 + 5000, 96.5, 80.0)._replace(**more)


def test_a_sensor_that_fires_without_more_of_a_life() -> None:
    event = TELLER.sensor(RULE, "{}", 1, Found(1, True, T0, T0 + 2000, 81.25, 80.0), NOW)
    assert (event.status, event.severity, event.subject) == ("firing", RULE.severity, "s1")
    assert event.text == f"s1 81.2 {TELLER.catalogue.unit[1]} ({RULE.severity})"
    ended = TELLER.sensor(RULE, "{}", 1, Found(1, False, T0, T0 + 2000, 79.0, 80.0), NOW)
    assert ended == replace(
        event, status="resolved", value=79.0, text=f"s1: {RULE.name} ended after 2 s"
    )


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        ("updated", "{sensor} for {duration_s:.0f} s: {severity}", "s0 for 5 s: critical"),
        ("updated", "", f"s0: {RULE.name} came down to critical"),
        ("resolved", "", f"s0: {RULE.name} ended after 5 s"),
    ],
)
def test_what_an_alert_of_a_sensor_came_to(status: str, text: str, words: str) -> None:
    event = TELLER.sensor_told(RULE, "{}", 0, told(status, text=text), NOW)
    assert (event.status, event.severity, event.text) == (status, "critical", words)
    assert (event.kind, event.value, event.limit) == ("temperature", 96.5, 80.0)
    facility, gateway = TELLER.catalogue.facility, TELLER.catalogue.gateway
    assert event.id == alert_id(facility, gateway, "s0", RULE.name, RULE.version, T0)


def test_an_asset_is_the_subject_of_its_alert() -> None:
    text = "{asset}: {count} in {duration_s:.0f} s"
    event = TELLER.asset(RULE, "", "pump-1", told("firing", text=text, matched=3, value=None), NOW)
    assert (event.subject, event.asset, event.kind, event.unit) == ("pump-1", "pump-1", "asset", "")
    assert (event.text, event.value) == ("pump-1: 3 in 5 s", None)
    facility, gateway = TELLER.catalogue.facility, TELLER.catalogue.gateway
    assert event.id == alert_id(facility, gateway, "pump-1", RULE.name, RULE.version, T0)
    assert (event.created_ms, event.traceparent, event.late) == (T0 + 9000, "00-ab-cd-01", False)


def test_a_gateway() -> None:
    event = TELLER.gateway(RULE, Silent(RULE.key, True, T0, T0 + 15_000, 15.0, 15.0), NOW)
    assert (event.subject, event.kind, event.asset, event.unit) == ("gateway", "gateway", "", "s")
    worse = TELLER.gateway_told(RULE, told(text="{gateway}: {severity}"), NOW)
    assert (worse.id, worse.text) == (event.id, f"{TELLER.catalogue.gateway}: critical")
