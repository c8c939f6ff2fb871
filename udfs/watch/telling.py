"""Findings in words: the alert events of one gateway."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from udfs.alerts import ASSET, FIRING, GATEWAY, RESOLVED, UPDATED, AlertEvent, alert_id, finite
from udfs.catalogue import Catalogue
from udfs.condition_events import BEGIN, END, ConditionEvent
from udfs.conditions.latch import Found
from udfs.watch.assets import Assets
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
    """What is told of a rule; a `udfs.rules.model.Rule` is one."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def severity(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True)
class About:
    """A subject of alerts. unit: of the sensor (or signal) itself."""

    subject: str
    asset: str
    kind: str
    unit: str


class Teller:
    """Makes alert events and condition events of what is found at one gateway."""

    def __init__(self, catalogue: Catalogue, assets: Assets) -> None:
        self._catalogue, self._assets = catalogue, assets

    def sensor(self, slot: int) -> About:
        """A sensor as a subject."""
        c = self._catalogue
        return About(c.name[slot], c.asset[slot], c.kind[slot], c.unit[slot])

    def asset(self, number: int, unit: str = "") -> About:
        """An asset as a subject. unit: of the signal that is judged."""
        name = self._assets.name[number]
        return About(name, name, ASSET, unit)

    def tell(
        self, rule: Named, about: About, unit: str, told: Told, occasion: Occasion
    ) -> AlertEvent:
        """What an alert came to. unit: of value and limit, "{}" is the subject's own."""
        return self._event(rule, replace(about, unit=unit.format(about.unit)), told, occasion)

    def condition(
        self, rule: Named, event: str, about: About, unit: str, found: Found, late: bool
    ) -> ConditionEvent:
        """A condition event. event: its name in the rule."""
        return ConditionEvent(
            facility=self._catalogue.facility,
            gateway=self._catalogue.gateway,
            asset=about.asset,
            subject=about.subject,
            rule=rule.name,
            rule_version=rule.version,
            event=event,
            phase=BEGIN if found.firing else END,
            time_ms=found.event_ms,
            onset_ms=found.onset_ms,
            value=finite(found.value),
            limit=finite(found.limit),
            unit=unit.format(about.unit),
            late=late,
        )

    def gateway(self, rule: Named, silent: Silent, occasion: Occasion) -> AlertEvent:
        """The gateway fell silent or is back."""
        status, text = (FIRING, rule.text) if silent.firing else (RESOLVED, "")
        times = silent.onset_ms, silent.event_ms
        told = Told(status, rule.severity, text, *times, silent.silent_s, silent.limit_s)
        return self._event(rule, About(GATEWAY, "", GATEWAY, "s"), told, occasion)

    def _event(self, rule: Named, about: About, told: Told, occasion: Occasion) -> AlertEvent:
        facility, gateway = self._catalogue.facility, self._catalogue.gateway
        value, limit = finite(told.value), finite(told.limit)
        words = {
            "sensor": about.subject,
            "asset": about.asset or gateway,
            "facility": facility,
            "gateway": gateway,
            "kind": about.kind,
            "unit": about.unit,
            "value": value,
            "limit": limit,
            "duration_s": (told.event_ms - told.onset_ms) / 1000,
            "rule": rule.name,
            "severity": told.severity,
            "count": told.matched,
        }
        return AlertEvent(
            id=alert_id(facility, gateway, about.subject, rule.name, rule.version, told.onset_ms),
            status=told.status,
            rule=rule.name,
            rule_version=rule.version,
            severity=told.severity,
            facility=facility,
            gateway=gateway,
            subject=about.subject,
            asset=about.asset,
            kind=about.kind,
            unit=about.unit,
            value=value,
            limit=limit,
            onset_ms=told.onset_ms,
            event_ms=told.event_ms,
            created_ms=occasion.created_ms,
            late=occasion.late,
            text=render(told.text or _OWN_WORDS[told.status], words),
            traceparent=occasion.traceparent,
        )


# what is said where a rule has no words for it
_OWN_WORDS = {
    RESOLVED: "{sensor}: {rule} ended after {duration_s:.6g} s",
    UPDATED: "{sensor}: {rule} came down to {severity}",
}
