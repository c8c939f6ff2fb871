"""Between inputs and batches: right clocks, right units, nothing twice, nothing needless.

    pipeline = Pipeline(settings, registry, tick_ms)
    ticks.offer(pipeline.clock(block, now_ms))
    batch = pipeline.batch(tick, registry.newest, facility, gateway)

The order of steps is fixed: waveforms to features, clocks | ticks | order and duplicates, repeats,
units, validity, stuck, windows to features, down-sampling, deadband. See docs/edge-filters.md.
Steps are deterministic: the same blocks, ticks and times give the same batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from edge.block import Block
from edge.filters.clocks import Clocks
from edge.filters.columns import Columns, Kept, Step, in_order
from edge.filters.conversion import Conversion
from edge.filters.deadband import Deadband
from edge.filters.downsample import Downsample
from edge.filters.settings import Chosen, FilterSettings, choose
from edge.filters.stuck import Stuck
from edge.filters.validity import Validity
from edge.filters.vibration import source_name
from edge.filters.waveforms import Waveforms
from edge.filters.windows import Windows, check_window
from edge.registry import Registry, Sensor
from edge.repeats import Repeats
from edge.ticks import Tick
from udfs.batch import Batch

_PREFIX = "filters."


class Pipeline:
    """All filters of a gateway.

    counts: readings by what became of them; the `flagged_*` and `clamped` ones are sent.
    """

    def __init__(self, settings: FilterSettings, registry: Registry, tick_ms: int) -> None:
        """Raises: EdgeError: a window that is not a multiple of the tick."""
        for entry in settings.filters:
            if entry.features is not None:
                check_window(entry.features, tick_ms)
        self._settings, self._registry, self._tick_ms = settings, registry, tick_ms
        self._features = any(entry.features for entry in settings.filters)
        self._known = 0  # sensors that the steps know
        self._newest_ms = -1  # time of the newest batch in order
        self._clocks = Clocks(settings.clock)
        self._waveforms = Waveforms(registry.slot)
        self._repeats = Repeats(settings.repeat_s)
        self._conversion = Conversion()
        self._steps: dict[str, Step] = {
            "conversion": self._conversion,
            "validity": Validity(),
            "stuck": Stuck(),
            "windows": Windows(registry.slot),
            "downsample": Downsample(),
            "deadband": Deadband(),
        }
        self.counts: Counter[str] = Counter()
        self._grow()

    @property
    def clock_offsets(self) -> Mapping[str, int]:
        """What is added to the times of sources whose clocks are wrong, ms."""
        return self._clocks.offsets

    def set_conversion(self, slot: int, from_unit: str) -> bool:
        """The sensor's device reports in `from_unit` from now on, in place of the registry's unit.

        Returns: whether there is a conversion; without one its readings are flagged uncertain.
        """
        self._grow()
        return self._conversion.set(slot, from_unit)

    def clock(self, block: Block, now_ms: int) -> Block:
        """The block as ticks take it in: with features instead of waveforms, by a right clock.

        Sensors of features get their slots here, so commit the registry afterwards.
        """
        if self._features or block.waveforms:
            self._grow()
        if block.waveforms:
            block = self._waveforms.add(block, self._conversion, self.counts)
            self._grow()
        if not block.received_ms:
            block = replace(block, received_ms=now_ms)
        return self._clocks.repair(block, self.counts) if len(block) else block

    def batch(self, tick: Tick, catalogue_version: int, facility: str, gateway: str) -> Batch:
        """A tick's batch; all its blocks went through `clock`. Epoch and number are the spool's."""
        self._grow()
        columns = in_order(tick, self._tick_ms, self.counts)
        if len(columns):
            fresh = self._repeats.fresh(columns.slot, columns.time_ms)
            if not fresh.all():
                self.counts["repeat"] += len(columns) - int(fresh.sum())
                columns = columns.keep(fresh)
        for step in self._steps.values():
            columns = step.apply(columns, self.counts)
        if not tick.late:
            self._newest_ms = tick.time_ms
        return self._made(columns, catalogue_version, facility, gateway)

    def _made(self, columns: Columns, version: int, facility: str, gateway: str) -> Batch:
        n = len(columns)
        offset = columns.time_ms - columns.start_ms
        plain = columns.single and n == self._sensors_in(version) and n == int(columns.slot[-1]) + 1
        return Batch(
            facility=facility,
            gateway=gateway,
            epoch=0,
            sequence=0,
            time_ms=columns.start_ms,
            value=columns.value,
            sensor=None if plain else columns.slot,
            offset_ms=offset.astype(np.int32) if offset.any() else None,
            quality=columns.quality if columns.quality.any() else None,
            catalogue=version,
        )

    def _sensors_in(self, version: int) -> int:
        return len(self._registry.version(version)) if version else -1

    def replay(self, batch: Batch) -> None:
        """After a restart: remember a batch that was sent after the checkpoint."""
        self._grow()
        self._repeats.take(batch)
        late = batch.time_ms < self._newest_ms
        if late:
            return
        self._newest_ms = batch.time_ms
        sent = _columns(batch, self._tick_ms)
        for step in self._steps.values():
            step.replay(sent)

    def _grow(self) -> None:
        """Let the steps know of sensors that are new; features bring further ones."""
        while len(self._registry) > self._known:
            slots = range(self._known, len(self._registry))
            new = [self._registry.sensor(slot) for slot in slots]
            chosen = [self._chosen(sensor) for sensor in new]
            self._known += len(new)
            self._waveforms.grow(new, chosen)
            for step in self._steps.values():
                step.grow(new, chosen)

    def _chosen(self, sensor: Sensor) -> Chosen:
        chosen = choose(self._settings.filters, sensor)
        source = source_name(sensor.name)
        if source is not None and self._registry.find(source) is not None:
            return replace(chosen, features=None)  # no features of features
        return chosen

    def _parts(self) -> dict[str, Kept]:
        return {"clocks": self._clocks, "repeats": self._repeats, **self._steps}

    def to_fields(self) -> dict[str, Any]:
        """State as arrays, for `udfs.state.pack`."""
        fields = {
            f"{_PREFIX}{part}.{name}": value
            for part, step in self._parts().items()
            for name, value in step.to_fields().items()
        }
        return {f"{_PREFIX}newest_ms": self._newest_ms, **fields}

    def from_fields(self, fields: Mapping[str, Any]) -> None:
        """Take up what `to_fields` gave; a step that it does not know begins anew."""
        self._grow()
        self._newest_ms = fields.get(f"{_PREFIX}newest_ms", -1)
        for part, step in self._parts().items():
            prefix = f"{_PREFIX}{part}."
            own = {n.removeprefix(prefix): v for n, v in fields.items() if n.startswith(prefix)}
            if own:
                step.from_fields(own)


def _columns(batch: Batch, tick_ms: int) -> Columns:
    n = len(batch)
    slot = batch.slots()
    time_ms = np.full(n, batch.time_ms, np.int64)
    if batch.offset_ms is not None:
        time_ms += batch.offset_ms
    quality = np.zeros(n, np.uint8) if batch.quality is None else batch.quality
    single = bool((slot[1:] > slot[:-1]).all())
    end_ms = batch.time_ms + tick_ms
    return Columns(batch.time_ms, end_ms, False, single, slot, time_ms, batch.value, quality)
