"""A gateway minute before and after: what changed, and the rows that say so.

Pure: columns in, columns out. Two rollups are equal when all their sums are, to the bit.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.rollup_rows import rollup_rows
from udfs.catalogue import Catalogue
from udfs.rollup import MinuteRollup

SUMS = ("count", "sum", "sum_sq", "min", "max", "first", "last", "bad")
_KEPT = ("facility", "gateway", "slot", "sensor", "asset", "kind", "unit", "minute", "source")
_NAMESPACE = uuid.UUID("5d3c7c6e-6f0a-4b8e-9f4c-1c1d6c0f2b77")

Slots = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Minutes = dict[tuple[str, int], MinuteRollup]  # by gateway and start, UTC epoch milliseconds


@dataclass(frozen=True, eq=False)
class Change:
    """A gateway minute before and after; `slots` are those of sensors whose sums changed.

    before: None where nobody had said anything of the minute. rows: whether table `rollups` is to
    be changed, which it is not where the change was made already.
    """

    before: MinuteRollup | None
    after: MinuteRollup
    slots: Slots
    rows: bool


@dataclass(frozen=True)
class Why:
    """What the audit says of changes. readings: by slot and minute, what was corrected by hand."""

    reason: str
    author: str
    now_ms: int
    readings: Mapping[tuple[int, int], str] | None = None


def change_of(before: MinuteRollup | None, after: MinuteRollup, stored: bool) -> Change:
    """The change from `before`, as table `rollups` has it when `stored`, to `after`.

    Its revision is above that of before, unless nothing differs: then it is done already.
    """
    slots = _changed(before, after)
    if before is None:
        return Change(None, after, slots, len(after.count) > 0)
    told = (before.complete, before.missing) != (after.complete, after.missing)
    if stored and not len(slots) and not told:
        return Change(before, replace(after, revision=before.revision), slots, False)
    revision = max(after.revision, before.revision + 1)
    return Change(before, replace(after, revision=revision), slots, len(after.count) > 0)


def _changed(before: MinuteRollup | None, after: MinuteRollup) -> Slots:
    """The slots whose sums differ, in any bit, or are new; ascending."""
    slots = slots_of(after)
    if before is None:
        return slots
    place, found = _places(slots_of(before), slots)
    differs = ~found
    for name in SUMS:
        old, new = getattr(before, name), getattr(after, name)
        differs[found] |= _bits(old[place[found]]) != _bits(new[found])
    return slots[differs]


def overlaid(under: MinuteRollup | None, over: MinuteRollup) -> MinuteRollup:
    """The sensors of both, as `over` has those that both have; the header of `over`."""
    if under is None:
        return over
    old, new = slots_of(under), slots_of(over)
    kept = ~np.isin(old, new)
    slots = np.concatenate([old[kept], new])
    columns = {n: np.concatenate([getattr(under, n)[kept], getattr(over, n)]) for n in SUMS}
    return _with(over, slots, columns, np.argsort(slots))


def only(rollup: MinuteRollup, slots: Slots) -> MinuteRollup:
    """The sensors of these slots."""
    which = np.flatnonzero(np.isin(slots_of(rollup), slots))
    return _with(rollup, slots_of(rollup), {n: getattr(rollup, n) for n in SUMS}, which)


def _with(
    rollup: MinuteRollup, slots: Slots, columns: Mapping[str, Any], order: npt.NDArray[np.intp]
) -> MinuteRollup:
    slots = slots[order]
    every = len(slots) == 0 or slots[-1] + 1 == len(slots)
    sensor = None if every else slots.astype(np.uint32)
    return replace(rollup, sensor=sensor, **{n: column[order] for n, column in columns.items()})


def slots_of(rollup: MinuteRollup) -> Slots:
    """The slot of each sensor that reported, ascending."""
    if rollup.sensor is None:
        return np.arange(len(rollup.count), dtype=np.int64)
    return rollup.sensor.astype(np.int64)


def _places(inside: Slots, wanted: Slots) -> tuple[npt.NDArray[np.intp], Bools]:
    """Where each wanted slot is in `inside`, which ascends, and whether it is there."""
    place = np.searchsorted(inside, wanted)
    found = place < len(inside)
    found[found] = inside[place[found]] == wanted[found]
    return place, found


def _bits(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return column.view(np.int64) if column.dtype == np.float64 else column


def audit_rows(change: Change, catalogue: Catalogue, why: Why) -> pa.Table:
    """A row of table `restatements` for each sensor that changed."""
    after = rollup_rows(only(change.after, change.slots), catalogue)
    slots = change.slots.tolist()
    columns = {name: after[name] for name in (*_KEPT, "revision")}
    columns |= {f"{name}_after": after[name] for name in SUMS}
    columns |= _before(change, catalogue)
    columns["id"] = pa.array([change_id(change.after, slot) for slot in slots], pa.string())
    columns["restated"] = pa.array([why.now_ms * 1000] * len(slots), pa.timestamp("us", tz="UTC"))
    columns |= {n: pa.array([getattr(why, n)] * len(slots)) for n in ("reason", "author")}
    readings = [(why.readings or {}).get((slot, change.after.minute_ms)) for slot in slots]
    return pa.table(columns | {"readings": pa.array(readings, pa.string())})


def _before(change: Change, catalogue: Catalogue) -> dict[str, pa.ChunkedArray | pa.Array]:
    """What was said of the changed sensors before; null where that was nothing."""
    if change.before is None:
        names = ["revision_before", *(f"{name}_before" for name in SUMS)]
        return {name: pa.nulls(len(change.slots)) for name in names}
    before = rollup_rows(change.before, catalogue)
    place, found = _places(slots_of(change.before), change.slots)
    rows = before.take(pa.array(place, mask=~found))
    return {f"{name}_before": rows[name] for name in ("revision", *SUMS)}


def change_id(rollup: MinuteRollup, slot: int) -> str:
    """The id of a change, the same when it is made again."""
    who = (rollup.facility, rollup.gateway, slot, rollup.minute_ms, rollup.revision)
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, who))))
