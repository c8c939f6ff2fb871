"""The machines of a facility as Sparkplug devices: which sensors are whose, a batch as messages.

A gateway's sensors are dealt in slot order, so many to each device `line-01`, `line-02`, ...; all
devices hang under one edge node that is named like the gateway. So 5,000 sensors with 100 metrics a
message are 50 messages a tick.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from edge.block import Floats, Qualities, Slots, Times
from edge.registry import Sensor
from edge.sparkplug.encode import REBIRTH, DeviceEncoder
from edge.sparkplug.messages import Payload
from udfs.batch import Batch
from udfs.catalogue import Catalogue


@dataclass(slots=True)
class Message:
    """What one device has to say of one tick: m readings, each metric once at most.

    line: index of the device. metric: place among the device's metrics, shape (m,); None means each
    once. time_ms: UTC epoch ms. quality: None means all good. twice: it is sent a second time.
    """

    line: int
    metric: Slots | None
    time_ms: Times
    value: Floats
    quality: Qualities | None
    twice: bool = False

    @property
    def nbytes(self) -> int:
        """About what it occupies while it waits."""
        return 2 * self.time_ms.nbytes + self.value.nbytes


def times_of(batch: Batch) -> Times:
    """When each reading of a batch was taken, UTC epoch ms, shape (n,)."""
    time_ms = np.full(len(batch), batch.time_ms, np.int64)
    if batch.offset_ms is not None:
        time_ms += batch.offset_ms
    return time_ms


class Devices:
    """The devices of one edge node: `size` sensors each, in slot order; the last may have fewer."""

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.group, self.node = catalogue.facility, catalogue.gateway
        self._starts = np.arange(0, len(catalogue), size, dtype=np.uint32)
        self._sizes = np.diff(self._starts, append=len(catalogue)).tolist()
        sensors = _sensors(catalogue)
        self._encoders = [
            DeviceEncoder(sensors[start : start + size], first_alias=start)
            for start in self._starts.tolist()
        ]

    def __len__(self) -> int:
        return len(self._encoders)

    def topic(self, kind: str, line: int | None = None) -> str:
        """Topic of a kind of message (NBIRTH, DDATA, ...) of the node, or of one device."""
        node = f"spBv1.0/{self.group}/{kind}/{self.node}"
        return node if line is None else f"{node}/line-{line + 1:02d}"

    def birth(self, line: int, seq: int, now_ms: int) -> bytes:
        """DBIRTH of one device: what it measures, without values."""
        return self._encoders[line].birth(now_ms, seq)

    def data(self, message: Message, seq: int) -> bytes:
        """DDATA of one message."""
        return self._encoders[message.line].data(
            message.value, message.time_ms, seq, message.quality, message.metric
        )

    def split(self, batch: Batch) -> list[Message]:
        """A batch as messages: by time where a sensor has several readings, then by device."""
        slot, time_ms = batch.slots(), times_of(batch)
        rank = _rank(slot)
        if rank is None:
            return self._by_device(slot, time_ms, batch.value, batch.quality)
        turns = (rank == turn for turn in range(int(rank.max()) + 1))
        return [
            message
            for at in turns
            for message in self._by_device(
                slot[at],
                time_ms[at],
                batch.value[at],
                None if batch.quality is None else batch.quality[at],
            )
        ]

    def _by_device(
        self, slot: Slots, time_ms: Times, value: Floats, quality: Qualities | None
    ) -> list[Message]:
        """One message for each device that has readings. Args: slot: ascending, each once."""
        bounds = [*np.searchsorted(slot, self._starts).tolist(), len(slot)]
        messages = []
        for line, (begin, end) in enumerate(pairwise(bounds)):
            at = slice(begin, end)
            if begin < end:
                whole = end - begin == self._sizes[line]
                metric = None if whole else slot[at] - self._starts[line]
                codes = quality[at] if quality is not None and quality[at].any() else None
                messages.append(Message(line, metric, time_ms[at], value[at], codes))
        return messages


def _sensors(catalogue: Catalogue) -> list[Sensor]:
    """What the births say of each slot."""
    c = catalogue
    texts = (c.name, c.unit, c.kind, c.asset)
    limits = (c.low.tolist(), c.high.tolist(), c.period_ms.tolist())
    return [Sensor(*row) for row in zip(*texts, *limits, c.asset_type, c.tags, strict=True)]


def _rank(slot: Slots) -> npt.NDArray[np.intp] | None:
    """The how-manieth reading of its sensor each is, from 0, shape (n,); None when all are 0."""
    same = np.flatnonzero(slot[1:] == slot[:-1])
    if not len(same):
        return None
    first = np.searchsorted(slot, slot)
    rank: npt.NDArray[np.intp] = np.arange(len(slot)) - first
    return rank


def asks_rebirth(payload: bytes) -> bool:
    """Whether a node's command (NCMD) asks for its births; these machines obey no other."""
    try:
        metrics = Payload.FromString(payload).metrics
    except DecodeError:
        return False
    return any(metric.name == REBIRTH and metric.boolean_value for metric in metrics)
