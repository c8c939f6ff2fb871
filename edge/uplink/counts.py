"""What the uplink did since it began; one thread writes, any may look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from edge.timings import Timings
from edge.uplink.lanes import Lane


def _by_lane() -> dict[Lane, int]:
    return dict.fromkeys(Lane, 0)


@dataclass(slots=True)
class Counts:
    """sent, acknowledged: records by lane. unanswered: given up by lane, and sent again later.
    bytes_sent: before compression. refused: by reason (refused, too_large, unreadable,
    unknown_catalogue). words: to the ledger, acknowledged. live_ack: from sent to acknowledged.
    """

    sent: dict[Lane, int] = field(default_factory=_by_lane)
    acknowledged: dict[Lane, int] = field(default_factory=_by_lane)
    unanswered: dict[Lane, int] = field(default_factory=_by_lane)
    bytes_sent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    words: int = 0
    live_ack: Timings = field(default_factory=Timings)
