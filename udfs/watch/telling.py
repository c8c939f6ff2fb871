"""Findings in words: the alert events of one gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from udfs.alerts import ASSET, FIRING, GATEWAY, RESOLVED, AlertEvent, alert_id, finite
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Found
from udfs.watch.course import Told
from udfs.watch.silence import Silent
from udfs.wording import render


@dataclass(frozen=True, slots=True)
class Occasion:
    """On which call a finding was made. created_ms: wall clock of that call."""

    created_ms: int
    late: bool = False
    traceparent: str = ""


class Named(Protocol):
    """What is told of a rule; a `udfs.rule.Rule` is one."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def severity(self) -> str: ...
    @property
    def text(self) -> str: ...


def _told(rule: Named, found: Found) -> Told:
    """What is told of a finding of a rule whose alerts have no life of their own."""
    seen = finite(found.value), finite(found.limit)
    status, text = (FIRING, rule.text) if found.firing else (RESOLVED, "")
    return Told(status, rule.severity, text, found.onset_ms, found.event_ms, *seen)


@dataclass(frozen=True)
class Teller:
    """Makes alert events of findings at one gateway."""

    catalogue: Catalogue

    def sensor(
        self, rule: Named, unit: str, slot: int, found: Found, occasion: Occasion
    ) -> AlertEvent:
        """A sensor began or ceased to fire. unit: of value and limit, {} is the sensor's own."""
        return self.sensor_told(rule, unit, slot, _told(rule, found), occasion)

    def sensor_told(
        self, rule: Named, unit: str, slot: int, told: Told, occasion: Occasion
    ) -> AlertEvent:
        """What an alert of a sensor came to, with a severity and a text of its own."""
        catalogue = self.catalogue
        return self._event(
            rule,
            told,
            occasion,
            subject=catalogue.name[slot],
            asset=catalogue.asset[slot],
            kind=catalogue.kind[slot],
            unit=unit.format(catalogue.unit[slot]),
        )

    def asset(
        self, rule: Named, unit: str, asset: str, told: Told, occasion: Occasion
    ) -> AlertEvent:
        """What an alert of an asset came to. unit: of value and limit, "" for a pattern."""
        return self._event(rule, told, occasion, subject=asset, asset=asset, kind=ASSET, unit=unit)

    def gateway(self, rule: Named, silent: Silent, occasion: Occasion) -> AlertEvent:
        """The gateway fell silent or is back."""
        times = silent.onset_ms, silent.event_ms
        found = Found(0, silent.firing, *times, silent.silent_s, silent.limit_s)
        return self.gateway_told(rule, _told(rule, found), occasion)

    def gateway_told(self, rule: Named, told: Told, occasion: Occasion) -> AlertEvent:
        """What the alert of the silent gateway came to."""
        return self._event(rule, told, occasion, subject=GATEWAY, asset="", kind=GATEWAY, unit="s")

    def _event(
        self,
        rule: Named,
        told: Told,
        occasion: Occasion,
        *,
        subject: str,
        asset: str,
        kind: str,
        unit: str,
    ) -> AlertEvent:
        facility, gateway = self.catalogue.facility, self.catalogue.gateway
        onset_ms, event_ms = told.onset_ms, told.event_ms
        duration_s = (event_ms - onset_ms) / 1000
        words = {
            "sensor": subject,
            "asset": asset or gateway,
            "facility": facility,
            "gateway": gateway,
            "kind": kind,
            "unit": unit,
            "value": told.value,
            "limit": told.limit,
            "duration_s": duration_s,
            "rule": rule.name,
            "severity": told.severity,
            "count": told.matched,
        }
        down = f"{subject}: {rule.name} came down to {told.severity}"
        ended = f"{subject}: {rule.name} ended after {duration_s:.6g} s"
        plain = ended if told.status == RESOLVED else down
        return AlertEvent(
            id=alert_id(facility, gateway, subject, rule.name, rule.version, onset_ms),
            status=told.status,
            rule=rule.name,
            rule_version=rule.version,
            severity=told.severity,
            facility=facility,
            gateway=gateway,
            subject=subject,
            asset=asset,
            kind=kind,
            unit=unit,
            value=told.value,
            limit=told.limit,
            onset_ms=onset_ms,
            event_ms=event_ms,
            created_ms=occasion.created_ms,
            late=occasion.late,
            text=render(told.text, words) if told.text else plain,
            traceparent=occasion.traceparent,
        )
