"""One minute of a gateway while it is open: sums by sensor, folded in sequence order.

The order of a floating-point sum decides its last bits. Batches are therefore folded in the order
of their numbers, whatever order they arrive in; one that came before its predecessors is parked.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from udfs.batch import Batch
from udfs.coverage import MINUTE_MS
from udfs.losses import Position
from udfs.rollup import MinuteRollup
from udfs.state import pack, unpack

_SUMS = ("count", "sum", "sum_sq", "min", "max", "first", "last", "bad")
_DTYPES = dict.fromkeys(_SUMS, np.dtype(np.float64)) | dict.fromkeys(
    ("count", "bad"), np.dtype(np.uint32)
)
_START = {"min": np.inf, "max": -np.inf}

Slots = npt.NDArray[np.uint32] | None


@dataclass(slots=True)
class Part:
    """The readings of one batch in one minute, shape (n,); `sensor` None is 0, 1, 2, ..."""

    position: Position
    value: npt.NDArray[np.float64]
    sensor: Slots
    good: npt.NDArray[np.bool_] | None
    catalogue: int
    traceparent: str

    @classmethod
    def of(cls, batch: Batch) -> Part:
        """What enters the sums of a batch that lies in one minute."""
        position = Position(batch.epoch, batch.sequence)
        good, traceparent = batch.good(), batch.traceparent
        return cls(position, batch.value, batch.sensor, good, batch.catalogue, traceparent)

    def size_bytes(self) -> int:
        arrays = (self.value, self.sensor, self.good)
        return sum(array.nbytes for array in arrays if array is not None)

    def pack(self) -> bytes:
        names = ("value", "sensor", "good", "catalogue", "traceparent")
        fields = {name: getattr(self, name) for name in names}
        epoch, sequence = self.position
        return pack("part", 1, fields | {"epoch": epoch, "sequence": sequence})

    @classmethod
    def unpack(cls, data: bytes) -> Part:
        _, fields = unpack(data, "part")
        position = Position(fields.pop("epoch"), fields.pop("sequence"))
        return cls(position=position, **fields)


def split(batch: Batch) -> Iterator[tuple[int, Batch]]:
    """(minute, its readings) for each minute that a batch touches: one, or two where offsets cross.

    The usual batch comes back as it is, nothing copied.
    """
    if batch.offset_ms is None or not len(batch):
        yield batch.time_ms // MINUTE_MS * MINUTE_MS, batch
        return
    minutes = (batch.time_ms + batch.offset_ms.astype(np.int64)) // MINUTE_MS * MINUTE_MS
    for minute in range(int(minutes.min()), int(minutes.max()) + 1, MINUTE_MS):
        inside = minutes == minute
        if inside.all():
            yield minute, batch
        elif inside.any():
            yield minute, _some(batch, inside)


def _some(batch: Batch, which: npt.NDArray[np.bool_]) -> Batch:
    quality, offset_ms = batch.quality, batch.offset_ms
    return replace(
        batch,
        value=batch.value[which],
        sensor=batch.slots()[which],
        offset_ms=None if offset_ms is None else offset_ms[which],
        quality=None if quality is None else quality[which],
    )


@dataclass(slots=True)
class Minute:
    """The open minute that starts at `start_ms`; `sums` has one array of shape (sensors,) a column.

    arrival_ms: wall clock of the newest batch. dirty: has data that nobody has been shown yet.
    """

    start_ms: int
    arrival_ms: int = 0
    dirty: bool = False
    batches: int = 0
    epoch: int = 0
    catalogue: int = 0
    traceparent: str = ""
    seen: int = 0  # sensors 0 to seen-1 have all had a good reading
    sums: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    parked: list[tuple[Position, Part]] = field(default_factory=list)

    @property
    def end_ms(self) -> int:
        return self.start_ms + MINUTE_MS

    def park(self, part: Part) -> None:
        """Keep a part until its predecessors are there."""
        insort(self.parked, (part.position, part), key=lambda item: item[0])

    def fold(self, part: Part) -> None:
        """Add a part to the sums. To be called in the order of positions."""
        self.batches += 1
        self.epoch, self.catalogue = part.position.epoch, max(self.catalogue, part.catalogue)
        self.traceparent = part.traceparent
        value, slots = part.value, part.sensor
        if not len(value):
            return
        self._grow(len(value) if slots is None else int(slots[-1]) + 1)
        if part.good is not None:
            slots = np.arange(len(value), dtype=np.uint32) if slots is None else slots
            np.add.at(self.sums["bad"], slots[~part.good], 1)
            value, slots = value[part.good], slots[part.good]
        if slots is None:
            self._fold_dense(value)
        elif len(slots):
            self._fold_slots(slots, value)

    def _grow(self, sensors: int) -> None:
        have = len(self.sums["count"]) if self.sums else 0
        if sensors <= have:
            return
        for name in _SUMS:
            bigger = np.full(sensors, _START.get(name, 0), _DTYPES[name])
            if have:
                bigger[:have] = self.sums[name]
            self.sums[name] = bigger

    def _fold_dense(self, value: npt.NDArray[np.float64]) -> None:
        """One reading for each of the sensors 0 to n-1: the usual batch, so it copies nothing."""
        n, sums = len(value), self.sums
        if self.seen < n:
            fresh = sums["count"][:n] == 0
            np.copyto(sums["first"][:n], value, where=fresh)
            self.seen = n
        for name, ufunc, addend in (
            ("count", np.add, np.uint32(1)),
            ("sum", np.add, value),
            ("sum_sq", np.add, value * value),
            ("min", np.minimum, value),
            ("max", np.maximum, value),
        ):
            column = sums[name][:n]
            ufunc(column, addend, out=column)
        sums["last"][:n] = value

    def _fold_slots(self, slots: npt.NDArray[np.uint32], value: npt.NDArray[np.float64]) -> None:
        """Readings of some sensors, ascending; of one there may be several, in time order."""
        sums = self.sums
        starts = np.flatnonzero(np.r_[True, slots[1:] != slots[:-1]])
        ends = np.r_[starts[1:], len(slots)]
        which = slots[starts]
        fresh = sums["count"][which] == 0
        sums["first"][which[fresh]] = value[starts[fresh]]
        sums["last"][which] = value[ends - 1]
        sums["count"][which] += (ends - starts).astype(np.uint32)
        sums["sum"][which] += np.add.reduceat(value, starts)
        sums["sum_sq"][which] += np.add.reduceat(value * value, starts)
        sums["min"][which] = np.minimum(sums["min"][which], np.minimum.reduceat(value, starts))
        sums["max"][which] = np.maximum(sums["max"][which], np.maximum.reduceat(value, starts))

    def preview(self) -> Minute:
        """A copy with what is parked folded in: for the provisional rollup."""
        copy = self.unpack(self.pack())
        for _, part in copy.parked:
            copy.fold(part)
        return copy

    def rollup(
        self, facility: str, gateway: str, revision: int, complete: bool, missing: int
    ) -> MinuteRollup:
        """What the sums say now, for the sensors that reported."""
        columns = self.sums or {name: np.empty(0, _DTYPES[name]) for name in _SUMS}
        reported = (columns["count"] > 0) | (columns["bad"] > 0)
        slots: Slots = None
        if not reported.all():
            slots = np.flatnonzero(reported).astype(np.uint32)
        out = {n: columns[n].copy() if slots is None else columns[n][slots] for n in _SUMS}
        empty = out["count"] == 0
        for name in ("min", "max", "first", "last"):
            out[name][empty] = np.nan
        return MinuteRollup(
            facility, gateway, self.start_ms, revision, complete, missing,
            self.batches, self.epoch, self.catalogue, self.traceparent, slots, **out,
        )  # fmt: skip

    def pack(self) -> bytes:
        """The minute as versioned bytes."""
        names = ("start_ms", "arrival_ms", "dirty", "batches", "epoch", "catalogue")
        fields = {name: getattr(self, name) for name in (*names, "traceparent", "seen")}
        fields |= {f"sums.{name}": array for name, array in self.sums.items()}
        fields |= {f"parked.{i}": part.pack() for i, (_, part) in enumerate(self.parked)}
        return pack("minute", 1, fields)

    @classmethod
    def unpack(cls, data: bytes) -> Minute:
        """The minute that `pack` gave."""
        _, fields = unpack(data, "minute")
        sums = {name: fields.pop(f"sums.{name}") for name in _SUMS if f"sums.{name}" in fields}
        names = sorted((k for k in fields if k.startswith("parked.")), key=lambda k: int(k[7:]))
        parts = [Part.unpack(fields.pop(name)) for name in names]
        return cls(**fields, sums=sums, parked=[(part.position, part) for part in parts])
