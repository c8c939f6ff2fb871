"""One Sparkplug message: what its topic says, and its content as blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.block import Block, Bools, Receipt
from edge.inputs.result import Refused, Result
from edge.inputs.sparkplug_births import Source
from edge.sparkplug.content import Content
from edge.sparkplug.decode import parse
from udfs.batch import Quality

PREFIX = "spBv1.0"
_LEVELS = {"NBIRTH": 4, "DBIRTH": 5, "NDATA": 4, "DDATA": 5, "NDEATH": 4, "DDEATH": 5}


class Address(NamedTuple):
    """What a topic says; kind "" is none of ours (commands, states, other versions)."""

    kind: str
    source: Source


def address(topic: str) -> Address:
    """spBv1.0/<group>/<kind>/<node>[/<device>]."""
    parts = topic.split("/")
    if len(parts) > 3 and parts[0] == PREFIX and _LEVELS.get(parts[2]) == len(parts):
        return Address(parts[2], Source(parts[1], *parts[3:]))
    return Address("", Source("", ""))


class Message(NamedTuple):
    """One message on its way through."""

    topic: str
    payload: bytes
    received_ms: int
    redelivered: bool
    receipt: Receipt | None

    def sent_ms(self) -> int | None:
        """When it was made, by its sender's clock."""
        payload = parse(self.payload)
        return payload.timestamp if payload.HasField("timestamp") else None

    def refuse(self, result: Result, reason: str, detail: str) -> None:
        """Something of it cannot be taken."""
        result.refused.append(Refused(reason, detail, self.topic, self.payload))

    def blocks(self, content: Content, label: str) -> list[Block]:
        """At most two: news, and what the device had kept. Empty ones are left out."""
        old = content.historical
        if old is None:
            blocks = [self._block(content, None, label)]
        else:
            blocks = [self._block(content, ~old, label), self._block(content, old, label)]
            blocks[1].historical = True
        blocks[0].waveforms = tuple(content.waveforms)
        return [block for block in blocks if len(block) or block.waveforms]

    def _block(self, content: Content, which: Bools | None, label: str) -> Block:
        slot, time_ms, value = content.slot, content.time_ms, content.value
        quality = content.quality
        if which is not None:
            slot, time_ms, value = slot[which], time_ms[which], value[which]
            quality = quality[which]
        return Block(slot, time_ms, value, quality, label, self.received_ms, receipt=self.receipt)


def without_nulls(content: Content) -> Content:
    """What a birth says without its nulls: that a metric exists is no reading."""
    known = ~(np.isnan(content.value) & (content.quality == Quality.BAD))
    if not known.all():
        for name in ("slot", "time_ms", "value", "quality", "historical"):
            column = getattr(content, name)
            if column is not None:
                setattr(content, name, column[known])
    return content
