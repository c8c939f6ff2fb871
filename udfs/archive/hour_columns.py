"""The readings of a gateway hour by sensor: chunks of its minutes, laid side by side.

Chunks are by sensor already, so nothing is sorted: each chunk's readings of a sensor are put where
those of the chunk before it end. It goes by slices of sensors, so what it takes beside the chunks
and the result is bounded, and stays in the processor's caches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.chunk import Chunk
from udfs.archive.rows import Counts, SensorHours, slices
from udfs.archive.schemas import HOUR_MS, KEYS, TEXTS
from udfs.catalogue import Catalogue

Catalogues = Callable[[int], Catalogue]
Table = npt.NDArray[np.int64]


def gather(chunks: Sequence[Chunk], catalogues: Catalogues) -> Iterator[SensorHours]:
    """The sensor hours of chunks, ascending by slot, some sensors at a time; times in order.

    Args: chunks: of one gateway and one hour, a minute once, in any order.
        catalogues: the catalogue of a version.
    Raises: ValueError: a slot that its catalogue has not.
    """
    # in the order of minutes, so that usually no time is to be sorted
    filled = sorted((c for c in chunks if len(c)), key=lambda chunk: chunk.minute_ms)
    if not filled:
        return
    counts = _counts(filled)
    for low, high in pairwise(slices(counts.sum(axis=0))):
        if counts[:, low:high].any():
            yield _Slice(filled, counts[:, low:high], low).hours(catalogues)


def _counts(chunks: Sequence[Chunk]) -> Table:
    """Readings by chunk and slot."""
    slots = max(int(chunk.sensor[-1]) for chunk in chunks) + 1
    return np.stack([np.bincount(chunk.sensor, minlength=slots) for chunk in chunks])


class _Slice:
    """Readings of some sensors of the chunks. counts: by chunk and slot, from `first` on."""

    def __init__(self, chunks: Sequence[Chunk], counts: Table, first: int) -> None:
        self.chunks, self.counts, self.first = chunks, counts, first
        self.of_slot = counts.sum(axis=0)
        ends = np.array([first, first + counts.shape[1]], np.uint32)
        self.inside = [slice(*np.searchsorted(chunk.sensor, ends)) for chunk in chunks]
        self.places = self._places()

    def hours(self, catalogues: Catalogues) -> SensorHours:
        """The sensor hours, those without a reading left out."""
        slots = np.flatnonzero(self.of_slot)
        counts = self.of_slot[slots]
        time_ms = self._side_by_side([self._times(n) for n in range(len(self.chunks))])
        value = self._side_by_side(self._columns([c.value for c in self.chunks]))
        quality = None
        if any(chunk.quality is not None for chunk in self.chunks):
            quality = self._side_by_side(self._columns([_qualities(c) for c in self.chunks]))
        keys = _keys(self.chunks[0], slots + self.first, self._versions()[slots], catalogues)
        return SensorHours(keys, counts, time_ms, value, quality).in_time_order()

    def _columns(self, columns: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        return [column[inside] for column, inside in zip(columns, self.inside, strict=True)]

    def _times(self, number: int) -> npt.NDArray[np.int32]:
        """Times of the hour of a chunk's readings in the slice."""
        chunk, inside = self.chunks[number], self.inside[number]
        ticks = (chunk.batches.time_ms - chunk.minute_ms // HOUR_MS * HOUR_MS).astype(np.int32)
        times: npt.NDArray[np.int32] = ticks[chunk.batch[inside]]
        return times if chunk.offset_ms is None else times + chunk.offset_ms[inside]

    def _places(self) -> list[npt.NDArray[np.intp]]:
        """Where the readings of each chunk belong in the slice: by slot, then chunk."""
        shift = np.cumsum(self.of_slot) - self.of_slot + np.cumsum(self.counts, axis=0)
        shift -= self.counts + np.cumsum(self.counts, axis=1) - self.counts
        places = [np.repeat(*by_slot) for by_slot in zip(shift, self.counts, strict=True)]
        for each in places:
            each += np.arange(len(each))
        return places

    def _side_by_side(self, columns: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Columns of the chunks as one of the slice."""
        out = np.empty(self.of_slot.sum(), columns[0].dtype)
        for places, column in zip(self.places, columns, strict=True):
            out[places] = column
        return out

    def _versions(self) -> Counts:
        """The newest catalogue of each slot's readings."""
        versions = np.zeros(len(self.of_slot), np.int64)
        for chunk, inside, counts in zip(self.chunks, self.inside, self.counts, strict=True):
            seen = counts > 0
            newest = chunk.batches.catalogue.max()
            if newest > chunk.batches.catalogue.min() and seen.any():
                starts = (np.cumsum(counts) - counts)[seen]
                of_reading = chunk.batches.catalogue[chunk.batch[inside]]
                newest = np.maximum.reduceat(of_reading, starts)
            versions[seen] = np.maximum(versions[seen], newest)
        return versions


def _qualities(chunk: Chunk) -> npt.NDArray[np.uint8]:
    return np.zeros(len(chunk), np.uint8) if chunk.quality is None else chunk.quality


def _keys(chunk: Chunk, slots: Counts, versions: Counts, catalogues: Catalogues) -> pa.Table:
    """What these slots of the chunk's gateway hour are, by the catalogues of these versions."""
    distinct, which = np.unique(versions, return_inverse=True)
    known = [catalogues(int(version)) for version in distinct]
    sizes = np.array([len(catalogue) for catalogue in known])
    if (slots >= sizes[which]).any():
        raise ValueError(f"{chunk.facility}/{chunk.gateway}: a slot that its catalogue has not")
    rows = pa.array(slots + (np.cumsum(sizes) - sizes)[which])
    columns = {name: pa.concat_arrays([texts(c)[name] for c in known]).take(rows) for name in TEXTS}
    hour = pa.scalar(chunk.minute_ms // HOUR_MS * HOUR_MS * 1000, KEYS.field("hour").type)
    same = {"facility": chunk.facility, "gateway": chunk.gateway, "hour": hour}
    columns |= {name: pa.repeat(value, len(slots)) for name, value in same.items()}
    columns["slot"] = pa.array(slots)
    return pa.table(columns).select(KEYS.names).cast(KEYS)


@lru_cache(maxsize=64)
def texts(catalogue: Catalogue) -> dict[str, pa.Array]:
    """The catalogue's texts as columns, one row a slot."""
    columns = (catalogue.name, catalogue.asset, catalogue.kind, catalogue.unit)
    return {n: pa.array(c, pa.string()) for n, c in zip(TEXTS, columns, strict=True)}
