"""Local alarms: what fires now, what happened lately, and how a panel at the site hears of it.

    board = AlarmBoard("hardiot/plant-07/gw-1/alarms")
    messages = board.begin(prescreen.firing, recent)    # at start
    messages = board.take(events)                       # events that are on disk
    messages = board.messages()                         # after each connect to the broker

Each alarm has one MQTT topic, `<alarm topic>/<rule>/<subject>`. While it fires, its newest event is
retained there (firing, or updated when its severity changed), so that a panel that connects later
sees it. When it is resolved, the resolved event comes once, not retained, then an empty retained
message that clears the topic. In the subject, `/`, `+`, `#`, `%` and control characters are
percent-encoded, so that all topics have as many levels.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from udfs.alerts import FIRING, RESOLVED, SEVERITIES, UPDATED, AlertEvent, to_json

MAX_FIRING = 2000
MAX_EVENTS = 200
WORST_FIRST = tuple(reversed(SEVERITIES))

_SPECIAL = re.compile(r"[%/+#\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Message:
    """An MQTT message to publish, QoS 1."""

    topic: str
    payload: bytes
    retain: bool


class Firing:
    """The alerts that fire, in the order in which they began. One thread changes it, any may look.

    A site that loses all its sensors at once has tens of thousands: of the first MAX_FIRING
    everything is kept, of the others only the severity.
    """

    def __init__(self) -> None:
        self._known: dict[str, AlertEvent] = {}
        self._more: dict[str, str] = {}  # severity by id

    def take(self, event: AlertEvent) -> bool:
        """Note an event. Returns: False when it tells nothing new."""
        here = event.id in self._known or event.id in self._more
        if event.status == RESOLVED:
            self._known.pop(event.id, None)
            self._more.pop(event.id, None)
            return here
        if here and not self._is_newer(event):
            return False
        if event.id in self._known or (not here and len(self._known) < MAX_FIRING):
            self._known[event.id] = event
        else:
            self._more[event.id] = event.severity
        return True

    def _is_newer(self, event: AlertEvent) -> bool:
        """Whether an alert that fires has another severity now."""
        if event.status != UPDATED:
            return False
        known = self._known.get(event.id)
        if known is None:
            return self._more[event.id] != event.severity
        return known.status == FIRING or event.event_ms > known.event_ms

    def events(self) -> list[AlertEvent]:
        """The alerts of which everything is known."""
        return list(self._known.values())

    def by_severity(self) -> dict[str, int]:
        """How many fire, of each severity, all of them counted."""
        found = Counter(event.severity for event in self.events())
        found.update(list(self._more.values()))
        return {severity: found[severity] for severity in WORST_FIRST}

    def to_plain(self) -> dict[str, Any]:
        """The state as what JSON knows."""
        return {"known": [asdict(event) for event in self.events()], "more": self._more}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Firing:
        """The state that `to_plain` gave."""
        made = cls()
        made._known = {each["id"]: AlertEvent(**each) for each in plain["known"]}
        made._more = dict(plain["more"])
        return made


@dataclass(frozen=True, slots=True)
class Alarms:
    """What a person is shown. firing: worst first, then newest. events: newest first."""

    firing: tuple[AlertEvent, ...] = ()
    by_severity: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(WORST_FIRST, 0))
    events: tuple[AlertEvent, ...] = ()

    @property
    def count(self) -> int:
        """How many fire, those without details included."""
        return sum(self.by_severity.values())


class AlarmBoard:
    """The alarms of one gateway. One thread changes it; `view` may be called by any."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._firing = Firing()
        self._events: deque[AlertEvent] = deque(maxlen=MAX_EVENTS)
        self._shown: dict[str, str] = {}  # id of the alert that is retained on each topic

    def begin(self, firing: Firing, recent: Iterable[AlertEvent] = ()) -> list[Message]:
        """Go on after a start. Args: recent: the newest events in the spool, oldest first.

        Returns: as `messages`; it also clears what was resolved just before the gateway went.
        """
        self._firing = Firing.from_plain(firing.to_plain())
        self._events.extend(recent)
        self._shown = {self.topic_of(event): event.id for event in firing.events()}
        return self.messages()

    def take(self, events: Sequence[AlertEvent]) -> list[Message]:
        """Note events. Returns: what to publish; nothing for events that were there before."""
        messages: list[Message] = []
        for event in events:
            if self._firing.take(event):
                self._events.append(event)
                messages += self._tell(event)
        return messages

    def messages(self) -> list[Message]:
        """Everything that is to be retained now, and what is to be clear of the last events."""
        kept = [self._retained(event) for event in self._firing.events()]
        ended = {self.topic_of(event) for event in self._events} - self._shown.keys()
        return [Message(topic, b"", True) for topic in sorted(ended)] + kept

    def view(self) -> Alarms:
        """What to show now."""
        order = {severity: place for place, severity in enumerate(WORST_FIRST)}
        firing = sorted(self._firing.events(), key=lambda e: (order[e.severity], -e.onset_ms))
        return Alarms(tuple(firing), self._firing.by_severity(), tuple(reversed(self._events)))

    def topic_of(self, event: AlertEvent) -> str:
        """The alarm's own topic."""
        subject = _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", event.subject)
        return f"{self._topic}/{event.rule}/{subject}"

    def _tell(self, event: AlertEvent) -> list[Message]:
        topic = self.topic_of(event)
        if event.status == FIRING or (event.status == UPDATED and topic not in self._shown):
            self._shown[topic] = event.id
        mine = self._shown.get(topic) == event.id  # else a newer alert has the topic now
        if event.status != RESOLVED:
            return [Message(topic, to_json(event), mine)]
        resolved = Message(topic, to_json(event), False)
        if not mine:
            return [resolved]
        del self._shown[topic]
        return [resolved, Message(topic, b"", True)]

    def _retained(self, event: AlertEvent) -> Message:
        return Message(self.topic_of(event), to_json(event), True)
