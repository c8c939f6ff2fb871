"""The no-loss ledger: what a gateway says it sent, against what the cloud counted.

The gateway's word comes on `ledger.<facility>` (contract hardiot.ledger.v1), the cloud's on
`counted.<facility>` (hardiot.counted.v1). They are two topics so that no gateway can write the
cloud's side. Both count from the beginning of an epoch, so a lost message is made good by the next.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from udfs.batch import Reason, Refused

WORD = "hardiot.ledger.v1"
COUNTED = "hardiot.counted.v1"


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway says of one epoch.

    sent_through: its newest number. readings: all that it sent. lost: ranges that will not come.
    ended: epochs that are over as (epoch, last number); None where nobody knows the last.
    """

    facility: str
    gateway: str
    epoch: int
    sent_through: int
    readings: int
    lost: tuple[tuple[int, int], ...] = ()
    ended: tuple[tuple[int, int | None], ...] = ()
    sent_ms: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


def encode_word(word: Word) -> bytes:
    """The word as JSON."""
    names = ("facility", "gateway", "epoch", "sent_through", "readings", "lost", "ended", "sent_ms")
    return json.dumps({"contract": WORD} | {name: getattr(word, name) for name in names}).encode()


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
            sent_through=int(fields["sent_through"]),
            readings=_whole(fields["readings"]),
            lost=tuple(_range(item) for item in fields.get("lost", [])),
            ended=tuple(
                (_whole(e), None if n is None else int(n)) for e, n in fields.get("ended", [])
            ),
            sent_ms=_whole(fields.get("sent_ms", 0)),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refused(Reason.BAD_LEDGER, f"not a ledger line: {error!r:.200}") from None


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(f"{value!r:.40} is not a whole number")
    return value


def _range(item: object) -> tuple[int, int]:
    if not isinstance(item, list) or len(item) != 2:
        raise ValueError(f"{item!r:.40} is not [first, last]")
    first, last = _whole(item[0]), _whole(item[1])
    if last < first:
        raise ValueError(f"[{first}, {last}] ends before it starts")
    return first, last


@dataclass(slots=True)
class Counted:
    """What the cloud counted of one gateway, since its first record."""

    facility: str
    gateway: str
    batches: int = 0
    readings: int = 0
    bad_readings: int = 0
    duplicates: int = 0
    late: int = 0
    refused: int = 0
    event_time_ms: int = 0
    said_through: int = -1  # of the gateway's newest word
    said_readings: int = 0
