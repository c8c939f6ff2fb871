"""How fast the backlog may go: as fast as live data bear it, and as the cloud allows.

    pacing = Pacing(factor=4, needs_grant=False)
    pacing.produced(cost, now_ms)            # counts what the plant makes: the present live rate
    pacing.live_answered(latency_ms, now_ms) # each acknowledgement of a live batch
    if pacing.may_send(now_ms): ...; pacing.sent(cost)

Cost is counted in readings; a batch costs some more than it holds (`udfs.shares.BATCH_COST`). The
pace is a token bucket whose rate follows AIMD (Chiu and Jain 1989): up in equal steps while live
acknowledgements come as fast as ever, halved as soon as they do not.
"""

from __future__ import annotations

from collections import deque

FLOOR = 5_000.0
"""Readings a second for the backlog though the plant stands still: a mean gateway's own."""

_WINDOW_MS = 10_000  # the present live rate is that of the last ten seconds
_STEP_MS = 1_000  # at most one step down a second: the effect of the last one must show first
_CLIMB_S = 10  # from nothing to where it became too much last; beyond that by a tenth a second
_LEAST = 50.0  # enough to notice that the way is free again
_LEAST_OF_LIVE = 0.5  # of the live rate: a backlog that never ended would be a loss in the end
_BURST_S = 2.0
_AWAY_S = 1.0  # of the pace may be on its way: what is stuck must not pile up in front of live
_SLOW = 2.0
_HARMLESS_MS = 250.0  # what the way to Kafka may take of the second that an alert has
_LOOK_BACK = 3  # answers; two slow ones among them are no accident
_STILL_MS = 10_000  # without live data for this long there is nothing to spare
_FORGET_MS = 600_000  # the best latency that is known doubles in this time, so a new way is learned


class Pacing:
    """The pace of one gateway's backlog."""

    def __init__(self, factor: float, needs_grant: bool) -> None:
        """Args: factor: cap, in times the live rate. needs_grant: whether the cloud rules."""
        self._factor = factor
        self._needs_grant = needs_grant
        self._made: deque[tuple[int, int]] = deque()  # (time, cost made by then)
        self._share = 1.0  # of the cap
        self._edge = 1.0  # the share at which it became too much last
        self._falling = False
        self._slow: deque[bool] = deque(maxlen=_LOOK_BACK)
        self._best_ms: float | None = None
        self._learned_ms = 0
        self._stepped_ms = 0
        self._answered_ms = 0
        self._tokens = 0.0
        self._filled_ms: int | None = None
        self._away = 0
        self._grant = 0.0
        self._grant_until_ms = 0

    def produced(self, cost: int, now_ms: int) -> None:
        """What the plant made since the epoch began; only the difference between calls counts."""
        if self._made and (now_ms < self._made[-1][0] or cost < self._made[-1][1]):
            self._made.clear()  # the clock was set, or a new epoch counts from nought
        if not self._made or now_ms - self._made[-1][0] >= 200:
            self._made.append((now_ms, cost))
        while len(self._made) > 2 and now_ms - self._made[1][0] >= _WINDOW_MS:
            self._made.popleft()

    def live_rate(self) -> float:
        """Cost that the plant makes a second at present; 0 until it is known."""
        if len(self._made) < 2:
            return 0.0
        (begin_ms, begin), (end_ms, end) = self._made[0], self._made[-1]
        return (end - begin) * 1000 / (end_ms - begin_ms)

    def live_answered(self, latency_ms: float, now_ms: int) -> None:
        """A live batch was acknowledged that long after it was handed over."""
        slow = latency_ms > self._limit_ms(now_ms)
        best = self._best_ms  # grown a little since the last one
        if best is None:
            self._best_ms, self._learned_ms = latency_ms, now_ms
        else:
            self._best_ms = min(best, max(latency_ms, 1.0))
        self._slow.append(slow)
        self._answered_ms = now_ms
        if sum(self._slow) > 1:
            self._step_down(now_ms)
        elif not slow:
            self._step_up(now_ms)

    def live_waiting(self, wait_ms: float, now_ms: int) -> None:
        """The oldest live batch on its way was handed over that long ago; 0: there is none."""
        if wait_ms > self._limit_ms(now_ms):
            self._step_down(now_ms)
        elif not wait_ms and now_ms - self._answered_ms > _STILL_MS:
            self._step_up(now_ms)

    def granted(self, readings_per_s: float, until_ms: int) -> None:
        """The cloud's token, of our own clock. The newest one replaces the one before."""
        self._grant, self._grant_until_ms = readings_per_s, until_ms

    def pace(self, now_ms: int) -> float:
        """Cost a second that the backlog may use now."""
        cap = max(self._factor * self.live_rate(), FLOOR)
        pace = max(cap * self._share, _LEAST_OF_LIVE * self.live_rate(), _LEAST)
        if not self._needs_grant:
            return pace
        return min(pace, self._grant) if now_ms < self._grant_until_ms else 0.0

    def may_send(self, now_ms: int) -> bool:
        """Whether the next batch of the backlog may go, of any size: a large one is paid off."""
        pace = self.pace(now_ms)
        passed_ms = 0 if self._filled_ms is None else max(0, now_ms - self._filled_ms)
        self._filled_ms = now_ms
        self._tokens = min(self._tokens + pace * passed_ms / 1000, pace * _BURST_S)
        return self._tokens > 0 and (self._away == 0 or self._away < pace * _AWAY_S)

    def sent(self, cost: int) -> None:
        """A batch of the backlog is on its way."""
        self._tokens -= cost
        self._away += cost

    def answered(self, cost: int) -> None:
        """A batch of the backlog is not on its way any more."""
        self._away -= cost

    def _limit_ms(self, now_ms: int) -> float:
        if self._best_ms is None:
            return float("inf")
        self._best_ms *= 2 ** (max(0, now_ms - self._learned_ms) / _FORGET_MS)
        self._learned_ms = now_ms
        return max(self._best_ms * _SLOW, _HARMLESS_MS)

    def _step_down(self, now_ms: int) -> None:
        if now_ms - self._stepped_ms < _STEP_MS:
            return
        self._stepped_ms = now_ms
        if not self._falling:  # the levels on the way down say nothing
            self._falling, self._edge = True, self._share
        self._share /= 2

    def _step_up(self, now_ms: int) -> None:
        step_s = min(max(0, now_ms - self._stepped_ms), _STEP_MS) / 1000
        self._stepped_ms, self._falling = now_ms, False
        self._share = min(1.0, self._share + self._edge * step_s / _CLIMB_S)
        self._edge = max(self._edge, self._share)
