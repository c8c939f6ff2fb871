"""Follows topic `rules`: a rulebook that is pushed is checked here, kept on disk and handed over.

    follower = Follower(topic, books, tried)
    follower.run(stop)                   # in a thread of its own, so that no lane waits for parsing
    follower.offer                       # the rules to go by, for the pipeline; None: nothing new

At start it goes on at the record of the rulebook that is on disk. If another record is there, it is
another topic, and what that one says counts, from its beginning.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event

import structlog

from edge.rulebooks import Place, Rulebooks
from edge.rules import RuleSet
from edge.uplink.rules_topic import TROUBLES, Item, Topic
from udfs.rules.model import Rule
from udfs.rules.shelf import Edition, Shelf

log = structlog.get_logger()

_WAIT_S = 0.5  # how long a look waits; also how long the thread takes to end
_SHELF_BYTES = 4_000_000  # compressed, of rulebooks that were not looked at yet
_RETRY_S = 30.0  # after the disk refused a rulebook


class Follower:
    """One gateway's. All but reading attributes is for one thread.

    offer: the newest rules from the topic since the process began. trouble: why the topic cannot be
    read until a person acts, empty while it can; told once. troubles: how often that was said, by
    reason.
    """

    def __init__(
        self,
        topic: Topic,
        books: Rulebooks,
        tried: Callable[[Sequence[Rule]], object] = lambda rules: None,
    ) -> None:
        """Args: tried: binds rules to this gateway's sensors; what it raises is why they cannot be
        used here.
        """
        self._topic, self._books, self._tried = topic, books, tried
        self._own: Place | None = None  # the record that must come first
        self._again_s: float | None = None
        self.offer: RuleSet | None = None
        self.troubles: Counter[str] = Counter(dict.fromkeys(TROUBLES, 0))
        self.trouble = ""
        self._begin()

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set."""
        try:
            while not stop.is_set():
                self.step(_WAIT_S)
        finally:
            self._topic.close()

    def step(self, wait_s: float = 0.0) -> None:
        """One look at the topic, and what follows from it."""
        if self._again_s is not None and time.monotonic() >= self._again_s:
            self._begin()
        seen = self._topic.look(wait_s)
        if seen.trouble:
            self._note_trouble(seen.trouble, seen.detail)
        if seen.item is not None:
            self._take(seen.item)
        if seen.at_end:
            self._choose()

    def _begin(self) -> None:
        """Go on at our own record, or at the beginning where there is none."""
        self._again_s = None
        self._own = self._books.place
        self._shelf = Shelf(_SHELF_BYTES)
        self._shelf.revision = self._books.newest.revision if self._own else 0
        self._offsets: dict[str, int] = {}  # by key
        self._offset = -1  # of the last record
        self._topic.begin(self._own.offset if self._own else None)

    def _begin_anew(self) -> None:
        """Another topic than the one that our rulebook is from: read it as a new gateway does."""
        log.warning("rules_topic_changed", revision=self._books.newest.revision)
        self._own, self._shelf, self._offsets = None, Shelf(_SHELF_BYTES), {}
        self._offset = -1
        self._books.offered = 0
        self._topic.begin(None)

    def _take(self, item: Item) -> None:
        self.trouble = ""
        own, self._own = self._own, None
        if item.offset <= self._offset or (own is not None and own != (item.key, item.offset)):
            self._begin_anew()
            return
        self._offset = item.offset
        self._shelf.take(item.key, item.value)
        self._offsets[item.key] = item.offset
        self._books.offered = self._shelf.last

    def _choose(self) -> None:
        """Everything that is there has come: take the newest that is good."""
        self.trouble = ""
        if self._own is not None:  # not even our own record is there any more
            self._begin_anew()
            return
        self._tell_refused()
        edition = self._shelf.newest()
        self._tell_refused()
        if edition is not None:
            self._use(edition)

    def _tell_refused(self) -> None:
        refused, self._shelf.refused = self._shelf.refused, []
        for why in refused:
            self._books.refuse(why)

    def _use(self, edition: Edition) -> None:
        key = self._shelf.key(edition.rulebook.revision)
        place = Place(key, self._offsets[key])
        if place == self._books.place:
            return
        try:
            self._tried(edition.rules)
        except Exception as error:  # noqa: BLE001 - whatever it is, the present rules go on
            revision = edition.rulebook.revision
            self._books.refuse(f"revision {revision}: cannot be used here: {error}")
            return
        try:
            self.offer = self._books.keep(edition.rulebook, edition.rules, place)
        except OSError as error:
            self._books.refuse(f"cannot be written: {error.strerror or error}")
            self._again_s = time.monotonic() + _RETRY_S

    def _note_trouble(self, trouble: str, detail: str) -> None:
        self.troubles[trouble] += 1
        if trouble != self.trouble:
            self.trouble = trouble
            log.warning("rules_topic_unreadable", reason=trouble, detail=detail)
