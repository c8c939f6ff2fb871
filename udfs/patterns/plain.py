"""Attempts as lists for JSON, and back. Events and links that are shared are written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from udfs.patterns.attempt import Attempt, Link, links
from udfs.patterns.event import Event

Attempts = tuple[Sequence[Attempt], int]


def plain_of_assets(tracks: Mapping[int, Attempts]) -> list[Any]:
    """[asset, count of events, events, links, attempts] of each asset."""
    return [[asset, count, *_written(attempts)] for asset, (attempts, count) in tracks.items()]


def assets_of_plain(plain: list[Any]) -> dict[int, tuple[list[Attempt], int]]:
    """Attempts and count of events, by asset."""
    return {asset: (_read(*parts), count) for asset, count, *parts in plain}


def _written(attempts: Sequence[Attempt]) -> tuple[list[Any], list[Any], list[Any]]:
    """Events by ordinal; links, each with the place of the one before it; attempts."""
    events: dict[int, Event] = {}
    places: dict[int, int] = {}
    written: list[Any] = []

    def place(last: Link | None) -> int:
        for link in links(last) if last is not None else ():
            if id(link) not in places:
                before = places[id(link.before)] if link.before is not None else -1
                places[id(link)] = len(written)
                written.append([before, link.wait, link.ordinal, link.length, link.left_out])
                events[link.ordinal] = link.event
        return places[id(last)] if last is not None else -1

    plain = [
        [a.begin_ms, a.begin, [[wait, place(link)] for wait, link in a.branches], place(a.match)]
        for a in attempts
    ]
    return [[ordinal, *event] for ordinal, event in sorted(events.items())], written, plain


def _read(events: list[Any], written: list[Any], attempts: list[Any]) -> list[Attempt]:
    known = {ordinal: Event(*fields) for ordinal, *fields in events}
    made: list[Link] = []
    for before, wait, ordinal, length, left_out in written:
        link = Link(
            made[before] if before >= 0 else None, wait, ordinal, known[ordinal], length, left_out
        )
        made.append(link)
    return [
        Attempt(
            begin_ms,
            begin,
            tuple((wait, made[place]) for wait, place in branches),
            made[match] if match >= 0 else None,
        )
        for begin_ms, begin, branches, match in attempts
    ]
