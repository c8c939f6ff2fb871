"""Topic `rules`, followed inside a job's operator by a thread of its own.

The thread waits in librdkafka, reads a new rulebook and parses it; the operator only looks at
`newest`, which costs less than a microsecond, and switches by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from jobs.common.feed import Ruling
from jobs.common.librdkafka import properties_of
from udfs.rules.record import RULES
from udfs.rules.rulebook import Rule
from udfs.rules.shelf import Shelf

WAIT_S = 15.0
"""How long a job's start waits for the topic to be read."""

_POLL_S = 0.2
_AGAIN_S = 2.0
_KEPT = 3  # parsed rules of earlier revisions, while steps are restored
_ABSENT = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)

_log = logging.getLogger(__name__)


class RulesUnknown(Exception):
    """State was made by rules that have not been read from Kafka yet. The job tries again."""


class RuleFeed:
    """The rules in use: of the newest good rulebook, or, while there is none, of the job's folder.

    A job that Kafka does not answer starts with what it has, and takes over the rulebook as soon as
    it is there.
    """

    def __init__(
        self, rules: Sequence[Rule], bootstrap: str, properties: Mapping[str, str] | None = None
    ) -> None:
        self.newest = Ruling(0, list(rules))
        self._folder = self.newest
        self._unfit = -1  # the newest revision that a step could not adopt
        self._settings = properties_of(properties or {}) | {
            "bootstrap.servers": bootstrap,
            "client.id": "hardiot-rules",
            # librdkafka wants a name; nothing is committed under it
            "group.id": "hardiot-rules",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": 10_000,
            "log_level": 2,
        }

    def open(self) -> None:
        """Follow the topic. Returns: when it is read to its end, at most WAIT_S later."""
        self._shelf, self._lock = Shelf(), threading.Lock()
        self._past: dict[int, Ruling] = {}
        self._told: list[str] = []
        self._read, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="rule-feed", daemon=True)
        self._thread.start()
        if not self._read.wait(WAIT_S):
            _log.warning(
                "topic %s was not read within %.0f s; the job starts with revision %d",
                RULES, WAIT_S, self.newest.revision,
            )  # fmt: skip

    def at(self, revision: int) -> Ruling | None:
        """Rules of an earlier revision; None when they are gone.

        Raises: RulesUnknown: Kafka did not answer yet, so nobody knows.
        """
        if revision in (0, self.newest.revision):
            return self.newest if revision else self._folder
        if not self._read.wait(WAIT_S):
            raise RulesUnknown(f"revision {revision} of topic {RULES}: Kafka does not answer")
        if revision not in self._past:
            ruling = self._earlier(revision)
            if ruling is None:
                return None
            self._past = dict([*self._past.items()][1 - _KEPT :]) | {revision: ruling}
        return self._past[revision]

    def refuse(self, revision: int, why: str) -> None:
        """Take note that a gateway's step cannot go by the newest rules."""
        if self._unfit != revision:
            _log.error(
                "rules revision %d cannot be used, what was before goes on: %s", revision, why
            )
        self._unfit = revision

    def levels(self) -> Mapping[str, int]:
        """Which revision is in use, and how many newer ones cannot be."""
        unfit = self._unfit == self.newest.revision
        return {
            "rules_revision": self.newest.revision,
            "rulebooks_refused": len(self._shelf.refused) + unfit,
        }

    def close(self) -> None:
        """Stop the thread."""
        if hasattr(self, "_thread"):
            self._stop.set()
            self._thread.join(5.0)

    def _earlier(self, revision: int) -> Ruling | None:
        with self._lock:
            try:
                return Ruling(revision, self._shelf.edition(revision).rules)
            except (KeyError, ValueError) as error:
                _log.warning("rules of revision %d are gone (%s)", revision, error)
                return None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except Exception:  # noqa: BLE001  # the job goes on by the rules that it has
                _log.exception("topic %s cannot be followed; again in %.0f s", RULES, _AGAIN_S)
                self._stop.wait(_AGAIN_S)

    def _follow(self) -> None:
        consumer = Consumer(self._settings)
        try:
            consumer.assign([TopicPartition(RULES, 0, OFFSET_BEGINNING)])
            while not self._stop.is_set():
                message = consumer.poll(_POLL_S)
                if message is not None:
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            key = (message.key() or b"").decode(errors="replace")
            with self._lock:
                self._shelf.take(key, message.value())
        elif error.code() == KafkaError._PARTITION_EOF:
            self._consider()
            self._read.set()
        elif error.code() in _ABSENT:
            self._read.set()  # no topic, no rulebook
        else:
            _log.warning("topic %s: %s", RULES, error.str())

    def _consider(self) -> None:
        """At the topic's end: is there something newer?"""
        began_s = time.monotonic()
        with self._lock:
            edition = self._shelf.newest()
        for reason in self._shelf.refused:
            if reason not in self._told:
                _log.error("a rulebook is refused: %s", reason)
        self._told = self._shelf.refused
        if edition is not None:
            book = edition.rulebook
            self.newest = Ruling(book.revision, edition.rules)
            _log.info(
                "rules revision %d by %s (%s): %d rules, read in %.2f s",
                book.revision, book.author, book.reason, len(edition.rules),
                time.monotonic() - began_s,
            )  # fmt: skip
