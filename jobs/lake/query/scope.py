"""What is asked for: whose readings, of which sensors, from when to when.

scope = Scope.of("plant-07", sensor="pump-*", since="2026-11-20", until=None)
table.scan(row_filter=scope.expression("hour", HOUR_MS))     # which files
scope.rows(table)                                            # which rows of them
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg import expressions
from pyiceberg.expressions import BooleanExpression

from jobs.common.history import EVER_MS, time_of
from jobs.lake.errors import LakeError
from udfs.batch import NAME
from udfs.rules.globs import is_glob, matcher

ALL = "*"
When = str | int | datetime | date | None

# to mypy their constructors are those of pydantic
_ICEBERG: Any = expressions
_PREFIX = re.compile(r"[^*?[]*")
# Python's own dates, in which bounds are written, end there
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999

Mask = npt.NDArray[np.bool_]


class QueryError(LakeError):
    """A question that cannot be answered as it was asked; the text says what to do."""


@dataclass(frozen=True)
class Scope:
    """One facility or ALL, globs by column, and times from `since_ms` to before `until_ms`."""

    facility: str
    globs: Mapping[str, str] = field(default_factory=dict)
    since_ms: int = -EVER_MS
    until_ms: int = EVER_MS

    @classmethod
    def of(cls, facility: str, since: When = None, until: When = None, **globs: Any) -> Scope:
        """Checked. globs: by column; None is all. Raises: QueryError."""
        if facility != ALL and not NAME.fullmatch(facility or ""):
            raise QueryError(
                f'"{facility}" is not a facility: give one by its name, as in "plant-07", or '
                f'"{ALL}" for all'
            )
        given = {name: glob for name, glob in globs.items() if glob not in (None, ALL)}
        scope = cls(facility, given, _moment(since, -EVER_MS), _moment(until, EVER_MS, end=True))
        if scope.since_ms >= scope.until_ms:
            raise QueryError(f"nothing is between since {since} and until {until}")
        return scope

    def within(self, facility: str, low_ms: int, high_ms: int) -> Scope:
        """The part of it that is of that facility, from `low_ms` to before `high_ms`."""
        since, until = max(self.since_ms, low_ms), min(self.until_ms, high_ms)
        return replace(self, facility=facility, since_ms=since, until_ms=until)

    def texts(self) -> dict[str, str]:
        """Globs by column, the facility's too."""
        facility = {} if self.facility == ALL else {"facility": self.facility}
        return facility | dict(self.globs)

    def expression(self, time: str, grain_ms: int) -> BooleanExpression:
        """What files may hold, for Iceberg: partitions and bounds.

        Args: time: column of times that are whole multiples of `grain_ms`, each the beginning of
            what the row holds.
        """
        parts = [_begins(name, glob) for name, glob in self.texts().items()]
        low, high = self.span(grain_ms)
        parts += [_ICEBERG.GreaterThanOrEqual(time, _iso(low))] if low > _FIRST_MS else []
        parts += [_ICEBERG.LessThan(time, _iso(high))] if high < _LAST_MS else []
        whole: BooleanExpression = reduce(_ICEBERG.And, parts, _ICEBERG.AlwaysTrue())
        return whole

    def span(self, grain_ms: int) -> tuple[int, int]:
        """From the first `grain_ms` that may hold something of it to before the last one's end."""
        low = math.floor(self.since_ms / grain_ms) * grain_ms
        return max(low, _FIRST_MS), min(self.until_ms, _LAST_MS)

    def limits(self) -> dict[str, tuple[str, str]]:
        """By column the least and the greatest text that may match, for statistics."""
        return {name: _limits(glob) for name, glob in self.texts().items()}

    def rows(self, table: pa.Table) -> Mask:
        """Which rows have texts that match, shape (n,); times are not looked at."""
        mask = np.ones(len(table), np.bool_)
        for name, glob in self.texts().items():
            mask &= matching(table[name], glob)
        return mask


def matching(column: pa.ChunkedArray | pa.Array, glob: str) -> Mask:
    """Which texts match, shape (n,); each different one is looked at once."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    test = matcher(glob)
    fits = np.array([test(text) for text in coded.dictionary.to_pylist()], np.bool_)
    if fits.all():
        return np.ones(len(coded), np.bool_)
    found: Mask = fits[np.asarray(coded.indices)]
    return found


def _limits(glob: str) -> tuple[str, str]:
    prefix = _prefix(glob)
    return (glob, glob) if prefix == glob else (prefix, prefix + "\U0010ffff")


def _begins(name: str, glob: str) -> Any:
    if is_glob(glob):
        return _ICEBERG.StartsWith(name, _prefix(glob))
    return _ICEBERG.EqualTo(name, glob)


def _prefix(glob: str) -> str:
    found = _PREFIX.match(glob)
    return found[0] if found else ""


def _moment(given: When, open_ms: int, end: bool = False) -> int:
    """UTC epoch ms of what a person gave; what has no offset is UTC."""
    if given is None or given == "":
        return open_ms
    if isinstance(given, datetime):
        moment = given if given.tzinfo else given.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    if isinstance(given, date):
        given = given.isoformat()
    return given if isinstance(given, int) else time_of(given, end)


def _iso(time_ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).isoformat()
