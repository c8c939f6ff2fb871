"""Lanes: one state for what happens now, and one for each hole that the backlog is filling.

When a live batch arrives whose number does not follow, there is a hole. The state is forked: the
old one waits for the backlog and goes on in it, the live one keeps what it learned and goes on at
once (its pending durations end by the gap rule, see readings.py). When the backlog has reached
the live range, its state is dropped.

Positions are (epoch, sequence) and compare as such. Only what is deterministic decides here: the
numbers of the batches and their event times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from udfs.batch import Batch, Bools, Lane
from udfs.conditions import latch
from udfs.conditions.base import View
from udfs.conditions.latch import Ints, State
from udfs.patterns.matcher import Matcher
from udfs.watch.horizon import Horizon
from udfs.watch.life import Life

Position = tuple[int, int]

# A hole that is not filled by then never will be (the same patience as the coverage has).
PATIENCE_MS = 26 * 3600 * 1000
# A network that flaps makes many holes; the newest state then serves several of them.
MAX_BACKLOGS = 3


@dataclass(slots=True)
class SignalState:
    """The newest inputs of a signal, and when each of its assets had a value last."""

    inputs: State
    last_ms: Ints

    def copy(self) -> SignalState:
        """One of its own."""
        return SignalState(_copy(self.inputs), self.last_ms.copy())


@dataclass(slots=True)
class LaneState:
    """State of all rules over one run of batches.

    states: one a bank. last_ms: time of each sensor's newest reading, by view. signals: one a
    signal. matchers: by key of the rule. lively: by bank, which entries have their alerts in
    `life`; never changed. begin, begin_ms: position and time of its first batch (of
    the one before it, where it was forked). position, time_ms: of its newest batch. until,
    until_ms: where the live range begins that it leads to; None for the live lane, and while no
    live batch came yet.
    """

    late: bool
    states: list[State]
    last_ms: dict[View, Ints]
    signals: list[SignalState]
    matchers: dict[str, Matcher]
    life: Life
    lively: list[Bools]
    horizon: Horizon
    begin: Position
    begin_ms: int
    position: Position
    time_ms: int
    until: Position | None = None
    until_ms: int = 0

    def covers(self, at: Position) -> bool:
        """Whether a backlog batch of that position goes on in this lane."""
        return self.position < at and (self.until is None or at < self.until)

    def finished(self, live_ms: int) -> bool:
        """Whether its hole is filled, or was not for too long."""
        if self.until is None:
            return False
        return follows(self.position, self.until) or live_ms - self.until_ms > PATIENCE_MS

    def copy(self, late: bool) -> LaneState:
        """A lane of its own from the same past."""
        return LaneState(
            late,
            states=[_copy(state) for state in self.states],
            last_ms={view: array.copy() for view, array in self.last_ms.items()},
            signals=[signal.copy() for signal in self.signals],
            matchers={key: matcher.copy() for key, matcher in self.matchers.items()},
            life=self.life.copy(),
            lively=self.lively,
            horizon=self.horizon.copy(),
            begin=self.position,
            begin_ms=self.time_ms,
            position=self.position,
            time_ms=self.time_ms,
        )

    def inherit(self) -> None:
        """What fires is told by another lane."""
        for state, lively in zip(self.states, self.lively, strict=True):
            latch.inherit(state, ~lively)
        self.life.inherit()

    def release(self) -> None:
        """What fires belongs to another lane, which goes on telling of it."""
        for state in self.states:
            latch.release(state)
        self.life.release()

    @property
    def overflow(self) -> int:
        """Attempts of patterns that were given up for want of room."""
        return sum(matcher.overflow for matcher in self.matchers.values())

    def skip(self) -> None:
        """Batches are missing: nothing can be concluded from what was not seen."""
        for matcher in self.matchers.values():
            matcher.skip()


def _copy(state: State) -> State:
    return {name: array.copy() for name, array in state.items()}


def follows(position: Position, at: Position) -> bool:
    """Whether no batch is missing between the two."""
    return at == (position[0], position[1] + 1)


@dataclass(slots=True)
class Lanes:
    """The lanes of one gateway. make: builds a lane that knows nothing, at a position and time."""

    make: Callable[[bool, Position, int], LaneState]
    live: LaneState | None = None
    backlogs: list[LaneState] = field(default_factory=list)

    def enter(self, batch: Batch) -> tuple[LaneState, bool] | None:
        """The lane that judges this batch, and whether it continues it without a missing batch.

        None: the batch is older than what its lane has judged, and time only goes forward.
        """
        at = (batch.epoch, batch.sequence)
        live = batch.lane == Lane.LIVE
        lane = self._live_lane(at, batch.time_ms) if live else self._backlog_lane(at, batch.time_ms)
        if lane is None:
            return None
        continued = lane.position == at or follows(lane.position, at)
        lane.position = at
        return lane, continued

    def finish(self) -> Iterator[LaneState]:
        """Take out the backlog lanes that came to their end."""
        live_ms = self.live.time_ms if self.live else 0
        ended = [lane for lane in self.backlogs if lane.finished(live_ms)]
        if ended:
            self.backlogs = [lane for lane in self.backlogs if not lane.finished(live_ms)]
        yield from ended

    def all(self) -> list[LaneState]:
        """All lanes, the live one first."""
        return ([self.live] if self.live else []) + self.backlogs

    def _live_lane(self, at: Position, time_ms: int) -> LaneState | None:
        if self.live is None:
            self.live = self._first_live(at, time_ms)
        elif at <= self.live.position:
            return None
        elif not follows(self.live.position, at):
            self._fork(self.live, at, time_ms)
        return self.live

    def _first_live(self, at: Position, time_ms: int) -> LaneState:
        """The gateway began with its backlog: go on from what was learned, without its alarms."""
        past = self._open_backlog()
        if past is None:
            return self.make(False, at, time_ms)
        past.until, past.until_ms = at, time_ms
        lane = past.copy(late=False)
        lane.begin, lane.begin_ms = at, time_ms
        lane.release()
        lane.skip()
        return lane

    def _fork(self, live: LaneState, at: Position, time_ms: int) -> None:
        waiting = self._open_backlog()
        if waiting is None and len(self.backlogs) >= MAX_BACKLOGS:
            waiting = max(self.backlogs, key=lambda lane: lane.until or at)
        if waiting is None:
            waiting = self._branch(live)
        waiting.until, waiting.until_ms = at, time_ms
        live.begin, live.begin_ms = at, time_ms

    def _branch(self, live: LaneState) -> LaneState:
        """The state of now, for the backlog. What fires stays with the live lane."""
        lane = live.copy(late=True)
        lane.inherit()
        self.backlogs.append(lane)
        return lane

    def _open_backlog(self) -> LaneState | None:
        return next((lane for lane in self.backlogs if lane.until is None), None)

    def _backlog_lane(self, at: Position, time_ms: int) -> LaneState | None:
        covering = [lane for lane in self.backlogs if lane.covers(at)]
        if covering:
            return max(covering, key=lambda lane: lane.position)
        if self.live is not None and at > self.live.position:
            # the backlog came before the live batch that shows the hole
            return None if self._open_backlog() else self._branch(self.live)
        begins = [lane.begin for lane in self.all()]
        if len(self.backlogs) >= MAX_BACKLOGS or any(begin <= at for begin in begins):
            return None
        lane = self.make(True, at, time_ms)
        if self.live is not None:
            lane.until, lane.until_ms = self.live.begin, self.live.begin_ms
        self.backlogs.append(lane)
        return lane
