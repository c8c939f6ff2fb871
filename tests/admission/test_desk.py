"""The desk: 500 gateways come back at once, and the cell is not flooded."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from jobs.admission import desk as desk_module
from jobs.admission.desk import LIFE_MS, RENEW_MS, SILENT_MS, Desk
from jobs.admission.run import hear
from jobs.common.tail import Message
from udfs.ledger import Word, encode_word
from udfs.shares import Grant

NOW = 1_700_000_000_000
SENSORS = 5_000


def word(gateway: str = "gw-1", pending: int | None = 10_000, epoch: int = 1) -> Word:
    return Word("plant", gateway, epoch, 99_999, 100_000 * SENSORS, pending=pending)


def opened(budget: float = 1_000_000) -> Desk:
    return Desk(budget, NOW - LIFE_MS)


def rates(grants: list[Grant]) -> dict[str, float]:
    return {grant.gateway: grant.readings_per_s for grant in grants}


def test_a_new_desk_waits_for_the_tokens_of_the_one_before() -> None:
    desk = Desk(1_000_000, NOW)
    desk.heard(word(), NOW)
    assert desk.hand_out(NOW + LIFE_MS - 1) == []
    assert desk.hand_out(NOW + LIFE_MS) != []


def test_one_gateway_gets_no_more_than_it_can_use() -> None:
    desk = opened(budget=1e9)
    desk.heard(word(pending=10_000), NOW)
    (grant,) = desk.hand_out(NOW)
    assert grant == Grant("plant", "gw-1", 20 * 5_100.0, NOW + LIFE_MS, NOW)
    desk.heard(word(pending=50), NOW)
    assert rates(desk.hand_out(NOW)) == {"gw-1": 10 * 5_100.0}
    desk.heard(word(pending=1), NOW)
    assert rates(desk.hand_out(NOW)) == {"gw-1": 2 * 5_100.0}


def test_who_has_no_backlog_gets_no_token() -> None:
    desk = opened()
    desk.heard(word("idle", pending=0), NOW)
    desk.heard(word("old-version", pending=None), NOW)
    assert desk.hand_out(NOW) == []


def test_a_token_is_withdrawn_once_when_the_backlog_is_gone() -> None:
    desk = opened()
    desk.heard(word(), NOW)
    desk.hand_out(NOW)
    desk.heard(word(pending=0), NOW + 5_000)
    assert rates(desk.hand_out(NOW + 5_000)) == {"gw-1": 0.0}
    assert desk.hand_out(NOW + 10_000) == []


def test_a_silent_gateway_is_withdrawn_and_then_forgotten() -> None:
    desk = opened()
    desk.heard(word(), NOW)
    for after_ms in range(0, SILENT_MS + 1, RENEW_MS):
        assert rates(desk.hand_out(NOW + after_ms))["gw-1"] > 0
    assert rates(desk.hand_out(NOW + SILENT_MS + RENEW_MS)) == {"gw-1": 0.0}
    desk.hand_out(NOW + SILENT_MS + RENEW_MS + LIFE_MS)
    assert desk.known == 0


def test_a_newcomer_gets_only_what_is_free_until_older_tokens_expire() -> None:
    desk = opened(budget=100_000)
    desk.heard(word("first"), NOW)
    assert rates(desk.hand_out(NOW)) == {"first": 100_000}
    desk.heard(word("second"), NOW + 1_000)
    assert rates(desk.hand_out(NOW + 5_000)) == {"first": 50_000}
    assert rates(desk.hand_out(NOW + 10_000)) == {"first": 50_000}
    assert rates(desk.hand_out(NOW + 15_000)) == {"first": 50_000, "second": 50_000}


def test_an_old_epoch_does_not_speak_for_a_new_one() -> None:
    desk = opened()
    desk.heard(word(pending=10_000, epoch=2), NOW)
    desk.heard(word(pending=0, epoch=1), NOW)
    assert rates(desk.hand_out(NOW))["gw-1"] > 0


def test_gateways_past_the_bound_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "MAX_GATEWAYS", 2)
    desk = opened()
    for name in ("a", "b", "c"):
        desk.heard(word(name), NOW)
    assert (desk.known, desk.turned_away) == (2, 1)


def test_only_a_word_of_the_topics_own_facility_is_heard() -> None:
    desk = opened()
    for value in (b"junk", encode_word(Word("other", "gw-1", 1, 9, 50, pending=5))):
        hear(desk, Message("ledger.plant", "gw-1", value, {}, 0.0), NOW)
    assert desk.known == 0
    value = json.dumps(json.loads(encode_word(word()))).encode()
    hear(desk, Message("ledger.plant", "gw-1", value, {}, 0.0), NOW)
    assert desk.known == 1


@dataclass
class Cell:
    """Gateways that come back one after the other, and what they make of their tokens."""

    budget: float
    pending: np.ndarray
    comes_s: np.ndarray
    deaf: set[int] = field(default_factory=set)  # they never read a newer token
    tokens: dict[int, Grant] = field(default_factory=dict)
    valid: list[tuple[int, Grant]] = field(default_factory=list)
    most: float = 0.0

    def run(self, seconds: int, restarts: tuple[int, ...] = ()) -> int | None:
        """Returns: the second in which the last backlog was gone."""
        desk = Desk(self.budget, NOW - LIFE_MS)
        for second in range(seconds):
            now_ms = NOW + second * 1000
            if second in restarts:
                desk = Desk(self.budget, now_ms)
            for number in range(len(self.pending)):
                if second >= self.comes_s[number] and (second + number) % 10 == 0:
                    desk.heard(word(f"gw-{number}", int(np.ceil(self.pending[number]))), now_ms)
            if second % 5 == 0:
                self._hear(desk.hand_out(now_ms), now_ms)
            self._send(now_ms)
            if not self.pending.any():
                return second
        return None

    def _hear(self, grants: list[Grant], now_ms: int) -> None:
        for grant in grants:
            number = int(grant.gateway.removeprefix("gw-"))
            self.valid.append((number, grant))
            if number not in self.deaf or number not in self.tokens:
                self.tokens[number] = grant
        self.valid = [item for item in self.valid if item[1].expires_ms > now_ms]
        largest: dict[int, float] = {}
        for number, grant in self.valid:
            largest[number] = max(largest.get(number, 0.0), grant.readings_per_s)
        self.most = max(self.most, sum(largest.values()))

    def _send(self, now_ms: int) -> None:
        for number, grant in self.tokens.items():
            if grant.expires_ms > now_ms:
                batches = min(grant.readings_per_s, 4 * 5_100) / 5_100
                self.pending[number] = max(0.0, self.pending[number] - batches)


def test_500_gateways_drain_within_the_budget() -> None:
    batches = 60.0
    cell = Cell(1_000_000, np.full(500, batches), np.arange(500) % 20)
    done_s = cell.run(400)
    assert cell.most <= 1_000_000
    ideal_s = 500 * batches * 5_100 / 1_000_000
    assert done_s is not None and done_s <= ideal_s * 1.4 + 40


def test_shares_are_equal_among_equals() -> None:
    cell = Cell(1_000_000, np.full(500, 1e6), np.arange(500) % 20)
    cell.run(60)
    found = [grant.readings_per_s for grant in cell.tokens.values()]
    assert len(found) == 500
    assert min(found) == pytest.approx(2_000, rel=0.01)
    assert max(found) == pytest.approx(2_000, rel=0.01)


def test_a_restart_of_the_desk_never_doubles_the_budget() -> None:
    cell = Cell(500_000, np.full(100, 300.0), np.zeros(100, int))
    done_s = cell.run(1200, restarts=(40, 43, 90))
    assert cell.most <= 500_000
    assert done_s is not None
