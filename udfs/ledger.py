"""The no-loss ledger: what a gateway says it sent, against what the cloud counted.

The gateway's word comes on `ledger.<facility>` (contract hardiot.ledger.v1), the cloud's on
`counted.<facility>` (hardiot.counted.v1). They are two topics so that no gateway can write the
cloud's side. Both count from the beginning of an epoch, so a lost message is made good by the next.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from udfs.batch import Reason, Refused

WORD = "hardiot.ledger.v1"
COUNTED = "hardiot.counted.v1"

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway says of one epoch.

    sent_through: its newest number. readings: all that it sent. lost: ranges that will not come.
    ended: epochs that are over as (epoch, last number); None where nobody knows the last.
    ranges: (first, last, readings, fingerprint) of batches that Kafka acknowledged; each is in two
    words running. acknowledged_through: up to here Kafka acknowledged all that is not lost, -1
    before the first. pending: batches in the spool that are not acknowledged, None: not said.
    """

    facility: str
    gateway: str
    epoch: int
    sent_through: int
    readings: int
    lost: tuple[tuple[int, int], ...] = ()
    ended: tuple[tuple[int, int | None], ...] = ()
    sent_ms: int = 0
    ranges: tuple[tuple[int, int, int, int], ...] = ()
    acknowledged_through: int = -1
    pending: int | None = None


def encode_word(word: Word) -> bytes:
    """The word as JSON; fingerprints as hexadecimal texts, for they pass 2^53."""
    names = ("facility", "gateway", "epoch", "sent_through", "readings", "lost", "ended", "sent_ms")
    fields = {"contract": WORD} | {name: getattr(word, name) for name in names}
    if word.ranges:
        fields["ranges"] = [[*found[:3], f"{found[3]:016x}"] for found in word.ranges]
    if word.acknowledged_through >= 0:
        fields["acknowledged_through"] = word.acknowledged_through
    if word.pending is not None:
        fields["pending"] = word.pending
    return json.dumps(fields).encode()


