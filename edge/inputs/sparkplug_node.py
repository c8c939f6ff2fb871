"""One edge node: its session, its births, and whether a number of a message is missing."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.inputs.sparkplug_births import Birth, Source
from edge.sparkplug.decode import Decoder

NUMBERS = 256
_REBIRTH_EVERY_MS = 10_000


@dataclass(slots=True)
class Device:
    """A device, or what an edge node says of itself.

    birth: the valid one, made at `since_ms` by its clock; None before the first, and after a birth
    of its node. former: the one before it, where that said something else: what comes again from
    before the birth is read by it.
    """

    source: Source
    birth: Birth | None = None
    former: Birth | None = None
    since_ms: int = 0
    alive: bool = True
    label: str = field(init=False)

    def __post_init__(self) -> None:
        self.label = str(self.source)

    def install(self, birth: Birth, time_ms: int) -> None:
        """A birth that is news. One that says the same keeps what was learned of the payloads."""
        known = self.birth or self.former
        if known is not None and known.entries == birth.entries:
            birth = Birth(known.decoder, birth.sensors)
            self.former = self.former if self.birth is not None else None
        elif known is not None:
            self.former = known
        self.birth, self.since_ms, self.alive = birth, time_ms, True

    def void(self) -> None:
        """Its node was born anew: what its aliases mean, its own birth will say."""
        self.alive = False
        if self.birth is not None:
            self.birth, self.former = None, self.birth

    def decoder(self, sent_ms: int | None = None) -> Decoder | None:
        """What reads its data. Args: sent_ms: when a message that came again was made, UTC ms."""
        older = sent_ms is not None and (self.birth is None or sent_ms < self.since_ms)
        birth = self.former if older and self.former is not None else self.birth
        return None if birth is None else birth.decoder


@dataclass(slots=True)
class Node:
    """An edge node and its devices; "" is itself."""

    group: str
    name: str
    bd_seq: int | None = None
    birth_ms: int = 0
    heard: bool = False
    devices: dict[str, Device] = field(default_factory=dict)
    _last: int | None = None
    _asked_ms: int | None = None

    def device(self, name: str) -> Device:
        """The device of that name, a new one if it was not heard of yet."""
        found = self.devices.get(name)
        if found is None:
            found = self.devices[name] = Device(Source(self.group, self.name, name))
        return found

    def restart(self, seq: int | None) -> None:
        """Its birth: numbers go on from here."""
        self._last = seq

    def missing(self, seq: int | None, redelivered: bool) -> int:
        """How many messages are missing before this one.

        What comes again says nothing: it may be any number, and those between may have been
        acknowledged. So it is not judged, and the first new message after it is a new beginning.
        The same or an older number is a message that somebody sent twice.
        """
        if seq is None:
            return 0
        if redelivered or self._last is None:
            self._last = None if redelivered else seq
            return 0
        ahead = (seq - self._last) % NUMBERS
        if not 0 < ahead <= NUMBERS // 2:
            return 0
        self._last = seq % NUMBERS
        return ahead - 1

    def may_ask(self, now_ms: int) -> bool:
        """Whether to ask for births now; if so, the next time is some seconds away."""
        asked = self._asked_ms
        if asked is not None and 0 <= now_ms - asked < _REBIRTH_EVERY_MS:
            return False
        self._asked_ms = now_ms
        return True
