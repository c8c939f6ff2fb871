"""Rows of table `rollups`, measured by column, and held against their restatements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.quality.sites import MINUTES, GatewayDay, minute_of
from udfs.archive.rollup_rows import EDGE

_SUMS = ("count", "sum", "sum_sq", "min", "max", "first", "last", "bad")
_UNKNOWN = ("min", "max", "first", "last")
_NEAR = 1e-9  # relative: a sum is rounded at each step
_SLOTS = 1 << 32

COLUMNS = ("gateway", "slot", "sensor", "minute", "revision", "complete", "missing", "source",
           *_SUMS)  # fmt: skip
AUDIT_COLUMNS = ("gateway", "slot", "sensor", "minute", "revision", "source",
                 *(f"{name}_after" for name in _SUMS))  # fmt: skip

Bools = npt.NDArray[np.bool_]
Longs = npt.NDArray[np.int64]


class RollupDay:
    """The rows of one facility day; they are noted in the gateways of `ReadingDay`."""

    def __init__(self, day_ms: int, gateways: dict[str, GatewayDay]) -> None:
        self._day_ms, self._gateways = day_ms, gateways
        self._audits: dict[str, Audits] = {}
        self._unaudited: dict[str, set[int]] = defaultdict(set)

    def audit(self, rows: pa.Table) -> None:
        """All restatements of the facility day, AUDIT_COLUMNS, before the first rollups."""
        for gateway, some in _by_gateway(rows):
            self._audits[gateway] = Audits(some, self._day_ms)

    def add(self, rows: pa.Table) -> None:
        """Rows in any order, COLUMNS."""
        for gateway, some in _by_gateway(rows):
            day = self._gateways[gateway]
            slot = some["slot"].to_numpy().astype(np.int64)
            minute = minute_of(some["minute"].cast(pa.int64()).to_numpy() // 1000, self._day_ms)
            edge = pc.equal(some["source"], EDGE).to_numpy(zero_copy_only=False)
            self._count(day, some, slot, minute, edge)
            self._judge(day, some, minute)
            self._restated(gateway, some, slot, minute, edge)

    def close(self) -> None:
        """When all rows are in."""
        for gateway, minutes in self._unaudited.items():
            self._gateways[gateway].note("unaudited_minutes", np.array(sorted(minutes)) // 60)
        for gateway, audits in self._audits.items():
            hour, names = audits.unmatched()
            self._gateways[gateway].note("different_audits", hour, 1, names)

    def _count(
        self, day: GatewayDay, rows: pa.Table, slot: Longs, minute: Longs, edge: Bools
    ) -> None:
        """Readings and rows by sensor minute, and what is said of the minutes."""
        size = int(slot.max(initial=-1)) + 1
        many = rows["count"].to_numpy().astype(np.int64) + rows["bad"].to_numpy()
        for name, which in (("rows", ~edge), ("edge_rows", edge)):
            if which.any():
                seen = day.room(name, size)
                np.add.at(seen, (slot[which], minute[which]), 1)
        rolled = day.room("rolled", size)
        rolled[slot[~edge], minute[~edge]] = many[~edge].astype(np.uint16)
        complete = rows["complete"].to_numpy(zero_copy_only=False)
        day.incomplete[minute[~complete & ~edge]] = True
        day.told[minute[~edge]] = True
        new = np.unique(slot, return_index=True)
        names = rows["sensor"].take(pa.array(new[1])).to_pylist()
        day.learn(dict(zip(new[0].tolist(), names, strict=True)))

    def _judge(self, day: GatewayDay, rows: pa.Table, minute: Longs) -> None:
        complete = rows["complete"].to_numpy(zero_copy_only=False)
        found = {
            "low_revisions": rows["revision"].to_numpy() < 1,
            "unlike_complete": complete != (rows["missing"].to_numpy() == 0),
            "impossible_sums": ~possible(rows),
        }
        for check, wrong in found.items():
            if wrong.any():
                names = rows["sensor"].filter(pa.array(wrong))
                day.note(check, minute[wrong] // 60, 1, names)

    def _restated(
        self, gateway: str, rows: pa.Table, slot: Longs, minute: Longs, edge: Bools
    ) -> None:
        late = rows["revision"].to_numpy() > 1
        audits = self._audits.get(gateway)
        if late.any():
            kinds = np.unique(minute[late] + MINUTES * edge[late]).tolist()
            known = audits.minutes if audits else frozenset[int]()
            self._unaudited[gateway] |= {at % MINUTES for at in kinds if at not in known}
        if audits:
            audits.match(rows, _keys(slot, minute, edge))


def _by_gateway(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    gateway = rows["gateway"].cast(pa.string())
    names = gateway.unique().to_pylist()
    for name in names:
        yield name, rows if len(names) == 1 else rows.filter(pc.equal(gateway, name))


def _keys(slot: Longs, minute: Longs, edge: Bools) -> Longs:
    keys: Longs = (slot + _SLOTS * edge) * MINUTES + minute
    return keys


def possible(rows: pa.Table) -> Bools:
    """Which rows have sums that readings can have, shape (rows,)."""
    count, bad = (rows[name].to_numpy().astype(np.int64) for name in ("count", "bad"))
    none = count == 0
    fit: Bools = (count >= 0) & (bad >= 0) & (count + bad > 0)
    for name in _UNKNOWN:
        fit &= rows[name].is_null().to_numpy(zero_copy_only=False) == none
    least, most, first, last = (pc.fill_null(rows[n], np.nan).to_numpy() for n in _UNKNOWN)
    total, squares = (rows[name].to_numpy() for name in ("sum", "sum_sq"))
    near = _NEAR * count * np.maximum(np.abs(least), np.abs(most))
    inside = (least <= first) & (first <= most) & (least <= last) & (last <= most)
    inside &= (count * least - near <= total) & (total <= count * most + near) & (squares >= 0)
    fit &= np.where(none, (total == 0) & (squares == 0), inside)
    return fit


class Audits:
    """The newest restatement of each sensor minute of a gateway day.

    minutes: those that have one, with MINUTES added for the edge's.
    """

    def __init__(self, rows: pa.Table, day_ms: int) -> None:
        slot, revision = (rows[n].to_numpy().astype(np.int64) for n in ("slot", "revision"))
        minute = minute_of(rows["minute"].cast(pa.int64()).to_numpy() // 1000, day_ms)
        edge = pc.equal(rows["source"], EDGE).to_numpy(zero_copy_only=False)
        keys = _keys(slot, minute, edge)
        order = np.lexsort((revision, keys))
        newest = order[np.r_[keys[order][1:] != keys[order][:-1], True]]
        self.minutes = frozenset((minute + MINUTES * edge).tolist())
        self._keys, self._revision = keys[newest], revision[newest]
        self._minute, self._names = minute[newest], rows["sensor"].take(pa.array(newest))
        self._sums = {n: _bits(rows[f"{n}_after"].take(pa.array(newest))) for n in _SUMS}
        self._fit = np.zeros(len(newest), np.bool_)

    def match(self, rows: pa.Table, keys: Longs) -> None:
        """Note the restatements that these rows agree with."""
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        found = np.flatnonzero(self._keys[at] == keys)
        at = at[found]
        fit = rows["revision"].to_numpy()[found] >= self._revision[at]
        for name in _SUMS:
            fit &= _bits(rows[name].take(pa.array(found))) == self._sums[name][at]
        self._fit[at[fit]] = True

    def unmatched(self) -> tuple[Longs, Any]:
        """(hour, sensor) of those that no row agrees with."""
        wrong = ~self._fit
        return self._minute[wrong] // 60, self._names.filter(pa.array(wrong))


def _bits(column: pa.ChunkedArray) -> Longs:
    whole = pa.types.is_floating(column.type)
    numbers = pc.fill_null(column, np.nan).to_numpy() if whole else column.to_numpy()
    bits: Longs = numbers.view(np.int64) if whole else numbers.astype(np.int64)
    return bits
