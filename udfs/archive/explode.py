"""A row a reading, as analysts want it: from table `readings` and from chunks, in one shape.

    table = explode(rows, since_ms, until_ms)
    table = explode_chunks(chunks, catalogues)     # EXPLODED_SCHEMA, both

A reading is in one of both, never in both: udfs/archive/held.py tells which chunks to leave out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.chunk import Chunk
from udfs.archive.hour_columns import Catalogues, gather
from udfs.archive.hours import sensor_hours
from udfs.archive.rows import SensorHours, slices, unpack
from udfs.archive.schemas import EXPLODED_SCHEMA, HOUR_MS, TEXTS
from udfs.coverage import MINUTE_MS

# from and before which readings are wanted, UTC epoch milliseconds; None is no end
Ends = tuple[int | None, int | None]


def explode(rows: pa.Table, since_ms: int | None = None, until_ms: int | None = None) -> pa.Table:
    """Rows of table `readings` as one row a reading, in the order of the rows, then of time.

    Args: rows: with the columns of `READINGS_SCHEMA`. since_ms, until_ms: only readings from then
        to before then, UTC epoch milliseconds.
    Returns: a table of `EXPLODED_SCHEMA`, about 45 bytes a reading.
    """
    ends = (since_ms, until_ms)
    wanted = _touched(rows["hour"].cast(pa.int64()).to_numpy() // 1000, HOUR_MS, ends)
    rows = rows if wanted.all() else rows.filter(pa.array(wanted))
    bounds = slices(rows["readings"].to_numpy())
    tables = [
        _readings(unpack(rows.slice(low, high - low)), ends) for low, high in pairwise(bounds)
    ]
    return pa.concat_tables([EXPLODED_SCHEMA.empty_table(), *tables])


def explode_chunks(
    chunks: Sequence[Chunk],
    catalogues: Catalogues,
    since_ms: int | None = None,
    until_ms: int | None = None,
) -> pa.Table:
    """The readings of chunks as `explode` gives them, by hour, then slot, then time.

    Args: chunks: of one gateway, in any order; what a later revision repeats is left out.
        catalogues: the catalogue of a version of that gateway.
    Raises: ValueError: chunks of several gateways, or a slot that its catalogue has not.
    """
    if len({(chunk.facility, chunk.gateway) for chunk in chunks}) > 1:
        raise ValueError("chunks of several gateways: each has its own catalogues")
    ends = (since_ms, until_ms)
    wanted = _touched(np.array([chunk.minute_ms for chunk in chunks]), MINUTE_MS, ends)
    hours: dict[int, list[Chunk]] = defaultdict(list)
    for chunk, touched in zip(chunks, wanted, strict=True):
        if touched:
            hours[chunk.minute_ms // HOUR_MS].append(chunk)
    tables = [
        _readings(each, ends) for hour in sorted(hours) for each in _hours(hours[hour], catalogues)
    ]
    return pa.concat_tables([EXPLODED_SCHEMA.empty_table(), *tables])


def _hours(chunks: Sequence[Chunk], catalogues: Catalogues) -> Iterator[SensorHours]:
    if len({chunk.minute_ms for chunk in chunks}) == len(chunks):
        yield from gather(chunks, catalogues)
    else:
        yield unpack(sensor_hours(chunks, catalogues))


def _touched(start_ms: npt.NDArray[np.int64], length_ms: int, ends: Ends) -> npt.NDArray[np.bool_]:
    """Which spans of that length have a wanted time."""
    since_ms, until_ms = ends
    touched = np.ones(len(start_ms), np.bool_)
    if since_ms is not None:
        touched &= start_ms + length_ms > since_ms
    if until_ms is not None:
        touched &= start_ms < until_ms
    return touched


def _readings(hours: SensorHours, ends: Ends) -> pa.Table:
    """A row a reading."""
    start_ms = hours.keys["hour"].cast(pa.int64()).to_numpy() // 1000
    time = np.repeat(start_ms, hours.counts)
    time += hours.time_ms
    kept = _touched(time, 1, ends)
    if not kept.all():
        places = np.flatnonzero(kept)
        which = np.repeat(np.arange(len(start_ms)), hours.counts)[places]
        hours = hours.take(places, np.bincount(which, minlength=len(start_ms)))
        time = time[places]
    quality = np.zeros(len(time), np.uint8) if hours.quality is None else hours.quality
    slot = np.repeat(hours.keys["slot"].to_numpy(), hours.counts)
    columns = {name: _codes(hours, name) for name in ("facility", "gateway", *TEXTS)}
    columns |= {"time": pa.array(time).view(EXPLODED_SCHEMA.field("time").type)}
    columns |= {"slot": slot, "value": hours.value, "quality": quality}
    return pa.table(columns).select(EXPLODED_SCHEMA.names).cast(EXPLODED_SCHEMA)


def _codes(hours: SensorHours, name: str) -> pa.Array:
    """A text of each reading, as a number of the few texts that there are."""
    texts = hours.keys[name].combine_chunks().dictionary_encode()
    codes = np.repeat(texts.indices.to_numpy(), hours.counts)
    return pa.DictionaryArray.from_arrays(codes, texts.dictionary)
