"""One simulated gateway: any of its batches, at any time, in any order, always the same.

gateway.batch(42)           # pure: seed, facility, gateway and number decide every byte
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge.simulator.faults import PlacedFault
from edge.simulator.recordings import PlacedRecording
from edge.simulator.signals import Draft, NoisePool, chance, generator, mix
from edge.simulator.template import Imperfections
from edge.simulator.timetable import Due, Timetable
from udfs.batch import Batch, Lane, Quality
from udfs.catalogue import Catalogue

Qualities = npt.NDArray[np.uint8]

# one salt for each independent decision about a batch
_UNCERTAIN, _BAD, _MISSING, _TWICE = 1, 2, 3, 4


class SimulatedGateway:
    """A gateway of the fleet; `batch` is a pure function of the sequence number."""

    def __init__(
        self,
        catalogue: Catalogue,
        timetable: Timetable,
        pool: NoisePool,
        key: int,
        start_ms: int,
        tick_ms: int,
        epoch: int = 1,
        imperfections: Imperfections | None = None,
        faults: Sequence[PlacedFault] = (),
        recordings: Sequence[PlacedRecording] = (),
    ) -> None:
        """Args: key: 64 bits of seed, facility and gateway. start_ms: time of its first tick."""
        self.catalogue = catalogue
        self.start_ms = start_ms
        self.epoch = epoch
        self._timetable = timetable
        self._pool = pool
        self._key = key
        self._tick_ms = tick_ms
        self._imperfections = imperfections or Imperfections()
        self._faults = faults
        self._recordings = recordings

    def batch(self, sequence: int, lane: Lane = Lane.LIVE, sent_ms: int = 0) -> Batch:
        """The batch of that number; lane and sent_ms are the only things that may differ."""
        time_ms = self.start_ms + sequence * self._tick_ms
        due = self._timetable.due(time_ms)
        draft = self._draft(due, sequence, time_ms)
        for fault in self._faults:
            fault.apply(draft)
        np.rint(draft.value, out=draft.value)
        draft.value /= due.signal.steps
        for recording in self._recordings:
            self._play(recording, draft)
        quality = self._spoil(draft, sequence)
        return self._assemble(draft, due, quality, sequence, time_ms, lane, sent_ms)

    def is_sent_twice(self, sequence: int, fraction: float, message: int = 0) -> bool:
        """Whether that message of the batch is one of that fraction of all that are sent twice."""
        return fraction > 0 and self._happens(sequence, _TWICE + (message << 3), fraction)

    def _draft(self, due: Due, sequence: int, time_ms: int) -> Draft:
        noise = due.signal.noise * self._pool.draw(mix(self._key, sequence), len(due.slots))
        value = due.signal.level(time_ms)
        value += noise
        return Draft(time_ms - self.start_ms, due.slots, due.signal, value, noise)

    def _play(self, recording: PlacedRecording, draft: Draft) -> None:
        recorded = recording.at(draft.elapsed_ms, self._tick_ms)
        if recorded is None:
            return
        at = np.searchsorted(draft.slots, recording.slots)
        due = np.isin(recording.slots, draft.slots)
        draft.value[at[due]] = recorded[due]
        if np.isnan(recorded).any():
            draft.drop(at[due & np.isnan(recorded)])

    def _spoil(self, draft: Draft, sequence: int) -> Qualities | None:
        """What is not clean in a healthy plant. Returns: quality, or None when all is good."""
        unclean, quality = self._imperfections, None
        if self._happens(sequence, _MISSING, unclean.missing):
            draft.drop(self._few(sequence, _MISSING, len(draft.slots)))
        if self._happens(sequence, _UNCERTAIN, unclean.uncertain):
            quality = np.zeros(len(draft.slots), np.uint8)
            quality[self._few(sequence, _UNCERTAIN, len(quality))] = Quality.UNCERTAIN
        if self._happens(sequence, _BAD, unclean.bad):
            quality = np.zeros(len(draft.slots), np.uint8) if quality is None else quality
            bad = self._few(sequence, _BAD, len(quality))
            quality[bad], draft.value[bad] = Quality.BAD, np.nan
        return quality

    def _assemble(
        self,
        draft: Draft,
        due: Due,
        quality: Qualities | None,
        sequence: int,
        time_ms: int,
        lane: Lane,
        sent_ms: int,
    ) -> Batch:
        offset_ms, value, sensor = due.offset_ms, draft.value, draft.slots
        if draft.missing is not None:
            keep = ~draft.missing
            value, sensor = value[keep], sensor[keep]
            offset_ms = None if offset_ms is None else offset_ms[keep]
            quality = None if quality is None else quality[keep]
        return Batch(
            facility=self.catalogue.facility,
            gateway=self.catalogue.gateway,
            epoch=self.epoch,
            sequence=sequence,
            time_ms=time_ms,
            sent_ms=sent_ms,
            lane=lane,
            catalogue=self.catalogue.version,
            traceparent=self._traceparent(sequence),
            value=value,
            sensor=None if due.every_slot and draft.missing is None else sensor,
            offset_ms=offset_ms,
            quality=quality,
        )

    def _traceparent(self, sequence: int) -> str:
        """W3C trace context whose ids are a hash, so that the same batch has the same trace."""
        text = f"{self._key}/{self.epoch}/{sequence}".encode()
        digest = hashlib.blake2b(text, digest_size=24).hexdigest()
        return f"00-{digest[:32]}-{digest[32:]}-01"

    def _happens(self, sequence: int, salt: int, fraction: float) -> bool:
        return chance(self._key ^ salt, sequence) < fraction

    def _few(self, sequence: int, salt: int, readings: int) -> npt.NDArray[np.int64]:
        """Positions of a few readings, at least one unless there are none."""
        random = generator(mix(mix(self._key ^ salt, sequence), 0))
        count = random.integers(1, self._imperfections.readings, endpoint=True) if readings else 0
        return random.integers(0, max(readings, 1), count)
