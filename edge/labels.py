"""Asset types and tags of sensors may change while slots stay: what earlier versions had.

history = LabelHistory()
history.note(slot, ("pump", ""), ("pump", "line-2"))    # True: take it; the next commit tells
history.commit(history.after(1), lengths=[40, 40])      # version 2 is on disk
dict(history.of(version=1, newest=2))                   # {slot: ("pump", "")}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import structlog

log = structlog.get_logger()

# a device whose tags change with each birth would fill memory and the topic
MAX_VERSIONS, MAX_FORMER = 1000, 200_000

Labels = tuple[str, str]  # asset type, tags
Former = dict[int, list[tuple[int, Labels]]]  # slot -> labels up to and with that version


class LabelHistory:
    """Former labels of one gateway's sensors. Whoever calls holds the registry's lock."""

    def __init__(self) -> None:
        self._former: Former = {}
        self._before: dict[int, Labels] = {}  # slot -> labels that the newest version has
        self._fixed = False

    @property
    def changed(self) -> bool:
        """Whether labels are others than those of the newest version."""
        return bool(self._before)

    def note(self, slot: int, now: Labels, said: Labels) -> bool:
        """A committed sensor is said to have other labels. Returns: whether that is taken.

        Not when labels changed too often.
        """
        if self._fixed:
            return False
        if self._before.setdefault(slot, now) == said:
            del self._before[slot]
        return True

    def after(self, newest: int) -> Former:
        """What is to be kept once the labels of now are in a version after the newest."""
        now = {slot: (newest, labels) for slot, labels in self._before.items()}
        return self._former | {s: [*self._former.get(s, ()), pair] for s, pair in now.items()}

    def commit(self, former: Former, lengths: Sequence[int]) -> None:
        """It is on disk. lengths: of all versions; two that are alike differ by labels only."""
        self._former, self._before = former, {}
        versions = len(lengths) - len(set(lengths))
        kept = sum(map(len, former.values()))
        full = versions >= MAX_VERSIONS or kept >= MAX_FORMER
        if full and not self._fixed:
            log.warning("labels_fixed", versions=versions, kept=kept)
        self._fixed = full

    def of(self, version: int, newest: int) -> Iterator[tuple[int, Labels]]:
        """Slots whose labels are others in that version than now, and what they are there."""
        for slot, pairs in self.after(newest).items():
            then = next((labels for until, labels in pairs if version <= until), None)
            if then is not None:
                yield slot, then


def to_plain(former: Former) -> list[Any]:
    """As JSON can hold it."""
    return list(former.items())


def from_plain(rows: Any) -> Former:
    """What `to_plain` gave. Raises: TypeError, ValueError: it did not."""
    return {
        int(slot): [(int(until), (str(kind), str(tags))) for until, (kind, tags) in pairs]
        for slot, pairs in rows
    }
