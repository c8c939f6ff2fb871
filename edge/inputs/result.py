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
    allowed. topic: where it came from. payload: the original bytes.
    """

    reason: str
    detail: str
    topic: str = ""
    payload: bytes = b""


@dataclass(slots=True)
class Result:
    """All that came of one message, or of one call.

    receipt: what is owed for the message, also when nothing came of it. The input holds it once;
    the pipeline releases that after the commit that covers the refused parts. (Blocks of the
    message carry the same receipt, and the ticks hold it for each.)
    """

    blocks: list[Block] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    receipt: Receipt | None = field(default=None, repr=False)


Inbox = Callable[[Result], None]
