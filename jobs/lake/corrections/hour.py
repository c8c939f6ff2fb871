"""Corrections of one gateway hour: its rows of table `readings`, patched, and its minutes anew.

Pure: columns in, columns out.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.lake.compaction.changes import Change, Minutes, change_of, only, overlaid
from udfs.archive.hours import merge
from udfs.archive.rollups import roll_up_readings
from udfs.archive.rows import SensorHours, pack, unpack
from udfs.archive.schemas import HOUR_MS, READINGS_SCHEMA
from udfs.coverage import MINUTE_MS

Mistake = tuple[int, str]
Places = npt.NDArray[np.intp]
Longs = npt.NDArray[np.int64]


@dataclass
class Patched:
    """What corrections make of an hour.

    rows: those of table `readings` that change. changes: of the minutes that are named, also where
    nothing differs any more. notes: by slot and minute, what is replaced, as JSON. readings: how
    many are replaced. mistakes: line and text; there is nothing else then.
    """

    rows: pa.Table
    changes: list[Change] = field(default_factory=list)
    notes: dict[tuple[int, int], str] = field(default_factory=dict)
    readings: int = 0
    mistakes: list[Mistake] = field(default_factory=list)


def patch(rows: pa.Table, stored: Minutes, corrections: pa.Table) -> Patched:
    """The hour with its corrections.

    Args: rows: of table `readings`, all parts of the sensors that are named. stored: the gateway's
        minutes as table `rollups` has them. corrections: of this gateway hour; their sensors all
        have a row.
    """
    hours = unpack(rows)
    made = Patched(rows.slice(0, 0))
    slots = _slots(rows, corrections)
    found = _places(hours, slots, corrections, made.mistakes)
    if made.mistakes:
        return made
    fixed = _fixed(hours, found, corrections)
    differs = fixed.value.view(np.int64) != hours.value.view(np.int64)
    differs |= _qualities(fixed) != _qualities(hours)
    made.readings = int(differs.sum())
    made.notes = _notes(hours, fixed, np.flatnonzero(differs))
    packed = _packed(fixed, rows)
    made.rows = packed.take(pa.array(np.unique(hours.row()[differs])))
    made.changes = list(_changes(packed, slots, corrections, stored))
    return made


def _slots(rows: pa.Table, corrections: pa.Table) -> Longs:
    """The slot of each correction's sensor."""
    row = pc.index_in(corrections["sensor"], rows["sensor"].combine_chunks())
    slots: Longs = rows["slot"].take(row).to_numpy().astype(np.int64)
    return slots


def _places(
    hours: SensorHours, slots: Longs, corrections: pa.Table, mistakes: list[Mistake]
) -> Places:
    """Which reading each correction is of."""
    hour_ms = hours.keys["hour"][0].cast(pa.int64()).as_py() // 1000
    have = hours.keys["slot"].to_numpy().astype(np.int64)[hours.row()] * HOUR_MS + hours.time_ms
    order = np.argsort(have, kind="stable")
    wanted = slots * HOUR_MS + corrections["time_ms"].to_numpy() - hour_ms
    first = np.searchsorted(have[order], wanted)
    count = np.searchsorted(have[order], wanted, side="right") - first
    lines = corrections["line"].to_pylist()
    for at in np.flatnonzero(count == 0).tolist():
        near = have[order][max(first[at] - 1, 0) : first[at] + 1]
        mistakes.append(
            (lines[at], _missing(near[near // HOUR_MS == slots[at]], wanted[at], hour_ms))
        )
    for at in np.flatnonzero(count > 1).tolist():
        text = (
            f"{count[at]} readings of that sensor have this time; which one is meant nobody knows"
        )
        mistakes.append((lines[at], f"{text}: leave the line out"))
    found: Places = order[np.minimum(first, len(order) - 1)]
    return found


def _missing(near: Longs, wanted: int, hour_ms: int) -> str:
    if not len(near):
        return "no reading at that time; only readings that are there can be corrected"
    time = np.datetime64(int(near[np.abs(near - wanted).argmin()] % HOUR_MS + hour_ms), "ms")
    return f"no reading at that time; one that is there is at {time}Z"


def _qualities(hours: SensorHours) -> npt.NDArray[np.uint8]:
    return np.zeros(len(hours.value), np.uint8) if hours.quality is None else hours.quality


def _fixed(hours: SensorHours, found: Places, corrections: pa.Table) -> SensorHours:
    value, quality = hours.value.copy(), _qualities(hours).copy()
    value[found] = corrections["value"].to_numpy()
    given = corrections["quality"].is_valid().to_numpy()
    quality[found[given]] = corrections["quality"].drop_null().to_numpy()
    return replace(hours, value=value, quality=quality if quality.any() else None)


def _packed(hours: SensorHours, rows: pa.Table) -> pa.Table:
    """The rows again, each of its part."""
    packed = pack(hours, 0, rows["minutes"].to_pylist())
    at = packed.schema.get_field_index("part")
    return packed.set_column(at, READINGS_SCHEMA.field("part"), rows["part"])


def _notes(hours: SensorHours, fixed: SensorHours, places: Places) -> dict[tuple[int, int], str]:
    """By slot and minute: time, value and quality before, value and quality from now on."""
    slot = hours.keys["slot"].to_numpy()[hours.row()[places]]
    start_ms = hours.keys["hour"].cast(pa.int64()).to_numpy()[hours.row()[places]] // 1000
    time_ms = start_ms + hours.time_ms[places]
    columns = [time_ms]
    for each in (hours, fixed):
        columns += [each.value[places], _qualities(each)[places]]
    found: dict[tuple[int, int], list[object]] = defaultdict(list)
    keys = zip(slot.tolist(), (time_ms // MINUTE_MS * MINUTE_MS).tolist(), strict=True)
    for key, *reading in zip(keys, *(column.tolist() for column in columns), strict=True):
        found[key].append(reading)
    return {key: json.dumps(readings) for key, readings in found.items()}


def _changes(
    packed: pa.Table, slots: Longs, corrections: pa.Table, stored: Minutes
) -> Iterator[Change]:
    """Each minute that is named, its sensors that are named made from all their readings."""
    whole = unpack(merge([packed]))
    gateway = packed["gateway"][0].as_py()
    minutes = corrections["time_ms"].to_numpy() // MINUTE_MS * MINUTE_MS
    for minute_ms in np.unique(minutes).tolist():
        before = stored.get((gateway, minute_ms))
        header = (before.revision, before.complete, before.missing) if before else (1, True, 0)
        made = only(roll_up_readings(whole, minute_ms, *header), slots[minutes == minute_ms])
        yield change_of(before, overlaid(before, made), before is not None)
