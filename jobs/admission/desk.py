"""The desk that hands out tokens: words in, tokens out, without a clock or a network.

    desk = Desk(budget=2_000_000, began_ms=now_ms)
    desk.heard(word, now_ms)             # each word of each gateway
    for grant in desk.hand_out(now_ms): ...

At no time do the valid tokens of all gateways together allow more than the budget, also if a
gateway has not read its newest one: a larger token counts until it expires, and only what is free
is given. The desk keeps nothing: a new one first waits until its predecessor's tokens have expired.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from udfs.ledger import Word
from udfs.shares import BATCH_COST, Grant, Rates, divide

LIFE_MS = 15_000
RENEW_MS = 5_000
SILENT_MS = 30_000  # three words
MAX_GATEWAYS = 20_000

# what a gateway can use: all that it has in this time, within what any gateway sends at all
_DRAIN_S = 5.0
_BATCHES_PER_S = (2.0, 20.0)
_LEAST = 1.0


@dataclass(slots=True)
class _Guest:
    """A gateway: what its last word said, and its tokens that are valid still."""

    word: Word
    heard_ms: int
    tokens: list[Grant] = field(default_factory=list)

    def held(self, now_ms: int) -> float:
        """The largest rate that it may believe in."""
        self.tokens = [token for token in self.tokens if token.expires_ms > now_ms]
        return max((token.readings_per_s for token in self.tokens), default=0.0)

    def waits(self, now_ms: int) -> bool:
        """Whether it has a backlog, and is there."""
        return bool(self.word.pending) and now_ms - self.heard_ms <= SILENT_MS

    def cap(self) -> float:
        """Readings a second that it can use."""
        cost = self.word.readings / max(self.word.sent_through + 1, 1) + BATCH_COST
        least, most = _BATCHES_PER_S
        return cost * min(max((self.word.pending or 0) / _DRAIN_S, least), most)


class Desk:
    """Shares one cell's budget among the gateways that have a backlog."""

    def __init__(self, budget: float, began_ms: int) -> None:
        """Args: budget: readings a second. began_ms: when this desk was opened."""
        self.budget = budget
        self._opens_ms = began_ms + LIFE_MS
        self._guests: dict[tuple[str, str], _Guest] = {}
        self.turned_away = 0  # words of gateways past MAX_GATEWAYS

    def heard(self, word: Word, now_ms: int) -> None:
        """A gateway's word came."""
        key = (word.facility, word.gateway)
        guest = self._guests.get(key)
        if guest is None:
            if len(self._guests) >= MAX_GATEWAYS:
                self.turned_away += 1
            else:
                self._guests[key] = _Guest(word, now_ms)
        elif word.epoch >= guest.word.epoch:
            guest.word, guest.heard_ms = word, now_ms

    def hand_out(self, now_ms: int) -> list[Grant]:
        """New tokens for all that wait, and withdrawals from those that do not any more."""
        if now_ms < self._opens_ms:
            return []
        held = {key: guest.held(now_ms) for key, guest in self._guests.items()}
        waiting = sorted(key for key, guest in self._guests.items() if guest.waits(now_ms))
        caps = np.array([self._guests[key].cap() for key in waiting])
        rates = self._rates(caps, np.array([held[key] for key in waiting]), sum(held.values()))
        grants = [self._give(*pair, now_ms) for pair in zip(waiting, rates, strict=True)]
        gone = held.keys() - set(waiting)
        grants += [self._give(key, 0.0, now_ms) for key in sorted(gone) if self._believes(key)]
        self._forget(now_ms)
        return [grant for grant in grants if grant is not None]

    @property
    def known(self) -> int:
        """Gateways that spoke lately, with or without a backlog."""
        return len(self._guests)

    def _rates(self, caps: Rates, held: Rates, held_by_all: float) -> Rates:
        """Fair shares; who gets more than before gets it out of what is free now."""
        fair = divide(self.budget, caps)
        kept = np.minimum(fair, held)
        rates: Rates = kept + divide(self.budget - held_by_all, fair - kept)
        return rates

    def _give(self, key: tuple[str, str], rate: float, now_ms: int) -> Grant | None:
        tokens = self._guests[key].tokens
        if rate < _LEAST:
            if not self._believes(key):
                return None
            rate = 0.0
        whole = float(math.floor(rate))  # rounded up, 500 of them would pass the budget
        grant = Grant(*key, whole, now_ms + LIFE_MS, now_ms)
        tokens.append(grant)
        return grant

    def _believes(self, key: tuple[str, str]) -> bool:
        """Whether the gateway's newest token allows anything."""
        tokens = self._guests[key].tokens
        return bool(tokens) and tokens[-1].readings_per_s > 0

    def _forget(self, now_ms: int) -> None:
        for key, guest in list(self._guests.items()):
            if now_ms - guest.heard_ms > SILENT_MS and not guest.tokens:
                del self._guests[key]
