"""Escalation and de-escalation of an alert, as an author writes it."""

from __future__ import annotations

from typing import Literal

from udfs.rules.base import SomeSeconds, Strict


class EscalateModel(Strict):
    """From then on the alert has this severity (and text, where one is given)."""

    after_s: SomeSeconds
    severity: Literal["info", "warning", "critical"]
    text: str | None = None


class DeEscalateModel(Strict):
    """One level down after each `after_s` of quiet; from the lowest level it is resolved."""

    after_s: SomeSeconds
