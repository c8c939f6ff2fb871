"""Readings without a broker: from the simulator, benchmarks and tests in the same process.

    direct = DirectInput(inbox, registry)
    direct.catalogue(catalogue)                      # its slots are what batches speak of
    direct.offer(batch, received_ms=now_ms)

Columns are handed on as they are, and copied only where they need another form: who offers them
must not change them afterwards.
"""

from __future__ import annotations

import numpy as np

from edge.block import Block, Floats, Qualities, Receipt, Slots, Times
from edge.inputs.result import Inbox, Refused, Result
from edge.registry import Registry, Sensor
from udfs.batch import Batch, Quality, Reason
from udfs.catalogue import Catalogue


class DirectInput:
    """The in-process input; it runs in the thread of whoever offers."""

    def __init__(self, inbox: Inbox, registry: Registry, source: str = "direct") -> None:
        """Args: inbox: takes a result, and waits while it is full. source: whose clock it is."""
        self._inbox, self._registry, self._source = inbox, registry, source
        self._slots: Slots = np.empty(0, np.uint32)  # of the registry, by slot of the catalogue
        self._all = self._slots
        self._same = True

    def catalogue(self, catalogue: Catalogue) -> None:
        """Give its sensors slots, in their order; from here on what is offered speaks of it.

        Raises: ValueError: the registry is full.
        """
        found = [self._registry.slot(sensor) for sensor in _sensors(catalogue)]
        if None in found:
            raise ValueError(f"catalogue {catalogue.key}: too many sensors for the registry")
        self._slots = np.array(found, np.uint32)
        self._all = np.arange(len(found), dtype=np.uint32)
        self._same = np.array_equal(self._slots, self._all)

    def offer(self, batch: Batch, received_ms: int, receipt: Receipt | None = None) -> None:
        """Hand over a batch; its epoch and number mean nothing here, the gateway gives its own.

        Args: received_ms: UTC epoch ms. receipt: given when all of it is on disk, or refused.
        """
        time_ms = np.full(len(batch), batch.time_ms, np.int64)
        if batch.offset_ms is not None:
            time_ms += batch.offset_ms
        slot = batch.sensor
        if slot is None:
            slot = self._all if len(self._all) == len(batch) else batch.slots()
        self.offer_columns(slot, time_ms, batch.value, batch.quality, received_ms, receipt)

    def offer_columns(
        self,
        slot: Slots,
        time_ms: Times,
        value: Floats,
        quality: Qualities | None,
        received_ms: int,
        receipt: Receipt | None = None,
    ) -> None:
        """Hand over n readings, in any order.

        Args: slot: uint32, of the catalogue. time_ms: int64, UTC epoch ms. value: float64.
            quality: uint8, None for all good. All of shape (n,).
        """
        if receipt is not None:
            receipt.hold()
        result = Result(receipt=receipt)
        if problem := self._problem(slot, time_ms, value, quality):
            result.refused.append(problem)
        elif len(value):
            slot = slot if self._same else self._slots[slot]
            if quality is None:
                quality = np.full(len(value), Quality.GOOD, np.uint8)
            result.blocks.append(
                Block(slot, time_ms, value, quality, self._source, received_ms, receipt=receipt)
            )
        self._inbox(result)

    def _problem(
        self, slot: Slots, time_ms: Times, value: Floats, quality: Qualities | None
    ) -> Refused | None:
        """Why the columns make no block; a wrong slot would be another sensor's reading."""
        lengths = {len(slot), len(time_ms), len(value)}
        if quality is not None:
            lengths.add(len(quality))
        if len(lengths) > 1:
            detail = f"columns of {len(slot)}, {len(time_ms)} and {len(value)} readings"
            return Refused(Reason.BAD_COLUMNS, detail, self._source)
        last = int(slot.max()) if len(slot) else -1
        if last >= len(self._slots):
            detail = f"slot {last}; the catalogue has {len(self._slots)}"
            return Refused(Reason.SLOT_OUT_OF_RANGE, detail, self._source)
        return None


def _sensors(catalogue: Catalogue) -> list[Sensor]:
    rows = zip(
        catalogue.name,
        catalogue.unit,
        catalogue.kind,
        catalogue.asset,
        catalogue.low.tolist(),
        catalogue.high.tolist(),
        catalogue.period_ms.tolist(),
        catalogue.asset_type,
        catalogue.tags,
        strict=True,
    )
    return [Sensor(*row) for row in rows]
