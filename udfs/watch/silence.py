"""Silence of a whole gateway, judged by the wall clock because nothing comes by which to judge it.

One alarm a rule, not one a sensor. Its onset is the event time of the gateway's last batch, so its
id does not depend on when a timer ran.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Silent(NamedTuple):
    """A gateway fell silent or is back, as the rule of that key sees it."""

    rule: str
    firing: bool
    onset_ms: int
    event_ms: int
    silent_s: float
    limit_s: float


@dataclass(slots=True)
class Silence:
    """State: when the gateway was last heard, and for which rules it is silent.

    for_ms: after which silence each rule fires, by the rule's key. heard_ms: wall clock of the
    last batch, None before the first. newest_ms: newest event time. onset_ms: of rules that fire.
    """

    for_ms: dict[str, int]
    heard_ms: int | None = None
    newest_ms: int = 0
    onset_ms: dict[str, int] = field(default_factory=dict)

    def hear(self, time_ms: int, arrival_ms: int) -> list[Silent]:
        """A batch came, of any lane. Returns: the rules for which the gateway was silent."""
        elapsed_ms = arrival_ms - self.heard_ms if self.heard_ms is not None else 0
        back = [
            Silent(rule, False, onset, time_ms, elapsed_ms / 1000, self.for_ms[rule] / 1000)
            for rule, onset in sorted(self.onset_ms.items())
        ]
        self.onset_ms.clear()
        self.heard_ms = max(arrival_ms, self.heard_ms or 0)
        self.newest_ms = max(time_ms, self.newest_ms)
        return back

    def judge(self, now_ms: int) -> list[Silent]:
        """The rules that find the gateway silent since they were last asked."""
        if self.heard_ms is None:
            return []
        elapsed_ms = now_ms - self.heard_ms
        due = [r for r, t in self.for_ms.items() if elapsed_ms >= t and r not in self.onset_ms]
        for rule in due:
            self.onset_ms[rule] = self.newest_ms
        found_ms = self.newest_ms + elapsed_ms
        return [
            Silent(r, True, self.newest_ms, found_ms, elapsed_ms / 1000, self.for_ms[r] / 1000)
            for r in due
        ]

    def wake_at(self) -> int | None:
        """Wall clock at which `judge` will next find something if nothing comes until then."""
        waiting = [time for rule, time in self.for_ms.items() if rule not in self.onset_ms]
        if self.heard_ms is None or not waiting:
            return None
        return self.heard_ms + min(waiting)
