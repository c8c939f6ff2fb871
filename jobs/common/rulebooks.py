"""Topic `rules` as those who change rules see it: all revisions, and a new one behind them.

known = read(bootstrap)
push(bootstrap, known, Rulebook(known.shelf.last + 1, files, author, reason, now_ms))
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from jobs.common.errors import HardiotError
from jobs.common.tail import Tail
from udfs.rules.record import RULES, Rulebook, encode, record_key
from udfs.rules.shelf import Edition, Shelf

KEPT = 50
"""Revisions that stay; a push deletes those before."""

_TIMEOUT_S = 15.0


class RulebooksError(HardiotError):
    """A rulebook that could not be pushed, or is not there."""


@dataclass
class Known:
    """The topic up to its end. keys: of all records that are not deleted, by revision.

    edition: the rulebook in use, None when there is none.
    """

    shelf: Shelf = field(default_factory=Shelf)
    keys: dict[int, set[str]] = field(default_factory=dict)
    edition: Edition | None = None

    def take(self, key: str, value: bytes | None) -> None:
        """One record, in the order of the topic."""
        self.shelf.take(key, value)
        head = key.partition("/")[0]
        keys = self.keys.setdefault(int(head), set()) if head.isdecimal() else set()
        (keys.discard if value is None else keys.add)(key)


def read(bootstrap: str) -> Known:
    """All of the topic. Raises: KafkaError: Kafka does not answer."""
    known = Known()
    with Tail(bootstrap, [RULES], from_start=True) as tail:
        for message in tail.rest():
            known.take(message.key, message.value or None)
    known.edition = known.shelf.newest()
    return known


def push(bootstrap: str, known: Known, rulebook: Rulebook) -> None:
    """Write a rulebook behind those that are known, see that it counts, delete old ones.

    Raises: RulebooksError: not written, or somebody else pushed at the same time.
    """
    key = record_key(rulebook.revision, uuid.uuid4().hex)
    write(bootstrap, [(key, _encoded(rulebook))])
    now = read(bootstrap)
    if now.shelf.key(rulebook.revision) != key:
        write(bootstrap, [(key, None)])
        raise RulebooksError(_conflict(now.shelf, rulebook.revision))
    old = [key for at, keys in now.keys.items() if at <= now.shelf.last - KEPT for key in keys]
    write(bootstrap, [(key, None) for key in sorted(old)])


def write(bootstrap: str, records: Sequence[tuple[str, bytes | None]]) -> None:
    """Write records and wait for Kafka's word on each. Raises: RulebooksError."""
    refused: list[str] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        refused.extend([error.str()] if error is not None else [])

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": "hardiot-rules",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.max.bytes": 16_000_000,
            "message.timeout.ms": int(_TIMEOUT_S * 1000),
            "log_level": 2,
        }
    )
    try:
        for key, value in records:
            producer.produce(RULES, value, key, on_delivery=delivered)
        unsent = producer.flush(_TIMEOUT_S + 1)
    except (BufferError, KafkaException) as error:
        raise RulebooksError(f"{bootstrap}: topic {RULES}: not written: {error}") from None
    if refused or unsent:
        why = refused[0] if refused else "no answer"
        raise RulebooksError(f"{bootstrap}: topic {RULES}: not written: {why}")


def _encoded(rulebook: Rulebook) -> bytes:
    try:
        return encode(rulebook)
    except ValueError as error:
        raise RulebooksError(str(error)) from None


def _conflict(shelf: Shelf, revision: int) -> str:
    try:
        who = f"{shelf.rulebook(revision).author} pushed it"
    except (KeyError, ValueError):
        who = "somebody wrote it"
    return (
        f"revision {revision} is not yours: {who} at the same time; yours was taken back. "
        "Look at `hardiot rules history`, then push again"
    )
