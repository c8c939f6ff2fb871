"""Runs a program over the condition events of many assets.

Of an asset, attempts stand in the order of their first events. A match that is complete waits for
the attempts that began before it: if one of them becomes a match, it may skip over this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from udfs.deadlines import Deadlines
from udfs.patterns.attempt import Attempt, Link, links, resume, take
from udfs.patterns.event import Event, Match
from udfs.patterns.plain import assets_of_plain, plain_of_assets
from udfs.patterns.program import Program, Wait

LIMIT = 64  # attempts of an asset
VERSION = 1

_TAKE, _DROP = 1, 0
# what a wait does with an event of this name; others are passed over, or end a strict wait
_Moves: TypeAlias = dict[str, int]


class _Track:
    """An asset's attempts, and how many events it had since it last had none."""

    __slots__ = ("attempts", "events")

    def __init__(self, attempts: Sequence[Attempt] = (), events: int = 0) -> None:
        self.attempts = list(attempts)
        self.events = events


class Matcher:
    """The matches of one program. overflow: attempts that were given up for want of room."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.overflow = 0
        self._moves = [_moves(wait) for wait in program.waits]
        self._lasting = [wait.to_the_end for wait in program.waits]
        self._can_last = any(self._lasting)
        first = [program.waits[number].takes for number in program.first]
        self._openers = frozenset[str]().union(*first)
        self._tracks: dict[int, _Track] = {}
        self._ends = Deadlines[int]()  # when the oldest attempt of an asset times out
        self._hopes = Deadlines[int]()  # when that leads to a match

    def event(self, asset: int, event: Event) -> list[Match]:
        """Take an event. Events of an asset come in the order of their times.

        Returns: the matches that it completes or decides, in the order of their first events.
        """
        track = self._tracks.get(asset)
        if track is None:
            if event.name not in self._openers:
                return []
            track = self._tracks[asset] = _Track()
        found: list[Match] = []
        self._expire(asset, track, event.time_ms, found)
        self._step_all(track, event)
        if len(track.attempts) > LIMIT:
            del track.attempts[0]
            self.overflow += 1
        self._settle(asset, track, found)
        self._note(asset, track)
        return found

    def advance(self, horizon_ms: int) -> list[Match]:
        """Learn that no event of before `horizon_ms` will come, of any asset.

        Returns: the matches that this decides, in the order of their deadlines, then assets.
        """
        found: list[Match] = []
        while (first := self._ends.first()) is not None and first[0] <= horizon_ms:
            asset = first[1]
            track = self._tracks[asset]
            self._expire(asset, track, first[0], found)
            self._note(asset, track)
        return found

    def skip(self) -> None:
        """Events may be missing here: forget attempts whose outcome hangs on what did not happen.

        In a relaxed program without a `not`, what was seen is a match whatever else happened.
        """
        if not self.program.needs_all:
            return
        for asset in list(self._tracks):
            track = self._tracks[asset]
            track.attempts = [attempt for attempt in track.attempts if attempt.match is not None]
            self._note(asset, track)

    def deadline_ms(self) -> int | None:
        """The horizon at which `advance` would next return a match; None: at no horizon."""
        first = self._hopes.first()
        return None if first is None else first[0]

    def copy(self) -> Matcher:
        """One that goes on by itself from here."""
        twin = Matcher(self.program)
        twin.overflow = self.overflow
        twin._restore({a: (t.attempts, t.events) for a, t in self._tracks.items()})
        return twin

    def to_plain(self) -> dict[str, Any]:
        """The state for JSON, in an order that depends on nothing but the state."""
        tracks = {asset: (t.attempts, t.events) for asset, t in sorted(self._tracks.items())}
        return {
            "version": VERSION,
            "program": self.program.fingerprint,
            "overflow": self.overflow,
            "assets": plain_of_assets(tracks),
        }

    @classmethod
    def from_plain(cls, program: Program, plain: dict[str, Any]) -> Matcher:
        """A matcher as it was; a fresh one if the program is another than then.

        Raises: ValueError: a version of the state that is not known here.
        """
        if plain["version"] != VERSION:
            raise ValueError(f"state of patterns has version {plain['version']}, not {VERSION}")
        made = cls(program)
        if plain["program"] == program.fingerprint:
            made.overflow = plain["overflow"]
            made._restore(assets_of_plain(plain["assets"]))
        return made

    def _restore(self, tracks: dict[int, tuple[list[Attempt], int]]) -> None:
        for asset, (attempts, events) in tracks.items():
            track = self._tracks[asset] = _Track(attempts, events)
            self._note(asset, track)

    def _step_all(self, track: _Track, event: Event) -> None:
        """Every attempt meets the event, and it may begin one."""
        ordinal, track.events = track.events, track.events + 1
        kept = []
        for attempt in track.attempts:
            if attempt.match is not None:
                kept.append(attempt)
            elif (stepped := self._step(attempt, event, ordinal)) is not None:
                kept.append(stepped)
        if event.name in self._openers:
            kept.append(self._begin(event, ordinal))
        track.attempts = kept

    def _begin(self, event: Event, ordinal: int) -> Attempt:
        branches: dict[int, Link] = {}
        for number in self.program.first:
            if self._moves[number].get(event.name) == _TAKE:
                link = take(None, number, ordinal, event)
                if self.program.waits[number].done:
                    return Attempt(event.time_ms, ordinal, (), link)
                for then in self.program.waits[number].then:
                    branches.setdefault(then, link)
        return Attempt(event.time_ms, ordinal, tuple(branches.items()))

    def _step(self, attempt: Attempt, event: Event, ordinal: int) -> Attempt | None:
        """The attempt after the event; None if it has come to nothing.

        Two branches with the same wait have the same future, so the first choice stands for both.
        """
        strict, waits, moves = self.program.strict, self.program.waits, self._moves
        name = event.name
        if not strict and not any(name in moves[number] for number, _ in attempt.branches):
            return attempt
        branches: dict[int, Link] = {}
        for number, link in attempt.branches:
            move = moves[number].get(name)
            if move is None:
                if not strict or self._lasting[number]:
                    branches.setdefault(number, link)
            elif move == _TAKE:
                taken = take(link, number, ordinal, event)
                if waits[number].done:
                    return attempt._replace(branches=(), match=taken)
                for then in waits[number].then:
                    branches.setdefault(then, taken)
        if not branches:
            return None
        return Attempt(attempt.begin_ms, attempt.begin, tuple(branches.items()))

    def _expire(self, asset: int, track: _Track, now_ms: int, found: list[Match]) -> None:
        """Decide the attempts whose time is up; the oldest is always the first to be."""
        while track.attempts and self._end_ms(track.attempts[0]) <= now_ms:
            attempt = track.attempts.pop(0)
            lasted = self._lasted(attempt)
            if lasted is not None:
                self._tell(asset, track, attempt, lasted, self._end_ms(attempt), found)
            self._settle(asset, track, found)

    def _settle(self, asset: int, track: _Track, found: list[Match]) -> None:
        """Tell the matches that wait for nothing earlier any more."""
        while track.attempts and (match := track.attempts[0].match) is not None:
            attempt = track.attempts.pop(0)
            self._tell(asset, track, attempt, match, match.event.time_ms, found)

    def _tell(
        self,
        asset: int,
        track: _Track,
        attempt: Attempt,
        last: Link,
        time_ms: int,
        found: list[Match],
    ) -> None:
        labels = self.program.waits
        events = tuple((labels[link.wait].label, link.event) for link in links(last))
        found.append(Match(asset, events, time_ms, last.left_out))
        begin = resume(self.program, last, attempt.begin)
        track.attempts = [later for later in track.attempts if later.begin >= begin]

    def _lasted(self, attempt: Attempt) -> Link | None:
        """What was taken, if the attempt was only waiting for nothing to happen."""
        return next((link for number, link in attempt.branches if self._lasting[number]), None)

    def _end_ms(self, attempt: Attempt) -> int:
        return attempt.begin_ms + self.program.within_ms

    def _note(self, asset: int, track: _Track) -> None:
        """Keep the deadlines of an asset, or forget it when it has no attempts."""
        attempts = track.attempts
        self._ends.set(asset, self._end_ms(attempts[0]) if attempts else None)
        self._hopes.set(asset, self._hope_ms(attempts))
        if not attempts:
            del self._tracks[asset]

    def _hope_ms(self, attempts: list[Attempt]) -> int | None:
        """When the first attempt ends that is a match then, or that holds one back."""
        before: Attempt | None = None
        for attempt in attempts:
            if attempt.match is not None and before is not None:
                return self._end_ms(before)
            if self._can_last and self._lasted(attempt) is not None:
                return self._end_ms(attempt)
            before = attempt
        return None


def _moves(wait: Wait) -> _Moves:
    return dict.fromkeys(wait.names, _TAKE) | dict.fromkeys(wait.forbidden, _DROP)
