"""What may be sent next: alerts, then live, then rollups, then backlog; in a lane by index.

    lanes = Lanes(live_within_ms=10_000, in_flight_bytes=4_194_304, live_window=64)
    run = lanes.run(Lane.LIVE, pending, committed, now_ms)    # indices that may be sent, or None
    lanes.sent(Lane.LIVE, index, size, now_ms)                # it is on its way now
    lanes.answered(Lane.LIVE, index, acknowledged=True)

Only facts come in and only answers go out: no clock, no disk, no network. Live and backlog are two
views of one log, so an index is never on its way in both: live goes up from its own place, and
backlog stays below that place and below the oldest live record that is on its way.

A record is given up where its fate is known: by the producer, `give_up_s` after it was handed over.
Then it is answered as not acknowledged, and a live one is backlog from there on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import StrEnum

Ranges = Sequence[tuple[int, int]]
"""Indices of a log that are not acknowledged, as (first, last), ascending."""

MAX_IN_FLIGHT = 1000
MAX_PARKED = 4096


class Lane(StrEnum):
    """How a record travels."""

    ALERTS = "alerts"
    LIVE = "live"
    ROLLUPS = "rollups"
    BACKLOG = "backlog"


ORDER = (Lane.ALERTS, Lane.LIVE, Lane.ROLLUPS, Lane.BACKLOG)

# of in_flight_bytes, up to which all lanes together may fill it for this one to add to it: what is
# on its way already is not overtaken, so each lane finds room that the ones after it left
_SHARE = {Lane.ALERTS: 1.25, Lane.LIVE: 1.0, Lane.ROLLUPS: 0.5, Lane.BACKLOG: 0.5}


class _View:
    """One lane's way through its log: where to look next, what is on its way, what waits."""

    def __init__(self) -> None:
        self.next = 0
        self.flying: dict[int, tuple[int, int]] = {}  # index: bytes, UTC epoch ms when sent
        self.parked: dict[int, int] = {}  # index: UTC epoch ms when it is tried again
        self.shut_until_ms = 0

    def unpark(self, now_ms: int) -> None:
        for index in [i for i, until in self.parked.items() if until <= now_ms]:
            del self.parked[index]
            self.next = min(self.next, index)

    def run(self, pending: Ranges, last: int) -> tuple[int, int] | None:
        """The first run of indices from `next` to `last` that wait and are not on their way."""
        self.next, run = _free(pending, self.flying.keys() | self.parked.keys(), self.next, last)
        return run


class Lanes:
    """The order of sending, of one gateway."""

    def __init__(self, live_within_ms: int, in_flight_bytes: int, live_window: int = 64) -> None:
        """Args: live_within_ms: age of a tick's end below which a record is live.
        live_window: how many of the newest records can be live at all.
        """
        self._live_within_ms = live_within_ms
        self._in_flight_bytes = in_flight_bytes
        self._live_window = live_window
        self._views = {lane: _View() for lane in Lane}
        self._bytes = 0

    @property
    def in_flight(self) -> int:
        """Records on their way."""
        return sum(len(view.flying) for view in self._views.values())

    @property
    def in_flight_bytes(self) -> int:
        """Bytes on their way."""
        return self._bytes

    @property
    def live_in_flight(self) -> int:
        """Live records on their way."""
        return len(self._views[Lane.LIVE].flying)

    def live_wait_ms(self, now_ms: int) -> int:
        """How long the oldest of them waits for its answer; 0 when there is none."""
        times = (sent_ms for _, sent_ms in self._views[Lane.LIVE].flying.values())
        return max(0, now_ms - min(times, default=now_ms))

    def is_live(self, end_ms: int, now_ms: int) -> bool:
        """Whether a record is news, by the end of its tick."""
        return now_ms - end_ms < self._live_within_ms

    def room(self, lane: Lane) -> int:
        """Bytes that the lane may add now. One record may exceed it when nothing is on its way."""
        if not self._bytes:
            return self._in_flight_bytes
        if self.in_flight >= MAX_IN_FLIGHT * _SHARE[lane]:
            return 0
        return max(0, int(self._in_flight_bytes * _SHARE[lane]) - self._bytes)

    def fits(self, lane: Lane, size: int) -> bool:
        """Whether a record of that many bytes may be sent in this lane now."""
        return not self._bytes or size <= self.room(lane)

    def run(
        self, lane: Lane, pending: Ranges, committed: int, now_ms: int
    ) -> tuple[int, int] | None:
        """The next indices of the lane as (first, last); all of them wait, none is on its way.

        Args: pending, committed: of the lane's log; committed is its newest index, -1 when empty.
        """
        view = self._views[lane]
        view.unpark(now_ms)
        if now_ms < view.shut_until_ms or len(view.parked) >= MAX_PARKED:
            return None
        if lane is Lane.LIVE:
            view.next = max(view.next, committed - self._live_window + 1)
        last = min(committed, self._backlog_end(committed)) if lane is Lane.BACKLOG else committed
        return view.run(pending, last)

    def passed(self, index: int) -> None:
        """The live lane looked at a record that is no news any more: it is backlog now."""
        view = self._views[Lane.LIVE]
        view.next = max(view.next, index + 1)

    def sent(self, lane: Lane, index: int, size: int, now_ms: int) -> None:
        """A record is on its way; `size` in bytes."""
        view = self._views[lane]
        view.flying[index] = size, now_ms
        view.next = max(view.next, index + 1)
        self._bytes += size

    def answered(
        self, lane: Lane, index: int, acknowledged: bool, retry_ms: int | None = None
    ) -> None:
        """What became of a record that was on its way. One that was not acknowledged is sent again.

        Args: retry_ms: not before that time, and without holding up the others.
        """
        self._bytes -= self._views[lane].flying.pop(index)[0]
        if acknowledged:
            return
        view = self._views[Lane.BACKLOG if lane is Lane.LIVE else lane]
        if retry_ms is None:
            view.next = min(view.next, index)
        else:
            view.parked[index] = retry_ms

    def shut(self, lane: Lane, until_ms: int) -> None:
        """Send nothing in this lane before that time."""
        self._views[lane].shut_until_ms = until_ms

    def waiting(self, pending: Ranges, committed: int) -> int:
        """How many records of the raw log are backlog, on their way or not."""
        live = self._views[Lane.LIVE]
        begin = max(live.next, committed - self._live_window + 1)
        counts = (min(last, begin - 1) - first + 1 for first, last in pending if first < begin)
        return sum(counts) - sum(1 for index in live.flying if index < begin)

    def _backlog_end(self, committed: int) -> int:
        """The newest index that can be backlog: below all that is live, or still can become so."""
        live = self._views[Lane.LIVE]
        begin = max(live.next, committed - self._live_window + 1)
        return min([begin, *live.flying]) - 1


def _free(
    pending: Ranges, busy: set[int], start: int, last: int
) -> tuple[int, tuple[int, int] | None]:
    """The first run in `pending` from `start` to `last` without a busy index.

    Returns: the place to go on from, and the run, None when there is none.
    """
    at = max(0, bisect_right(pending, start, key=lambda item: item[0]) - 1)
    for begin, end in pending[at:]:
        first = max(begin, start)
        while first in busy:
            first += 1
        if first > last:
            break
        if first <= end:
            stop = min([i for i in busy if i > first], default=end + 1)
            return first, (first, min(end, last, stop - 1))
    return start, None
