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
from edge.sparkplug.messages import Payload
from udfs.batch import Batch

REBIRTH = "Node Control/Rebirth"


@dataclass(slots=True)
class Message:
    """What one device has to say of one tick: m readings, each metric once at most.

    line: index of the device. metric: place among the device's metrics, shape (m,). time_ms: UTC
    epoch ms. quality: None means all good. twice: it is sent a second time.
    """

    line: int
    metric: Slots
    time_ms: Times
    value: Floats
    quality: Qualities | None
    twice: bool = False

    @property
    def nbytes(self) -> int:
        """About what it occupies while it waits."""
        return self.metric.nbytes + self.time_ms.nbytes + self.value.nbytes


def times_of(batch: Batch) -> Times:
    """When each reading of a batch was taken, UTC epoch ms, shape (n,)."""
    time_ms = np.full(len(batch), batch.time_ms, np.int64)
    if batch.offset_ms is not None:
        time_ms += batch.offset_ms
    return time_ms


class Devices:
    """The devices of one edge node: `size` sensors each, in slot order; the last may have fewer."""

    def __init__(self, sensors: int, size: int) -> None:
        self._starts = np.arange(0, sensors, size, dtype=np.uint32)
        self._size = size

    def __len__(self) -> int:
        return len(self._starts)

    def slots(self, line: int) -> slice:
        """The slots of the device of that index; open at the end for the last one."""
        return slice(line * self._size, (line + 1) * self._size)

    def name(self, line: int) -> str:
        """Its name in topics: line-01, ..."""
        return f"line-{line + 1:02d}"

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
        """One message for each device that has readings; ascending slots, each once."""
        bounds = [*np.searchsorted(slot, self._starts).tolist(), len(slot)]
        metric = slot % np.uint32(self._size)
        return [
            Message(
                line,
                metric[begin:end],
                time_ms[begin:end],
                value[begin:end],
                None if quality is None else quality[begin:end],
            )
            for line, (begin, end) in enumerate(pairwise(bounds))
            if begin < end
        ]


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
