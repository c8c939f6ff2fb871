"""The horizon of a lane: the event time before which nothing is still to come.

    horizon = Horizon(fastest_ms=60_000)
    known_ms = horizon.batch(batch.time_ms, continued, arrival_ms)
    wake_ms = horizon.wake_for(deadline_ms)     # wall clock at which it will be there
    known_ms = horizon.timer(now_ms)            # at that time

Batches are numbered in the order of time and begin a tick apart, so one of time t says that nothing
of before t + tick is to come. That is event time alone: the same live, replayed and at the edge.

A gateway of slow sensors sends rarely. Between two of its batches the horizon moves with the wall
clock: a batch of time t would have come `delay` later, so what did not come by then is not there.
`delay` is the time from a batch's tick to its arrival (the tick itself, the gateway, the network,
and what the two clocks differ by), a recent maximum. A gateway with a fast sensor needs no such
thing: its next batch proves as much a second later, and is not fooled by a slow network.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from udfs.batch import MAX_OFFSET_MS

# Batches that come this often are timely enough themselves.
_FAST_MS = 1000

Fields = dict[str, int | None]


@dataclass(slots=True)
class Horizon:
    """State: what is known of the pace of a lane.

    fastest_ms: sampling period of the gateway's fastest sensor. tick_ms: the smallest step between
    two batches that follow each other, 0 until known; a longer step than any batch may hold was a
    pause. time_ms: of the newest batch, None before the first. arrival_ms: wall clock of its
    arrival. delay_ms: recent maximum, may be negative. known_ms: the horizon. missed: a timer came
    so late that the gateway was overdue by then; the next batch tells what it would have told.
    """

    fastest_ms: int
    tick_ms: int = 0
    time_ms: int | None = None
    arrival_ms: int = 0
    delay_ms: int = 0
    known_ms: int = 0
    missed: bool = False

    def batch(self, time_ms: int, continued: bool, arrival_ms: int) -> int:
        """A batch of this lane came. Returns: the horizon.

        Args: continued: no batch is missing before it. arrival_ms: wall clock.
        """
        newest_ms = self.time_ms
        if newest_ms is not None and 0 < newest_ms - time_ms <= MAX_OFFSET_MS:
            return self.known_ms  # readings that came after their tick; they say nothing of time
        step_ms = 0 if newest_ms is None else time_ms - newest_ms
        if continued and 0 < step_ms <= MAX_OFFSET_MS:
            self.tick_ms = min(self.tick_ms or step_ms, step_ms)
        anew = newest_ms is None or step_ms < 0  # the clock was set back
        delay_ms = arrival_ms - time_ms
        # it falls by half, so that one slow batch does not make timers late for long
        self.delay_ms = delay_ms if anew else max(delay_ms, (delay_ms + self.delay_ms) // 2)
        self.time_ms, self.arrival_ms, self.missed = time_ms, arrival_ms, False
        known_ms = time_ms + self.tick_ms
        self.known_ms = known_ms if anew else max(known_ms, self.known_ms)
        return self.known_ms

    def timer(self, now_ms: int) -> int | None:
        """The horizon by the wall clock; None where it does not tell: no batch came yet, batches
        come fast, or the gateway is overdue. It changes nothing."""
        if self.time_ms is None or self._silent(now_ms):
            return None
        passed_ms = max(0, now_ms - self.delay_ms - self.time_ms)
        if self.tick_ms:
            passed_ms = (passed_ms // self.tick_ms + 1) * self.tick_ms  # where the next may begin
        return max(self.known_ms, self.time_ms + passed_ms)

    def wake_for(self, deadline_ms: int) -> int | None:
        """Wall clock at which `timer` reaches an event time, if no batch comes until then; None if
        it will not before the gateway is overdue."""
        if self.time_ms is None or self.missed:
            return None
        wake_ms = self.arrival_ms
        if deadline_ms > self.known_ms:
            ahead_ms = deadline_ms - self.time_ms
            if self.tick_ms:
                ahead_ms = (ahead_ms - 1) // self.tick_ms * self.tick_ms
            wake_ms = max(wake_ms, self.time_ms + ahead_ms + self.delay_ms)
        return None if self._silent(wake_ms) else wake_ms

    @property
    def slow(self) -> bool:
        """Whether the wall clock is asked at all; else nobody need look for deadlines."""
        return self.fastest_ms > _FAST_MS

    def _silent(self, now_ms: int) -> bool:
        """Whether the wall clock says nothing. A period after a batch the next one is due; without
        it nobody knows what happened since, for what did may lie in the gateway's spool."""
        return not self.slow or now_ms - self.arrival_ms >= self.fastest_ms

    def copy(self) -> Horizon:
        """The same pace, for another lane."""
        return replace(self)

    def to_fields(self) -> Fields:
        """The state, without what the catalogue says."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}

    @classmethod
    def from_fields(cls, fastest_ms: int, state: Fields) -> Horizon:
        """The state that `to_fields` gave."""
        return cls(fastest_ms, **state)  # type: ignore[arg-type]
