"""Records of the spool as records for Kafka: topic, key, headers, value."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from edge import codec, keep, messages
from edge.spool.record import Kind, Log, Stored
from edge.uplink.lanes import Lane
from udfs import batch, catalogue, records, rollup
from udfs.catalogue import Catalogue
from udfs.ledger import Word, encode_word

LOGS = {
    Lane.ALERTS: Log.ALERTS,
    Lane.LIVE: Log.RAW,
    Lane.ROLLUPS: Log.ROLLUPS,
    Lane.BACKLOG: Log.RAW,
}
_TOPICS = {Lane.LIVE: records.READINGS, Lane.BACKLOG: records.BACKLOG}
_SENT_AS = {Lane.LIVE: batch.Lane.LIVE, Lane.BACKLOG: batch.Lane.BACKLOG}
# what the dead-letter contract asks for beside what the input said; there is no offset in MQTT
_REFUSED_BY = {"detail": "", "topic": "", "partition": "-1", "offset": "-1", "job": "gateway"}


class Parcel(NamedTuple):
    """One Kafka record. catalogue: the version that must be known before it; 0: none."""

    topic: str
    key: str
    value: bytes
    headers: dict[str, str]
    catalogue: int = 0


class Packer:
    """Makes the parcels of one gateway."""

    def __init__(self, facility: str, gateway: str) -> None:
        self._facility, self._gateway = facility, gateway
        self._key = f"{facility}/{gateway}"

    def record(self, lane: Lane, stored: Stored, now_ms: int) -> Parcel:
        """A record of the spool. Raises: ValueError: its body cannot be read."""
        if stored.kind is Kind.BATCH:
            return self._batch(lane, stored, now_ms)
        if stored.kind is Kind.ROLLUP:
            value = keep.unpack(stored.body)
            version = rollup.decode(value).catalogue
            return Parcel(self._topic(records.EDGE_ROLLUPS), self._key, value, {}, version)
        message = messages.decode(stored.body)
        if stored.kind is Kind.ALERT:
            return Parcel(self._topic(records.EDGE_ALERTS), *_parts(message))
        headers = _REFUSED_BY | message.headers
        topic = self._topic(records.EDGE_DEAD_LETTERS)
        return Parcel(topic, self._key, message.value, headers)

    def catalogue(self, found: Catalogue) -> Parcel:
        """A version of the catalogue."""
        return Parcel(records.CATALOGUE, found.key, catalogue.encode(found), {})

    def word(self, word: Word) -> Parcel:
        """A word to the ledger."""
        return Parcel(self._topic(records.LEDGER), self._gateway, encode_word(word), {})

    def _batch(self, lane: Lane, stored: Stored, now_ms: int) -> Parcel:
        found = codec.decode(
            stored.body, stored.epoch, stored.sequence, self._facility, self._gateway
        )
        found = replace(found, lane=_SENT_AS[lane], sent_ms=now_ms)
        topic = self._topic(_TOPICS[lane])
        return Parcel(topic, self._gateway, batch.encode(found), {}, found.catalogue)

    def _topic(self, family: str) -> str:
        return f"{family}.{self._facility}"


def _parts(message: messages.Message) -> tuple[str, bytes, dict[str, str]]:
    return message.key, message.value, message.headers


def size_of(stored: Stored) -> int:
    """Bytes that a record takes on its way, before it is made: 8 for each value of a batch."""
    return max(len(stored.body), 8 * stored.readings)
