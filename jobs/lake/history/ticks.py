"""When gateways sent anything, from the archive's times alone: no value is read.

Who asks whether a sensor was silent must know that its gateway was not, and any of its sensors may
be the one that says so. Even times, which most are, are two numbers an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.lake.query import waiting as chunk_rows
from jobs.lake.query.plan import Source, works
from jobs.lake.query.readings import SOURCE
from jobs.lake.query.rowgroups import decoded
from jobs.lake.query.scope import Mask, Scope
from jobs.lake.query.view import View
from jobs.lake.query.waiting import Waiting
from udfs.archive.schemas import HOUR_MS
from udfs.conditions.latch import Ints

TICK_MS = 1000

_COLUMNS = ["gateway", "slot", "hour", "readings", "first_ms", "step_ms", "times_ms"]
_EVEN = ["gateway", "hour", "first_ms", "step_ms", "readings"]


def _rows(view: View, scope: Scope, waiting: Sequence[Waiting]) -> pa.Table:
    return SOURCE.rows(view, scope, waiting).select(_COLUMNS)


_SOURCE = Source("hour", HOUR_MS, _COLUMNS, _rows, SOURCE.weight)


def ticks(view: View, scope: Scope) -> dict[str, Ints]:
    """Ticks in which a gateway sent anything, by gateway: their starts, UTC epoch ms, ascending.

    Args: view: `made` is table `readings`. scope: one facility, times with both ends; a byte a
        gateway and tick is held.
    """
    seen = _Seen(scope.since_ms, scope.until_ms)
    # a chunk that the table holds as well says nothing else, so which those are is not asked
    waiting = chunk_rows.named(view, chunk_rows.find(view, scope))
    for work in works(view, scope, _SOURCE, waiting):
        for table in work.tables(view, scope, _SOURCE):
            seen.note(decoded(table))
    return seen.ticks()


@dataclass
class _Seen:
    """A byte a tick from `since_ms` to before `until_ms`, by gateway."""

    since_ms: int
    until_ms: int
    _of: dict[str, Mask] = field(default_factory=dict)

    def note(self, rows: pa.Table) -> None:
        even = rows["step_ms"].is_valid()
        self._note_even(rows.filter(even).group_by(_EVEN).aggregate([]))
        self._note_listed(rows.filter(pc.invert(even)))

    def _note_even(self, hours: pa.Table) -> None:
        """Distinct even hours: few, as sensors of a gateway are sampled together."""
        hour_ms = hours["hour"].cast(pa.int64()).to_numpy() // 1000
        first_ms = (hour_ms + hours["first_ms"].to_numpy()).tolist()
        columns = (hours[name].to_pylist() for name in ("gateway", "step_ms", "readings"))
        for first, gateway, step, count in zip(first_ms, *columns, strict=True):
            self._mark(gateway, first + np.arange(count, dtype=np.int64) * step)

    def _note_listed(self, rows: pa.Table) -> None:
        for gateway in rows["gateway"].unique().to_pylist():
            mine = rows.filter(pc.equal(rows["gateway"], gateway))
            hour_ms = mine["hour"].cast(pa.int64()).to_numpy() // 1000
            times_ms = np.repeat(hour_ms, mine["readings"].to_numpy())
            times_ms += pc.list_flatten(mine["times_ms"]).to_numpy()
            self._mark(gateway, times_ms)

    def _mark(self, gateway: str, times_ms: npt.NDArray[np.int64]) -> None:
        inside = times_ms[(times_ms >= self.since_ms) & (times_ms < self.until_ms)]
        if not len(inside):
            return
        if gateway not in self._of:
            size = self._tick(self.until_ms - 1) + 1
            self._of[gateway] = np.zeros(size, np.bool_)
        self._of[gateway][inside // TICK_MS - self.since_ms // TICK_MS] = True

    def _tick(self, time_ms: int) -> int:
        return time_ms // TICK_MS - self.since_ms // TICK_MS

    def ticks(self) -> dict[str, Ints]:
        start = self.since_ms // TICK_MS
        return {
            gateway: (np.flatnonzero(seen) + start) * TICK_MS
            for gateway, seen in sorted(self._of.items())
        }
