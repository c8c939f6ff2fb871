"""Findings in words: of sensors, assets and gateways, and what an alert came to."""

from __future__ import annotations

import pytest

from tests.udfs.plant import T0, catalogue, rule
from udfs.alerts import alert_id
from udfs.watch.assets import Assets
from udfs.watch.course import Told
from udfs.watch.silence import Silent
from udfs.watch.telling import Occasion, Teller

PLANT = catalogue(["temperature", "flow"])
TELLER = Teller(PLANT, Assets(PLANT))
RULE = rule("threshold: {above: 80}").model_copy(
    update={"text": "{sensor} {value:.1f} {unit} ({severity})"}
)
NOW = Occasion(T0 + 9000, traceparent="00-ab-cd-01")


def told(status: str = "updated", severity: str = "critical", text: str = "", **more) -> Told:
    return Told(status, severity, text, T0, T0 + 5000, 96.5, 80.0)._replace(**more)


def test_a_sensor_that_fires() -> None:
    fires = told("firing", "warning", RULE.text, value=81.25)
    event = TELLER.tell(RULE, TELLER.sensor(1), "{}/s", fires, NOW)
    assert (event.status, event.severity, event.subject) == ("firing", "warning", "s1")
    assert event.text == f"s1 81.2 {PLANT.unit[1]}/s (warning)"


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        ("updated", "{sensor} for {duration_s:.0f} s: {severity}", "s0 for 5 s: critical"),
        ("updated", "", f"s0: {RULE.name} came down to critical"),
        ("resolved", "", f"s0: {RULE.name} ended after 5 s"),
    ],
)
def test_what_an_alert_of_a_sensor_came_to(status: str, text: str, words: str) -> None:
    event = TELLER.tell(RULE, TELLER.sensor(0), "{}", told(status, text=text), NOW)
    assert (event.status, event.severity, event.text) == (status, "critical", words)
    assert (event.kind, event.value, event.limit) == ("temperature", 96.5, 80.0)
    facility, gateway = PLANT.facility, PLANT.gateway
    assert event.id == alert_id(facility, gateway, "s0", RULE.name, RULE.version, T0)


def test_an_asset_is_the_subject_of_its_alert() -> None:
    text = "{asset}: {count} in {duration_s:.0f} s"
    fires = told("firing", text=text, matched=3, value=None)
    event = TELLER.tell(RULE, TELLER.asset(1), "", fires, NOW)
    assert (event.subject, event.asset, event.kind, event.unit) == ("a1", "a1", "asset", "")
    assert (event.text, event.value) == ("a1: 3 in 5 s", None)
    facility, gateway = PLANT.facility, PLANT.gateway
    assert event.id == alert_id(facility, gateway, "a1", RULE.name, RULE.version, T0)
    assert (event.created_ms, event.traceparent, event.late) == (T0 + 9000, "00-ab-cd-01", False)


def test_a_gateway() -> None:
    event = TELLER.gateway(RULE, Silent(RULE.key, True, T0, T0 + 15_000, 15.0, 15.0), NOW)
    assert (event.subject, event.kind, event.asset, event.unit) == ("gateway", "gateway", "", "s")
