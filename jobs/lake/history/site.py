"""One facility of the archive, span by span, for a rule that is tried on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

import numpy as np
import pyarrow as pa

from jobs.lake.history.asked import Globs, hears_gateway, not_of, questions
from jobs.lake.history.gateway import GatewayHistory
from jobs.lake.history.ticks import ticks
from jobs.lake.query import Lake
from jobs.lake.query.scope import Scope
from jobs.lake.query.view import View
from udfs.archive.schemas import HOUR_MS
from udfs.batch import Batch
from udfs.catalogue import Catalogue
from udfs.conditions.latch import Ints
from udfs.rules.model import Rule
from udfs.trial.ticks import Columns

HOLD_ROWS = 4_000_000

_SPAN_HOURS = (1, 2, 4, 12, 24, 168)
_NEVER: Ints = np.empty(0, np.int64)


class Published(Protocol):
    """Catalogues as gateways published them: `jobs.common.catalogues.TopicCatalogues`."""

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """That version, or None."""

    def newest(self, facility: str, gateway: str) -> Catalogue | None:
        """The last version, or None."""


class OneAtATime:
    """Published catalogues for the threads that read ahead: a Kafka client is for one only."""

    def __init__(self, published: Published) -> None:
        self._published, self._lock = published, Lock()

    def find(self, facility: str, gateway: str, version: int) -> Catalogue | None:
        """See `Published`."""
        with self._lock:
            return self._published.find(facility, gateway, version)

    def newest(self, facility: str, gateway: str) -> Catalogue | None:
        """See `Published`."""
        with self._lock:
            return self._published.newest(facility, gateway)


@dataclass(frozen=True)
class Archive:
    """Where readings are asked for. view: of table `readings` as it is then."""

    lake: Lake
    view: Callable[[], View]
    published: Published | None


class SiteHistory:
    """The gateways of a facility, as far as a rule watches them. asked: globs of its sensors."""

    def __init__(self, rule: Rule, facility: str, archive: Archive) -> None:
        self.facility = facility
        self.asked = questions(rule, facility)
        self._rule, self._archive = rule, archive
        self._hears = hears_gateway(rule)
        self._gateways: dict[str, GatewayHistory] = {}
        self._pace = Pace()

    def read(self, from_ms: int, to_ms: int) -> Iterator[tuple[Catalogue, Batch]]:
        """The batches of these times, later than those that were read before."""
        while self.asked and from_ms < to_ms:
            end_ms = min(to_ms, self._pace.end_ms(from_ms))
            parts = self._parts(from_ms, end_ms)
            if parts is not None:
                heard = self._heard(from_ms, end_ms)
                for name in sorted(parts.keys() | heard.keys()):
                    columns, heard_ms = parts.pop(name, []), heard.get(name, _NEVER)
                    by_slot = len(self.asked) == 1
                    yield from self._gateway(name).batches(columns, by_slot, heard_ms)
                from_ms = end_ms

    def _parts(self, from_ms: int, to_ms: int) -> dict[str, list[Columns]] | None:
        """The readings of a span by gateway; None when it is to be read in smaller ones."""
        parts: dict[str, list[Columns]] = {}
        rows = 0
        for number, globs in enumerate(self.asked):
            found = self._archive.lake.readings(self.facility, since=from_ms, until=to_ms, **globs)
            for batch in found.batches():
                rows += len(batch)
                if not self._pace.holds(rows):
                    return None
                self._take(parts, _others(batch, self.asked[:number]))
        self._pace.note(rows)
        return parts

    def _take(self, parts: dict[str, list[Columns]], batch: pa.RecordBatch) -> None:
        code = np.asarray(batch["gateway"].indices)
        names = batch["gateway"].dictionary.to_pylist()
        for place in np.unique(code).tolist():
            mine = code == place
            rows = batch if mine.all() else batch.filter(pa.array(mine))
            columns = self._gateway(names[place]).number(rows)
            if len(columns):
                parts.setdefault(names[place], []).append(columns)

    def _heard(self, from_ms: int, to_ms: int) -> dict[str, Ints]:
        """When gateways that the rule may watch sent anything, if that matters."""
        found: dict[str, Ints] = {}
        gateways = {globs.get("gateway", "*") for globs in self.asked} if self._hears else set()
        for glob in gateways:
            only = {} if glob == "*" else {"gateway": glob}
            found |= ticks(self._archive.view(), Scope(self.facility, only, from_ms, to_ms))
        return found

    def _gateway(self, name: str) -> GatewayHistory:
        if name not in self._gateways:
            published = self._archive.published
            newest = None if published is None else published.newest(self.facility, name)
            self._gateways[name] = GatewayHistory(self._rule, self.facility, name, newest)
        return self._gateways[name]


class Pace:
    """How much time is read at once: as much as has about HOLD_ROWS readings, but whole hours."""

    def __init__(self) -> None:
        self._at = 0

    def end_ms(self, from_ms: int) -> int:
        """Where a span that begins there is to end."""
        length_ms = _SPAN_HOURS[self._at] * HOUR_MS
        return (from_ms // length_ms + 1) * length_ms

    def holds(self, rows: int) -> bool:
        """Whether a span may have so many; if not, the next is shorter."""
        if rows <= HOLD_ROWS or not self._at:
            return True
        self._at -= 1
        return False

    def note(self, rows: int) -> None:
        """A span had so many; the next may be longer."""
        longer = min(self._at + 1, len(_SPAN_HOURS) - 1)
        if rows * _SPAN_HOURS[longer] <= HOLD_ROWS * _SPAN_HOURS[self._at]:
            self._at = longer


def _others(batch: pa.RecordBatch, earlier: Sequence[Globs]) -> pa.RecordBatch:
    """Without what earlier questions have found."""
    return batch.filter(pa.array(not_of(batch, earlier))) if earlier else batch
