"""Alert events put together again: the life of each alert."""

from __future__ import annotations

from dataclasses import dataclass, field

from udfs.alerts import FIRING, RESOLVED, AlertEvent


@dataclass(slots=True)
class Life:
    """An alert from its first event to its last. resolved: None while it fires."""

    firing: AlertEvent
    updates: list[AlertEvent] = field(default_factory=list)
    resolved: AlertEvent | None = None

    @property
    def end_ms(self) -> int | None:
        """When it was resolved."""
        return None if self.resolved is None else self.resolved.event_ms


@dataclass(slots=True)
class Lives:
    """All alerts, in the order in which they began to fire."""

    all: list[Life] = field(default_factory=list)
    _open: dict[str, Life] = field(default_factory=dict)

    def take(self, event: AlertEvent) -> None:
        """Take in an event; one about an alert that never fired is passed over."""
        if event.status == FIRING:
            if event.id not in self._open:
                self.all.append(Life(event))
                self._open[event.id] = self.all[-1]
        elif event.status == RESOLVED:
            if (life := self._open.pop(event.id, None)) is not None:
                life.resolved = event
        elif event.id in self._open:
            self._open[event.id].updates.append(event)