def decode_word(data: bytes) -> Word:
    """Read a gateway's word. Raises: Refused: bad_ledger."""
    try:
        fields = json.loads(data)
        if fields["contract"] != WORD:
            raise Refused(
                Reason.BAD_LEDGER, f"contract {fields['contract']!r:.80}; this reader knows {WORD}"
            )
        return Word(
            facility=str(fields["facility"]),
            gateway=str(fields["gateway"]),
            epoch=_whole(fields["epoch"]),
            sent_through=_whole(fields["sent_through"], least=-1),
            readings=_whole(fields["readings"]),
            lost=tuple(_range(item) for item in fields.get("lost", [])),
            ended=tuple(
                (_whole(e), None if n is None else _whole(n)) for e, n in fields.get("ended", [])
            ),
            sent_ms=_whole(fields.get("sent_ms", 0)),
            ranges=tuple(_counted_range(item) for item in fields.get("ranges", [])),
            acknowledged_through=_whole(fields.get("acknowledged_through", -1), least=-1),
            pending=_whole(fields["pending"]) if "pending" in fields else None,
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(Reason.BAD_LEDGER, f"not a ledger line: {error!r:.200}") from None


def _whole(value: object, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**62:
        raise ValueError(f"{value!r:.40} is not a whole number")
    return value


def _range(item: object) -> tuple[int, int]:
    if not isinstance(item, list) or len(item) != 2:
        raise ValueError(f"{item!r:.40} is not [first, last]")
    first, last = _whole(item[0]), _whole(item[1])
    if last < first:
        raise ValueError(f"[{first}, {last}] ends before it starts")
    return first, last


def _counted_range(item: object) -> tuple[int, int, int, int]:
    if not isinstance(item, list) or len(item) != 4:
        raise ValueError(f"{item!r:.40} is not [first, last, readings, fingerprint]")
    first, last = _range(item[:2])
    if not isinstance(item[3], str) or not _FINGERPRINT.fullmatch(item[3]):
        raise ValueError(f"{item[3]!r:.40} is not a fingerprint of 16 hexadecimal digits")
    return first, last, _whole(item[2]), int(item[3], 16)


@dataclass(slots=True)
class Counted:
    """What the cloud counted of one gateway, since its first record.

    epoch, epoch_readings: the newest epoch that a batch came from, and its readings: what a word,
    which speaks of one epoch, is held against.
    """

    facility: str
    gateway: str
    batches: int = 0
    readings: int = 0
    epoch: int = 0
    epoch_readings: int = 0
    bad_readings: int = 0
    duplicates: int = 0
    late: int = 0
    refused: int = 0
    event_time_ms: int = 0


class Verdict(StrEnum):
    """What the two sides of the ledger say together."""

    EQUAL = "equal"
    BEHIND = "behind"  # not all that was sent has arrived yet, and no number is skipped
    MISSING = "missing"  # numbers are skipped: in an outage's backlog, or lost; or unaccounted
    DIFFERENT = "different"  # all numbers are there, but other readings, or not as many
    UNHEARD = "unheard"  # one of the two sides has not spoken


@dataclass(frozen=True, slots=True)
class Balance:
    """One gateway's two sides, compared. -1: unknown.

    pending: batches in the gateway's spool. verified_readings: in ranges that were found equal.
    unaccounted: (epoch, first, last) that Kafka acknowledged and the cloud never saw; different:
    those of other content. They make a gateway MISSING or DIFFERENT even while it goes on sending.
    """

    facility: str
    gateway: str
    verdict: Verdict
    sent_readings: int
    counted_readings: int
    sent_through: int
    counted_through: int
    missing: int
    declared_lost: int
    duplicates: int
    late: int
    refused: int
    gaps: tuple[tuple[int, int], ...] = ()
    pending: int = -1
    verified_through: int = -1
    verified_readings: int = 0
    unaccounted_batches: int = 0
    unaccounted: tuple[tuple[int, int, int], ...] = ()
    different: tuple[tuple[int, int, int], ...] = ()


def compare(word: Word | None, counted: Mapping[str, Any] | None) -> Balance:
    """Hold a gateway's newest word against the cloud's newest line, as parsed JSON.

    Raises: ValueError: there is neither.
    """
    if word is None and counted is None:
        raise ValueError("neither side of the ledger has spoken")
    line = counted or {}
    return Balance(
        facility=word.facility if word else line["facility"],
        gateway=word.gateway if word else line["gateway"],
        verdict=_verdict(word, line) if word and line else Verdict.UNHEARD,
        sent_readings=word.readings if word else -1,
        counted_readings=_of_epoch(line) if line else -1,
        sent_through=word.sent_through if word else -1,
        counted_through=line.get("highest", -1),
        missing=line.get("missing", 0),
        declared_lost=line.get("declared_lost", 0),
        duplicates=line.get("duplicates", 0),
        late=line.get("late", 0),
        refused=line.get("refused", 0),
        gaps=tuple((first, last) for first, last in line.get("gaps", [])),
        pending=-1 if word is None or word.pending is None else word.pending,
        verified_through=line.get("verified_through", -1),
        verified_readings=line.get("verified_readings", 0),
        unaccounted_batches=line.get("unaccounted_batches", 0),
        unaccounted=tuple((e, first, last) for e, first, last in line.get("unaccounted", [])),
        different=tuple((e, first, last) for e, first, last in line.get("different", [])),
    )


def _of_epoch(line: Mapping[str, Any]) -> int:
    return int(line.get("epoch_readings", line["readings"]))


def _verdict(word: Word, line: Mapping[str, Any]) -> Verdict:
    if line.get("different"):  # no backlog explains it, so it comes before what is missing
        return Verdict.DIFFERENT
    if line["missing"] or line.get("unaccounted"):
        return Verdict.MISSING
    spoken = (word.epoch, max([word.sent_through, *(last for _, last in word.lost)]))
    counted = (line["epoch"], line["contiguous_through"])
    # nothing whole in a newer epoch: how far the one before it went is not known
    unjoined = line["epoch"] > word.epoch and line["contiguous_through"] < 0
    if counted < spoken or unjoined:
        return Verdict.BEHIND
    # a line that is newer than the word holds more than the word speaks of
    if counted == spoken and _of_epoch(line) != word.readings:
        return Verdict.DIFFERENT
    return Verdict.EQUAL
