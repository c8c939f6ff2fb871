"""How often somebody who refuses is asked again."""

from __future__ import annotations

import structlog

from edge.uplink.transport import Delivery

log = structlog.get_logger()

_LEAST_MS, _MOST_MS = 1_000, 60_000


class BackOff:
    """When somebody who refused is asked again: after a second, then twice that, up to a minute."""

    def __init__(self) -> None:
        self._waits: dict[str, tuple[int, int]] = {}  # name: (wait, until)

    def until(self, name: str) -> int:
        """Not before this time."""
        return self._waits.get(name, (0, 0))[1]

    def refused(self, name: str, delivery: Delivery, now_ms: int) -> None:
        """They refused. Several refusals before they are asked again count and are told as one."""
        wait, until = self._waits.get(name, (0, 0))
        if now_ms < until:
            return
        wait = min(max(2 * wait, _LEAST_MS), _MOST_MS)
        self._waits[name] = (wait, now_ms + wait)
        log.error("kafka_refuses", what=name, reason=delivery.fault, detail=delivery.detail)

    def taken(self, name: str) -> None:
        """They took something."""
        self._waits.pop(name, None)
