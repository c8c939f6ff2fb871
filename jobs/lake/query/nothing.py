"""Why a question has no answer: a mistyped name, or a time without data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pyiceberg.catalog import Catalog

from jobs.common.history import EVER_MS, utc
from jobs.lake.files import data_files
from jobs.lake.query.names import Names
from jobs.lake.query.scope import ALL, QueryError, Scope
from jobs.lake.query.slices import Span, span_of
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import TableSpec
from jobs.lake.tables import CHUNKS, READINGS, ROLLUPS, load_table
from udfs.archive.schemas import HOUR_MS
from udfs.rules.globs import is_glob, matcher
from udfs.wording import hint

_GRAIN_MS = {"hour": HOUR_MS, "minute": 60_000}


@dataclass
class Nothing:
    """Looks for a reason; only asked when there was no row, for it reads all manifests."""

    catalog: Catalog
    settings: LakeSettings
    names: Names
    _facilities: set[str] = field(default_factory=set)

    def check(self, scope: Scope, spec: TableSpec) -> None:
        """Raises: QueryError: nobody has ever heard of that facility."""
        if scope.facility == ALL or scope.facility in self._facilities:
            return
        tables = {CHUNKS.name: CHUNKS, READINGS.name: READINGS, ROLLUPS.name: ROLLUPS}
        for each in (tables | {spec.name: spec}).values():
            self._facilities |= {span.facility for span in self._spans(each, Scope(ALL))}
        if scope.facility not in self._facilities:
            known = hint(scope.facility, self._facilities) if self._facilities else "it is empty"
            raise QueryError(f'facility "{scope.facility}" is not in the archive ({known})')

    def why(self, scope: Scope, spec: TableSpec, time: str) -> str:
        """One sentence. time: the table's column of times."""
        place = Scope(scope.facility)
        where = "any facility" if scope.facility == ALL else scope.facility
        of = [(spec, time)] + ([(CHUNKS, "minute")] if spec in (READINGS, ROLLUPS) else [])
        ends = [
            (span.low_ms, span.high_ms + _GRAIN_MS.get(name, 1))
            for each, name in of
            for span in self._spans(each, place)
        ]
        if not ends:
            return f"{spec.name}: there is nothing of {where}"
        low_ms, high_ms = min(low for low, _ in ends), max(high for _, high in ends)
        said = f"{spec.name} of {where} are from {_utc(low_ms)} to {_utc(high_ms)}, UTC"
        if scope.until_ms <= low_ms or scope.since_ms >= high_ms:
            return said
        return self._mistyped(scope) or f"{said}; nothing of them is what was asked for"

    def _mistyped(self, scope: Scope) -> str:
        """What is said of a name that no sensor of the facility has."""
        if scope.facility == ALL:
            return ""
        self.names.learn(scope.facility)
        for column, glob in scope.globs.items():
            known = self.names.known(scope.facility, column)
            test = matcher(glob)
            if known and not any(test(text) for text in known):
                near = "" if is_glob(glob) else f" ({_near(glob, known)})"
                return f'no {column} of {scope.facility} is "{glob}"{near}'
        return ""

    def _spans(self, spec: TableSpec, scope: Scope) -> Iterable[Span]:
        table = load_table(self.catalog, self.settings, spec)
        time = next(name for name, how in spec.partitions.items() if how)
        return [span_of(table, f, time) for f in data_files(table, scope.expression(time, 1))]


def _near(word: str, known: set[str]) -> str:
    """A hint, without a list of thousands."""
    said = hint(word, known)
    return said if said.startswith("did") else f"known are {len(known)}, as {min(known)}"


def _utc(time_ms: int) -> str:
    return utc(time_ms) if abs(time_ms) < EVER_MS // 2 else "?"
