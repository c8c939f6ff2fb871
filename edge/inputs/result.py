"""What an input makes of messages: blocks of readings, and what it had to refuse.

    inbox(Result(blocks=[block], refused=[]))       # blocks the input's thread while it is full
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.block import Block, Receipt


@dataclass(slots=True)
class Refused:
    """A message, or a part of one, that no reading could be made of; it is counted and kept.

    reason: one of a short fixed list, the label of the metric. detail: what was found, what is
    allowed. topic: where it came from. payload: the original bytes. receipt: what is owed for it.
    """

    reason: str
    detail: str
    topic: str = ""
    payload: bytes = b""
    receipt: Receipt | None = field(default=None, repr=False)


@dataclass(slots=True)
class Result:
    """All that came of one message, or of one call."""

    blocks: list[Block] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


Inbox = Callable[[Result], None]
