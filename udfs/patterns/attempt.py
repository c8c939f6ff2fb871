"""Partial matches: all that began with one event."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from udfs.patterns.event import Event
from udfs.patterns.program import Program

# Events of a loop that a match lists; of more, the first of them and the newest.
LISTED = 256


class Link(NamedTuple):
    """An event that was taken, and the one taken before it. Shared between partial matches.

    wait: number of the wait that took it. ordinal: the event's number at its asset. length: links
    up to here. left_out: events that were taken but are not listed.
    """

    before: Link | None
    wait: int
    ordinal: int
    event: Event
    length: int
    left_out: int


# a wait's number, and what was taken before it
Branch: TypeAlias = tuple[int, Link]


class Attempt(NamedTuple):
    """Ways to go on from one first event, first choice first; or the match that it became."""

    begin_ms: int
    begin: int
    branches: tuple[Branch, ...]
    match: Link | None = None


def take(before: Link | None, wait: int, ordinal: int, event: Event) -> Link:
    """The link of an event, behind those taken before."""
    if before is None:
        return Link(None, wait, ordinal, event, 1, 0)
    if before.wait == wait and before.length >= LISTED:  # a long loop keeps its newest event only
        left_out = before.left_out + 1
        return Link(before.before, wait, ordinal, event, before.length, left_out)
    return Link(before, wait, ordinal, event, before.length + 1, before.left_out)


def links(last: Link) -> list[Link]:
    """The links up to `last`, in order."""
    found = []
    link: Link | None = last
    while link is not None:
        found.append(link)
        link = link.before
    found.reverse()
    return found


def resume(program: Program, last: Link, begin: int) -> int:
    """Ordinal of the earliest event with which the next match may begin, after this match."""
    if program.skip == "past_last":
        return last.ordinal + 1
    if program.skip == "to_next":
        return begin + 1
    labelled = [x for x in links(last) if program.waits[x.wait].label == program.skip_to]
    if not labelled:
        return begin + 1
    return labelled[0 if program.skip == "to_first" else -1].ordinal
