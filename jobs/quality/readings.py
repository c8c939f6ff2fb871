"""Rows of table `readings`, and chunks that are not compacted, measured by column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.quality.kinds import Kinds, Range
from jobs.quality.sites import GatewayDay, Longs, hour_of
from udfs.archive.chunk import Chunk
from udfs.archive.repeats import repeats
from udfs.archive.rows import SensorHours, slices, unpack
from udfs.archive.schemas import HOUR_MS, MINUTES, READINGS_SCHEMA
from udfs.coverage import MINUTE_MS
from udfs.fingerprint import mixes_of

Bools = npt.NDArray[np.bool_]
RangeOf = Callable[[str], Range]  # of a gateway

_LISTS = ("times_ms", "values", "doubles", "qualities")


class ReadingDay:
    """The rows of one facility day; gateways: found by name."""

    def __init__(self, day_ms: int, ranges: RangeOf) -> None:
        self._day_ms, self._ranges = day_ms, ranges
        self.gateways: dict[str, GatewayDay] = defaultdict(GatewayDay)
        self.kinds: dict[str, Kinds] = {}
        self._minutes: dict[tuple[str, int, int], set[bytes]] = defaultdict(set)

    def add(self, rows: pa.Table) -> None:
        """Rows in any order, columns of READINGS_SCHEMA."""
        for gateway, some in _by_gateway(rows):
            day = self.gateways[gateway]
            hour = hour_of(some["hour"].cast(pa.int64()).to_numpy() // 1000, self._day_ms)
            slot, part = some["slot"].to_numpy().astype(np.int64), some["part"].to_numpy()
            day.learn(dict(zip(slot.tolist(), some["sensor"].to_pylist(), strict=True)))
            day.keys.append(np.stack([slot, hour, part.astype(np.int64)]))
            self._note_minutes(gateway, hour, part, some["minutes"])
            fit = well_formed(some)
            day.note("malformed_rows", hour[~fit], 1, some["sensor"].filter(pa.array(~fit)))
            some = some.filter(pa.array(fit))
            for low, high in pairwise(slices(some["readings"].to_numpy())):
                self._measure(gateway, some.slice(low, high - low))

    def add_chunk(self, chunk: Chunk) -> None:
        """A chunk that no row holds; its kinds are not known here."""
        day, times = self.gateways[chunk.gateway], chunk.times_ms()
        inside = times // MINUTE_MS * MINUTE_MS == chunk.minute_ms
        quality = None if chunk.quality is None else chunk.quality[inside]
        mixes = mixes_of(chunk.sensor[inside], times[inside], chunk.value[inside], quality)
        day.add_seconds((times[inside] - self._day_ms) // 1000, mixes)
        slot, counts = np.unique(chunk.sensor.astype(np.int64), return_counts=True)
        minute = np.full(len(slot), (chunk.minute_ms - self._day_ms) // MINUTE_MS)
        day.add_counts(slot, minute, counts[:, None])
        day.pending[(chunk.minute_ms - self._day_ms) // MINUTE_MS] = True

    def close(self, read: Callable[[pa.Array], Iterator[pa.Table]]) -> None:
        """When all rows are in. Args: read: the rows of some slots, columns of READINGS_SCHEMA."""
        for (gateway, hour, _), found in self._minutes.items():
            if len(found) > 1:
                self.gateways[gateway].note("unlike_minutes", np.array([hour]), len(found) - 1)
        several: set[int] = set()
        for day in self.gateways.values():
            if day.keys:
                several |= _judge_keys(day)
        if several:
            rows = list(read(pa.array(sorted(several), pa.int32())))
            for gateway, some in _by_gateway(pa.concat_tables(rows)):
                self._repeats(self.gateways[gateway], some.filter(pa.array(well_formed(some))))

    def _note_minutes(
        self, gateway: str, hour: Longs, part: npt.NDArray[np.int32], minutes: pa.ChunkedArray
    ) -> None:
        distinct = pa.table({"hour": hour, "part": part, "minutes": minutes})
        columns = distinct.group_by(["hour", "part", "minutes"]).aggregate([]).to_pydict()
        day = self.gateways[gateway]
        for at, number, noted in zip(*(columns[n] for n in distinct.column_names), strict=True):
            self._minutes[gateway, at, number].add(noted)
            if len(noted) == MINUTES:
                inside = day.noted[at * MINUTES : (at + 1) * MINUTES]
                np.maximum(inside, np.frombuffer(noted, np.uint8), out=inside)

    def _measure(self, gateway: str, rows: pa.Table) -> None:
        day, hours, names = self.gateways[gateway], unpack(rows), rows["sensor"]
        slot = rows["slot"].to_numpy().astype(np.int64)
        hour = hour_of(rows["hour"].cast(pa.int64()).to_numpy() // 1000, self._day_ms)
        inside = (hours.time_ms >= 0) & (hours.time_ms < HOUR_MS)
        wrong = _unordered(hours) | ~np.logical_and.reduceat(inside, hours.starts())
        day.note("unordered_rows", hour[wrong], 1, names.filter(pa.array(wrong)))
        if not inside.all():
            counts = np.add.reduceat(inside, hours.starts(), dtype=np.int64)
            hours = hours.take(np.flatnonzero(inside), counts)
            some = counts > 0
            rows, slot, hour = rows.filter(pa.array(some)), slot[some], hour[some]
            hours = SensorHours(rows, counts[some], hours.time_ms, hours.value, hours.quality)
            names = rows["sensor"]
        if not len(slot):
            return
        of_row = hours.row()
        day.add_seconds((hour * 3600)[of_row] + hours.time_ms // 1000, self._mixes(hours, rows))
        place = of_row * MINUTES + hours.time_ms // MINUTE_MS
        block = np.bincount(place, minlength=len(slot) * MINUTES).reshape(-1, MINUTES)
        day.add_counts(slot, hour * MINUTES, block)
        noted = np.frombuffer(b"".join(rows["minutes"].to_pylist()), np.uint8).reshape(block.shape)
        unnoted = (block * (noted == 0)).sum(axis=1)
        day.note("unnoted_readings", hour[unnoted > 0], unnoted[unnoted > 0],
                 names.filter(pa.array(unnoted > 0)))  # fmt: skip
        kinds = self.kinds.setdefault(gateway, Kinds(self._ranges(gateway)))
        kinds.add(hours, rows, hour)

    def _mixes(self, hours: SensorHours, rows: pa.Table) -> npt.NDArray[np.uint64]:
        slot = np.repeat(rows["slot"].to_numpy().astype(np.uint32), hours.counts)
        start = rows["hour"].cast(pa.int64()).to_numpy() // 1000
        return mixes_of(slot, np.repeat(start, hours.counts) + hours.time_ms, hours.value,
                        hours.quality)  # fmt: skip

    def _repeats(self, day: GatewayDay, rows: pa.Table) -> None:
        """Readings of a part that another part of the same sensor hour has."""
        if not len(rows):
            return
        hours = unpack(rows)
        start = hour_of(rows["hour"].cast(pa.int64()).to_numpy() // 1000, self._day_ms)
        quality = np.zeros(len(hours.time_ms), np.uint8) if hours.quality is None else hours.quality
        of_row = hours.row()
        slot, part = (rows[n].to_numpy()[of_row] for n in ("slot", "part"))
        again = repeats(
            part, slot, start[of_row], hours.time_ms, hours.value.view(np.int64), quality
        )
        day.note("repeated_readings", start[of_row[again]], 1,
                 rows["sensor"].take(pa.array(of_row[again])))  # fmt: skip


def _by_gateway(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Texts come as dictionaries, or not."""
    gateway = rows["gateway"].cast(pa.string())
    for name in gateway.unique().to_pylist():
        some = rows.filter(pc.equal(gateway, name))
        for index, column in enumerate(some.schema):
            if pa.types.is_dictionary(column.type):
                some = some.set_column(index, column.name, some[index].cast(pa.string()))
        yield name, some


