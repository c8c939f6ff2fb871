"""Hours from minutes, days from hours: rollups of rollups.

    hours = fold_minutes(rows)      # columns of table `rollups`  -> those of `rollups_hour`
    days = fold_hours(hours)        # columns of `rollups_hour`   -> those of `rollups_day`

Counts and sums are added in the order of time, so the same rows give the same bits. What the cloud
and a gateway (`source`) rolled up of one minute are different readings, and both are in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from udfs.archive.schemas import HOUR_MS, MINUTES, TEXTS

HOURS = 24
_HOUR_US = HOUR_MS * 1000
_TIMESTAMP = pa.timestamp("us", tz="UTC")
_NAMES = ("facility", "gateway", "slot", *TEXTS)

Places = npt.NDArray[np.intp]
Ints = npt.NDArray[np.int64]


def fold_minutes(rows: pa.Table) -> pa.Table:
    """Sensor hours of sensor minutes.

    Args: rows: of one facility, ascending by gateway, slot, minute and source, each key once.
    Returns: facility, gateway, slot, the texts of the last minute, time, minutes (how many there
        are), complete (all 60 are there, and complete), count, sum, sum_sq, min, max, first, last,
        bad; min, max, first and last are null when count is 0.
    """
    time = rows["minute"].cast(pa.int64()).to_numpy()
    groups = _Groups.of(rows, time // _HOUR_US * _HOUR_US)
    # a minute of two sources is one minute
    first = np.ones(len(time), np.int64)
    first[1:] = time[1:] != time[:-1]
    first[groups.starts] = 1
    minutes = np.add.reduceat(first, groups.starts) if len(first) else first
    return groups.fold(rows, minutes, minutes == MINUTES)


def fold_hours(rows: pa.Table) -> pa.Table:
    """Sensor days of sensor hours, as `fold_minutes`; complete: all 24 hours are there, and so.

    Args: rows: of one facility, ascending by gateway, slot and time, each key once.
    """
    time = rows["time"].cast(pa.int64()).to_numpy()
    groups = _Groups.of(rows, time // (HOURS * _HOUR_US) * (HOURS * _HOUR_US))
    minutes = groups.add(rows["minutes"].to_numpy())
    return groups.fold(rows, minutes, groups.sizes() == HOURS)


class _Groups:
    """Which rows are of one sensor and one hour or day: from each of `starts` to the next."""

    def __init__(self, starts: Places, time_us: Ints, n: int) -> None:
        self.starts, self.time_us, self.n = starts, time_us, n

    @classmethod
    def of(cls, rows: pa.Table, time_us: Ints) -> _Groups:
        codes = rows["gateway"].combine_chunks().dictionary_encode().indices.to_numpy()
        slot = rows["slot"].to_numpy()
        change = np.ones(len(rows), np.bool_)
        change[1:] = (codes[1:] != codes[:-1]) | (slot[1:] != slot[:-1])
        change[1:] |= time_us[1:] != time_us[:-1]
        starts = np.flatnonzero(change)
        return cls(starts, time_us[starts], len(rows))

    def sizes(self) -> Ints:
        return np.diff(self.starts, append=self.n)

    def add(self, column: npt.NDArray[np.generic]) -> Ints:
        wide = column.astype(np.int64)
        return np.add.reduceat(wide, self.starts) if self.n else wide

    def fold(self, rows: pa.Table, minutes: Ints, whole: npt.NDArray[np.bool_]) -> pa.Table:
        """A row a group. minutes, whole: of each, shape (groups,)."""
        last = self.starts + self.sizes() - 1
        complete = rows["complete"].to_numpy()
        complete = np.logical_and.reduceat(complete, self.starts) if self.n else complete
        count = rows["count"].to_numpy()
        total = self.add(count)
        made = {name: rows[name].take(pa.array(last)) for name in _NAMES}
        made["time"] = pa.array(self.time_us, pa.int64()).cast(_TIMESTAMP)
        made["minutes"] = pa.array(minutes.astype(np.int32))
        made["complete"] = pa.array(complete & whole)
        made["count"] = pa.array(total.astype(np.int32))
        for name in ("sum", "sum_sq"):
            column = rows[name].to_numpy()
            made[name] = pa.array(np.add.reduceat(column, self.starts) if self.n else column)
        for name, column in self._values(rows, count > 0).items():
            made[name] = pa.array(column, mask=total == 0)
        made["bad"] = pa.array(self.add(rows["bad"].to_numpy()).astype(np.int32))
        return pa.table(made)

    def _values(
        self, rows: pa.Table, has: npt.NDArray[np.bool_]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """min, max, first and last of the rows that have readings; anything where none has."""
        place = np.arange(self.n)
        found = {}
        for name, reduce, absent in (("min", np.minimum, np.inf), ("max", np.maximum, -np.inf)):
            column = np.where(has, rows[name].fill_null(0.0).to_numpy(), absent)
            found[name] = reduce.reduceat(column, self.starts) if self.n else column
        for name, reduce, absent in (("first", np.minimum, self.n - 1), ("last", np.maximum, 0)):
            column = rows[name].fill_null(0.0).to_numpy()
            which = np.where(has, place, absent)
            found[name] = column[reduce.reduceat(which, self.starts)] if self.n else column
        return found
