"""When a rule judges: shifts, maintenance windows."""

from __future__ import annotations

from udfs.rules.base import Strict


class ScheduleModel(Strict):
    """Times at which a rule judges."""

    zone: str = "UTC"

    def active(self, time_ms: int) -> bool:
        """Whether the rule judges readings of that time (UTC epoch ms)."""
        return True
