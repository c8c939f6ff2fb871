"""The pace of the backlog."""

from __future__ import annotations

import numpy as np
import pytest

from edge.uplink.pacing import FLOOR, Pacing
from udfs.shares import BATCH_COST

BATCH = 5_000 + BATCH_COST
DAY = 86_400
NOW = 1_700_000_000_000


class Plant:
    """A gateway with 5,000 sensors at 1 Hz; turn it on by seconds of 100 ms steps."""

    def __init__(self, readings: int = 5_000, **options: object) -> None:
        self.pacing = Pacing(**({"factor": 4.0, "needs_grant": False} | options))  # type: ignore[arg-type]
        self.cost = readings + BATCH_COST
        self.now_ms, self.made = NOW, 0

    def second(self, latency_ms: float | None = 5.0, batch: int = BATCH) -> int:
        """A second of live data. Returns: batches of the backlog that went beside them."""
        sent = 0
        for step in range(10):
            self.now_ms += 100
            self.pacing.produced(self.made, self.now_ms)
            if step == 5:
                self.made += self.cost
                if latency_ms is not None:
                    self.pacing.live_answered(latency_ms, self.now_ms)
            while self.pacing.may_send(self.now_ms):
                self.pacing.sent(batch)
                self.pacing.answered(batch)
                sent += 1
        return sent

    def settle(self) -> float:
        for _ in range(15):
            self.second()
        return self.pacing.pace(self.now_ms)


def test_the_cap_is_a_multiple_of_what_the_plant_makes() -> None:
    assert Plant().settle() == pytest.approx(4 * BATCH, rel=0.02)
    assert Plant(factor=2.0).settle() == pytest.approx(2 * BATCH, rel=0.02)


def test_a_day_is_drained_in_six_hours_beside_live_data() -> None:
    plant = Plant()
    for _ in range(10):
        plant.second(latency_ms=None)  # the end of the outage: the plant works, nothing is answered
    left, seconds = DAY, 0
    while left > 0:
        left -= plant.second()
        seconds += 1
    assert 5.9 * 3600 < seconds <= 6 * 3600


def test_a_plant_that_stands_still_drains_at_the_floor() -> None:
    plant = Plant(readings=0)  # empty batches only
    assert plant.settle() == FLOOR
    sent = sum(plant.second() for _ in range(60))
    assert sent == pytest.approx(60 * FLOOR / BATCH, abs=3)


def test_the_pace_is_halved_when_live_answers_take_twice_as_long() -> None:
    plant = Plant()
    for _ in range(15):
        plant.second(latency_ms=150)
    before = plant.pacing.pace(plant.now_ms)
    plant.second(latency_ms=320)  # one may be an accident
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(before, rel=0.05)
    plant.second(latency_ms=320)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(before / 2, rel=0.05)
    for _ in range(3):
        plant.second(latency_ms=320)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(BATCH / 2)  # half the live rate


def test_an_answer_now_and_then_that_is_slow_is_no_reason() -> None:
    plant = Plant()
    full = plant.settle()
    for number in range(30):
        plant.second(latency_ms=5 if number % 4 else 900)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(full, rel=0.02)


def test_it_recovers_in_equal_steps() -> None:
    plant = Plant()
    full = plant.settle()
    for _ in range(6):
        plant.second(latency_ms=400)
    low = plant.pacing.pace(plant.now_ms)
    assert low == pytest.approx(full / 8)
    paces = []
    for _ in range(12):
        plant.second()
        paces.append(plant.pacing.pace(plant.now_ms))
    steps = np.diff(paces[2:9])
    assert steps == pytest.approx(full / 10, rel=0.05)
    assert paces[-1] == pytest.approx(full, rel=0.05)


def test_noise_of_a_fast_network_is_no_reason() -> None:
    plant = Plant()
    full = plant.settle()
    for latency_ms in (3, 9, 90, 3, 99, 98):
        plant.second(latency_ms=latency_ms)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(full, rel=0.02)


def test_a_way_that_became_longer_for_good_is_learned() -> None:
    plant = Plant()
    full = plant.settle()
    for _ in range(3600):
        plant.second(latency_ms=300)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(full, rel=0.02)


def test_an_answer_that_does_not_come_slows_down_too() -> None:
    plant = Plant()
    full = plant.settle()
    for second in range(1, 8):
        plant.pacing.live_waiting(second * 1000, plant.now_ms + second * 1000)
    assert plant.pacing.pace(plant.now_ms + 7000) == pytest.approx(full / 8)


def test_without_live_data_nothing_is_spared_for_ever() -> None:
    plant = Plant()
    plant.settle()
    for _ in range(20):
        plant.second(latency_ms=5000)
    low = plant.pacing.pace(plant.now_ms)
    plant.pacing.live_waiting(0, plant.now_ms + 5_000)
    assert plant.pacing.pace(plant.now_ms + 5_000) == low  # the next batch may come yet
    for second in range(11, 23):
        plant.pacing.live_waiting(0, plant.now_ms + second * 1000)
    assert plant.pacing.pace(plant.now_ms + 23_000) == pytest.approx(4 * BATCH, rel=0.02)


def test_what_is_stuck_does_not_pile_up() -> None:
    plant = Plant()
    plant.settle()
    sent = 0
    for _ in range(100):
        plant.now_ms += 100
        if plant.pacing.may_send(plant.now_ms):
            plant.pacing.sent(BATCH)
            sent += 1
    assert sent in (4, 5)  # a second of the pace
    plant.pacing.answered(2 * BATCH)
    assert plant.pacing.may_send(plant.now_ms)


def test_a_token_caps_the_pace_until_it_expires() -> None:
    plant = Plant(needs_grant=True)
    plant.settle()
    assert plant.pacing.pace(plant.now_ms) == 0
    plant.pacing.granted(10_000, plant.now_ms + 15_000)
    sent = sum(plant.second() for _ in range(14))
    assert sent == pytest.approx(14 * 10_000 / BATCH, abs=2)
    plant.pacing.granted(0, plant.now_ms + 15_000)  # withdrawn
    assert plant.pacing.pace(plant.now_ms) == 0
    plant.pacing.granted(10_000, plant.now_ms + 15_000)
    assert plant.pacing.pace(plant.now_ms + 14_999) == 10_000
    assert plant.pacing.pace(plant.now_ms + 15_000) == 0


def test_more_is_granted_than_the_gateway_may() -> None:
    plant = Plant(needs_grant=True)
    plant.settle()
    plant.pacing.granted(1e9, plant.now_ms + 15_000)
    assert plant.pacing.pace(plant.now_ms) == pytest.approx(4 * BATCH, rel=0.02)


def test_a_clock_that_is_set_back_or_forward() -> None:
    plant = Plant()
    full = plant.settle()
    for jump_ms in (-3_600_000, 7_200_000):
        plant.now_ms += jump_ms
        assert plant.second() <= 12  # never more than the burst
        for _ in range(20):
            plant.second()
        assert plant.pacing.pace(plant.now_ms) == pytest.approx(full, rel=0.05)


def test_a_new_epoch_counts_from_nought() -> None:
    plant = Plant()
    plant.settle()
    plant.made = 0
    assert plant.settle() == pytest.approx(4 * BATCH, rel=0.05)
