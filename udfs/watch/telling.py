"""Findings in words: the alert events of one gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from udfs.alerts import FIRING, GATEWAY, RESOLVED, AlertEvent, alert_id, finite
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Found
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


@dataclass(frozen=True)
class Teller:
    """Makes alert events of findings at one gateway."""

    catalogue: Catalogue

    def sensor(
        self, rule: Named, unit: str, slot: int, found: Found, occasion: Occasion
    ) -> AlertEvent:
        """A sensor began or ceased to fire. unit: of value and limit, {} is the sensor's own."""
        catalogue = self.catalogue
        return self._event(
            rule,
            found.firing,
            occasion,
            subject=catalogue.name[slot],
            asset=catalogue.asset[slot],
            kind=catalogue.kind[slot],
            unit=unit.format(catalogue.unit[slot]),
            value=finite(found.value),
            limit=finite(found.limit),
            onset_ms=found.onset_ms,
            event_ms=found.event_ms,
        )

    def gateway(self, rule: Named, silent: Silent, occasion: Occasion) -> AlertEvent:
        """The gateway fell silent or is back."""
        return self._event(
            rule,
            silent.firing,
            occasion,
            subject=GATEWAY,
            asset="",
            kind=GATEWAY,
            unit="s",
            value=silent.silent_s,
            limit=silent.limit_s,
            onset_ms=silent.onset_ms,
            event_ms=silent.event_ms,
        )

    def _event(
        self,
        rule: Named,
        firing: bool,
        occasion: Occasion,
        *,
        subject: str,
        asset: str,
        kind: str,
        unit: str,
        value: float | None,
        limit: float | None,
        onset_ms: int,
        event_ms: int,
    ) -> AlertEvent:
        facility, gateway = self.catalogue.facility, self.catalogue.gateway
        duration_s = (event_ms - onset_ms) / 1000
        words = {
            "sensor": subject,
            "asset": asset or gateway,
            "facility": facility,
            "gateway": gateway,
            "kind": kind,
            "unit": unit,
            "value": value,
            "limit": limit,
            "duration_s": duration_s,
            "rule": rule.name,
            "severity": rule.severity,
        }
        ended = f"{subject}: {rule.name} ended after {duration_s:.6g} s"
        return AlertEvent(
            id=alert_id(facility, gateway, subject, rule.name, rule.version, onset_ms),
            status=FIRING if firing else RESOLVED,
            rule=rule.name,
            rule_version=rule.version,
            severity=rule.severity,
            facility=facility,
            gateway=gateway,
            subject=subject,
            asset=asset,
            kind=kind,
            unit=unit,
            value=value,
            limit=limit,
            onset_ms=onset_ms,
            event_ms=event_ms,
            created_ms=occasion.created_ms,
            late=occasion.late,
            text=render(rule.text, words) if firing else ended,
            traceparent=occasion.traceparent,
        )
