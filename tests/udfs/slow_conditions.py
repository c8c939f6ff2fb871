"""The conditions once more, one sensor and one reading at a time, slow and obvious."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

GOOD, UNCERTAIN, BAD, STUCK, CLOCK_REPAIRED = range(5)
GAP_MS = 3000

Told = tuple[bool, int, int]  # fires, onset, time


@dataclass
class Latched:
    """Hot for long enough fires; cool ends it; a gap ends what is pending.

    Or, if `at_least` is given: so many hot ones of the last `of` fire, that many cool ones end it.
    """

    for_ms: int = 0
    at_least: int | None = None
    of: int = 1
    window: list[tuple[int, bool]] = field(default_factory=list)
    hot: bool = False
    since: int | None = None
    fires: bool = False
    last: int | None = None
    paused_ms: int = 0

    def usable(self, value: float, quality: int) -> bool:
        return quality in (GOOD, CLOCK_REPAIRED) and math.isfinite(value)

    def feed(self, time: int, value: float, quality: int) -> list[Told]:
        if not self.usable(value, quality):
            return []
        gap = self.last is not None and not 0 <= time - self.last <= GAP_MS
        self.paused_ms = time - self.last if gap and self.last is not None else 0
        self.last = time
        if gap:
            self.restart()
        return self.move(time, *self.test(time, value))

    def restart(self) -> None:
        if not self.fires:
            self.since, self.window = None, []

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        raise NotImplementedError

    def move(self, time: int, hot: bool, cool: bool) -> list[Told]:
        self.hot = hot
        if self.at_least is not None:
            return self.count_up(time, hot, cool, self.at_least)
        if self.fires:
            if not cool:
                return []
            told = (False, self.since or 0, time)
            self.fires, self.since = False, None
            return [told]
        if not hot:
            self.since = None
            return []
        self.since = time if self.since is None else self.since
        if time - self.since < self.for_ms:
            return []
        self.fires = True
        return [(True, self.since, time)]

    def count_up(self, time: int, hot: bool, cool: bool, at_least: int) -> list[Told]:
        self.window = [*self.window, (time, not cool if self.fires else hot)][-self.of :]
        marked = [when for when, mark in self.window if mark]
        if self.fires and not marked:
            told = (False, self.since or 0, time)
            self.fires, self.since = False, None
            return [told]
        if self.fires or len(marked) < at_least:
            return []
        self.fires, self.since = True, marked[-at_least]
        return [(True, marked[-at_least], time)]


@dataclass
class SlowThreshold(Latched):
    above: float = 0.0
    clear_below: float = 0.0

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        return value > self.above, value < self.clear_below


@dataclass
class SlowBand(Latched):
    low: float = 0.0
    high: float = 0.0
    margin: float = 0.0

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        inside = self.low + self.margin <= value <= self.high - self.margin
        return not self.low <= value <= self.high, inside


@dataclass
class SlowQuality(Latched):
    qualities: tuple[int, ...] = ()

    def feed(self, time: int, value: float, quality: int) -> list[Told]:
        return super().feed(time, float(quality if math.isfinite(value) else BAD), GOOD)

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        return value in self.qualities, value not in self.qualities


@dataclass
class SlowRate(Latched):
    """One reading is kept each quarter window, for ever; the youngest old enough is compared."""

    per_s: float = 1.0
    window_ms: int = 4000
    kept: list[tuple[int, float]] = field(default_factory=list)

    def restart(self) -> None:
        super().restart()
        self.kept = []

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        old = [(t, v) for t, v in self.kept if time - t >= self.window_ms]
        if not self.kept or time - self.kept[-1][0] >= self.window_ms // 4:
            self.kept.append((time, value))
        if not old:
            return False, False
        rate = abs(value - old[-1][1]) * 1000 / (time - old[-1][0])
        return rate > self.per_s, rate <= self.per_s


@dataclass
class SlowStuck(Latched):
    stuck_ms: int = 3000
    run: tuple[int, float] | None = None
    again: bool = False

    def usable(self, value: float, quality: int) -> bool:
        return quality in (GOOD, CLOCK_REPAIRED, STUCK) and math.isfinite(value)

    def restart(self) -> None:
        self.again = True

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        same = self.run is not None and self.run[1] == value
        if not same or self.again or self.run is None:
            self.run, self.again = (time, value), False
        hot = same and time - self.run[0] >= self.stuck_ms
        if hot and not self.fires:
            self.since = self.run[0]
        return hot, not same


@dataclass
class SlowLearned(Latched):
    half_life_ms: int = 8000
    warm_up: int = 10
    period_ms: int = 1000
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def restart(self) -> None:
        super().restart()
        self.count = int(self.count * 2 ** -(max(self.paused_ms, 1) / self.half_life_ms))

    def far(self, away: float) -> bool:
        raise NotImplementedError

    def test(self, time: int, value: float) -> tuple[bool, bool]:
        hot = self.count >= self.warm_up and self.far(value - self.mean)
        return hot, not hot

    def feed(self, time: int, value: float, quality: int) -> list[Told]:
        told = super().feed(time, value, quality)
        if self.usable(value, quality) and not self.fires and not self.hot:
            self.learn(value)
        return told

    def learn(self, value: float) -> None:
        alpha = 1 - 2 ** -(self.period_ms / self.half_life_ms)
        memory = max(math.ceil(1 / alpha), self.warm_up)
        weight = max(alpha, 1 / (min(self.count, memory) + 1))
        away = value - self.mean
        self.mean += weight * away
        self.variance = (1 - weight) * (self.variance + weight * away * away)
        self.count = min(self.count + 1, memory)


@dataclass
class SlowEwma(SlowLearned):
    z: float = 4.0
    min_sigma: float = 0.5

    def far(self, away: float) -> bool:
        return abs(away) > self.z * max(math.sqrt(self.variance), self.min_sigma)


@dataclass
class SlowBaseline(SlowLearned):
    by: float = 0.0
    share: float = 0.0

    def far(self, away: float) -> bool:
        return abs(away) > max(self.by, self.share * abs(self.mean))


@dataclass
class SlowNoData:
    """Fed with readings, then with the gateway's time once a batch.

    A batch tells of the time up to the next one, which is at least the shortest step away.
    """

    for_ms: int = 5000
    last: int | None = None
    fires: bool = False
    gateway_ms: int | None = None
    step_ms: int | None = None
    known_ms: int = 0

    def feed(self, time: int, value: float, quality: int) -> list[Told]:
        told = [(False, self.last or 0, time)] if self.fires else []
        self.last, self.fires = time, False
        return told

    def tick(self, time: int) -> list[Told]:
        away = self.gateway_ms is not None and time - self.gateway_ms >= self.for_ms
        if self.gateway_ms is not None and time - self.gateway_ms <= 10_000:
            step = time - self.gateway_ms
            self.step_ms = step if self.step_ms is None else min(self.step_ms, step)
        self.gateway_ms = time
        self.known_ms = max(self.known_ms, time + (self.step_ms or 0))
        if away and self.last is not None and not self.fires:
            self.last = time
        if self.last is None:
            self.last = self.known_ms
        if self.fires or self.known_ms - self.last < self.for_ms:
            return []
        self.fires = True
        return [(True, self.last, self.last + self.for_ms)]