def _judge_keys(day: GatewayDay) -> set[int]:
    """Note keys that are there twice. Returns: slots with an hour of several parts."""
    slot, hour, part = np.concatenate(day.keys, axis=1)
    order = np.lexsort((part, hour, slot))
    slot, hour, part = slot[order], hour[order], part[order]
    same = (slot[1:] == slot[:-1]) & (hour[1:] == hour[:-1])
    twice = np.flatnonzero(same & (part[1:] == part[:-1])) + 1
    names = [day.names[at] for at in slot[twice].tolist()]
    day.note("readings.duplicate_keys", hour[twice], 1, names)
    return set(slot[1:][same & (part[1:] != part[:-1])].tolist())


def _unordered(hours: SensorHours) -> Bools:
    """Rows in which a time is before the one before it."""
    falls = np.zeros(len(hours.time_ms), np.bool_)
    falls[1:] = hours.time_ms[1:] < hours.time_ms[:-1]
    falls[hours.starts()] = False
    wrong: Bools = np.logical_or.reduceat(falls, hours.starts())
    return wrong


def well_formed(rows: pa.Table) -> Bools:
    """Which rows say what they say once, with lists of their length, shape (rows,)."""
    count = rows["readings"].to_numpy()
    there = {name: rows[name].is_valid().to_numpy(zero_copy_only=False)
             for name in (*_LISTS, "step_ms", "scale")}  # fmt: skip
    fit: Bools = (count > 0) & (there["step_ms"] != there["times_ms"])
    fit &= (there["values"] != there["doubles"]) & (there["values"] == there["scale"])
    fit &= pc.equal(pc.binary_length(rows["minutes"]), MINUTES).to_numpy()
    fit &= rows["hour"].cast(pa.int64()).to_numpy() % (HOUR_MS * 1000) == 0
    for name in _LISTS:
        length = pc.fill_null(pc.list_value_length(rows[name]), -1).to_numpy()
        fit &= ~there[name] | (length == count)
        if pc.list_flatten(rows[name]).null_count:
            fit &= False  # one that is null has no place
    return fit


COLUMNS = tuple(READINGS_SCHEMA.names)
