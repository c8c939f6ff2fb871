"""One facility day as frames of facts, a row a gateway hour (hour and kind, or gateway day).

    facts = measure(view, "plant-07", day_ms, ranges)
    facts["readings"]     # [{"facility": ..., "gateway": ..., "hour": "2026-01-31T05", ...}, ...]

Frames are small however many readings there are: what Great Expectations judges is these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.lake.tables import CHUNKS, COUNTED, LEDGER, READINGS, RESTATEMENTS, ROLLUPS
from jobs.quality.kinds import Range
from jobs.quality.ledger import Account, account
from jobs.quality.limits import checks
from jobs.quality.readings import COLUMNS as READINGS_COLUMNS
from jobs.quality.readings import ReadingDay
from jobs.quality.rollups import AUDIT_COLUMNS, RollupDay
from jobs.quality.rollups import COLUMNS as ROLLUPS_COLUMNS
from jobs.quality.sites import DAY_MS, HOURS, GatewayDay
from jobs.quality.view import PATIENCE_MS, Span, View
from jobs.quality.words import COLUMNS as WORDS_COLUMNS
from jobs.quality.words import read_words
from udfs.alerts import rfc3339
from udfs.archive.chunk import decode
from udfs.archive.schemas import HOUR_MS, READINGS_SCHEMA

Row = dict[str, Any]
Frames = dict[str, list[Row]]

_CHUNK_COLUMNS = ("gateway", "minute", "revision", "chunk")
_MARGIN_MS = 10 * 60_000


@dataclass
class Measured:
    """frames: by suite. readings, hours: how much was looked at; proven: readings."""

    frames: Frames = field(default_factory=dict)
    readings: int = 0
    hours: int = 0
    told: int = 0
    proven: int = 0


def measure(
    view: View,
    facility: str,
    day_ms: int,
    ranges: Callable[[str], Range],
    with_rollups: bool = True,
    kept_since_ms: int = 0,
) -> Measured:
    """The facts of the part of a day that `view.span` has.

    Args: ranges: of the sensors of a gateway. kept_since_ms: of older hours `readings` has nothing
        any more, so that counts are not compared.
    Raises: LakeError: a file is gone.
    """
    span = max(view.span[0], day_ms), min(view.span[1], day_ms + DAY_MS)
    work = _Day(view, facility, day_ms, span, ranges)
    work.readings()
    work.chunks()
    if with_rollups:
        work.rollups()
    return work.facts(with_rollups, kept_since_ms)


class _Day:
    def __init__(
        self, view: View, facility: str, day_ms: int, span: Span, ranges: Callable[[str], Range]
    ) -> None:
        self._view, self._facility, self._day_ms, self._span = view, facility, day_ms, span
        self._readings = ReadingDay(day_ms, ranges)
        self._sites = self._readings.gateways

    def readings(self) -> None:
        """All rows of the day, then those of sensor hours that have several parts once more."""
        for rows in self._view.rows(READINGS, self._facility, self._span, READINGS_COLUMNS):
            self._readings.add(rows)
        self._readings.close(self._some)

    def _some(self, slots: pa.Array) -> Iterator[pa.Table]:
        wanted = slots.to_numpy()
        for rows in self._view.rows(READINGS, self._facility, self._span, READINGS_COLUMNS):
            rows = rows.filter(pa.array(np.isin(rows["slot"].to_numpy(), wanted)))
            yield _plain(rows).cast(READINGS_SCHEMA)

    def chunks(self) -> None:
        """Those that no row holds."""
        for rows in self._view.rows(CHUNKS, self._facility, self._span, _CHUNK_COLUMNS):
            minute_ms = rows["minute"].cast(pa.int64()).to_numpy() // 1000
            gateways = rows["gateway"].cast(pa.string()).to_pylist()
            keys = zip(gateways, minute_ms.tolist(), rows["revision"].to_pylist(), strict=True)
            for place, (gateway, at_ms, revision) in enumerate(keys):
                site, minute = self._sites[gateway], (at_ms - self._day_ms) // 60_000
                if revision > site.noted[minute]:
                    self._chunk(site, minute, revision, rows["chunk"][place].as_py())

    def _chunk(self, site: GatewayDay, minute: int, revision: int, data: bytes) -> None:
        site.pending[minute] = True
        what = f"minute {minute % 60} revision {revision}"
        try:
            self._readings.add_chunk(decode(data))
        except ValueError as error:
            what += f": {error}"
        site.note("waiting_chunks", np.array([minute // 60]), 1, [what])

    def rollups(self) -> None:
        """Restatements first: rows are held against them."""
        found = RollupDay(self._day_ms, self._sites)
        audits = self._view.rows(RESTATEMENTS, self._facility, self._span, AUDIT_COLUMNS)
        if tables := [_plain(rows) for rows in audits]:
            found.audit(pa.concat_tables(tables))
        for rows in self._view.rows(ROLLUPS, self._facility, self._span, ROLLUPS_COLUMNS):
            found.add(rows)
        found.close()

    def facts(self, with_rollups: bool, kept_since_ms: int) -> Measured:
        """What was found, as rows."""
        made = Measured({suite: [] for suite in ("readings", "kinds", "rollups", "ledger")})
        words = read_words(self._rows_of(LEDGER, WORDS_COLUMNS))
        late = self._counted()
        for gateway in sorted(self._sites.keys() | words.keys()):
            site = self._sites[gateway]
            if with_rollups:
                _compare(site, (kept_since_ms - self._day_ms) / HOUR_MS)
            for hour in self._hours(site):
                made.frames["readings"].append(self._row("readings", gateway, site, hour))
                if site.told[hour * 60 : hour * 60 + 60].any():
                    made.frames["rollups"].append(self._row("rollups", gateway, site, hour))
            self._kinds(made.frames["kinds"], gateway)
            found = account(site, words.get(gateway), self._day_ms, self._span, late.get(gateway))
            if found.readings or found.told:
                made.frames["ledger"].append(self._ledger(gateway, found))
            made.readings += found.readings
            made.told += found.told
            made.proven += found.proven
        made.hours = len(made.frames["readings"])
        return made

    def _hours(self, site: GatewayDay) -> Iterator[int]:
        for hour in range(HOURS):
            minutes, seconds = (
                slice(hour * 60, hour * 60 + 60),
                slice(hour * 3600, hour * 3600 + 3600),
            )
            noted = site.noted[minutes].any() or site.pending[minutes].any()
            found = any(measured[hour] for measured in site.hours.values())
            if noted or found or site.told[minutes].any() or site.seconds[seconds].any():
                yield hour

    def _row(self, suite: str, gateway: str, site: GatewayDay, hour: int) -> Row:
        row: Row = self._key(gateway, hour)
        row["readings"] = int(site.seconds[hour * 3600 : hour * 3600 + 3600].sum())
        for check in checks(suite):
            name = f"{suite}.{check}" if check == "duplicate_keys" else check
            row[check] = int(site.hours[name][hour])
            row[f"{check}_at"] = site.examples.get((name, hour), "")
        if suite == "rollups":
            minutes = slice(hour * 60, hour * 60 + 60)
            told = site.told[minutes].sum()
            row["incomplete_share"] = float(site.incomplete[minutes].sum() / told)
        return row

    def _kinds(self, rows: list[Row], gateway: str) -> None:
        kinds = self._readings.kinds.get(gateway)
        for (hour, kind), tally in sorted(kinds.tallies.items()) if kinds else ():
            row: Row = self._key(gateway, hour) | {"kind": kind, "readings": tally.readings}
            row["outside"] = tally.outside / tally.ranged if tally.ranged else None
            row["outside_at"] = tally.worst_outside[1]
            row["unusable"] = (tally.readings - tally.usable) / tally.readings
            row["unusable_at"] = tally.worst_unusable[1]
            rows.append(row)

    def _key(self, gateway: str, hour: int) -> Row:
        time = rfc3339(self._day_ms + hour * HOUR_MS)[:13]
        return {"facility": self._facility, "gateway": gateway, "hour": time}

    def _ledger(self, gateway: str, found: Account) -> Row:
        row: Row = {"facility": self._facility, "gateway": gateway}
        row |= {"hour": rfc3339(self._day_ms)[:10]}
        return row | found.row()

    def _rows_of(self, spec: Any, columns: tuple[str, ...]) -> Iterator[pa.Table]:
        span = self._span[0] - _MARGIN_MS, self._span[1] + PATIENCE_MS
        return self._view.rows(spec, self._facility, span, columns)

    def _counted(self) -> dict[str, pa.Table]:
        """By gateway, what the cloud counted."""
        columns = ("gateway", "time", "late", "unaccounted_batches")
        tables = [_plain(rows) for rows in self._rows_of(COUNTED, columns)]
        if not tables:
            return {}
        whole = pa.concat_tables(tables).sort_by("time")
        names = np.array(whole["gateway"].to_pylist())
        return {name: whole.filter(pa.array(names == name)) for name in np.unique(names).tolist()}


def _compare(site: GatewayDay, first_hour: float) -> None:
    """Counts of both tables, where neither waits for a chunk."""
    slots = max(len(site.counts), len(site.rolled), len(site.rows))
    counts, rolled = site.room("counts", slots), site.room("rolled", slots)
    differs = (counts[:slots] != rolled[:slots]) & ~site.pending
    slot, minute = np.nonzero(differs)
    inside = minute // 60 >= first_hour
    slot, minute = slot[inside], minute[inside]
    names = [site.names.get(at, f"slot {at}") for at in slot[:1000].tolist()]
    names += [""] * max(len(slot) - len(names), 0)
    site.note("different_counts", minute // 60, 1, names)
    twice_slot, twice = np.nonzero(site.rows > 1)
    edge_slot, edge = np.nonzero(site.edge_rows > 1)
    both = np.concatenate([twice_slot, edge_slot])
    names = [site.names.get(at, f"slot {at}") for at in both.tolist()]
    site.note("rollups.duplicate_keys", np.concatenate([twice, edge]) // 60, 1, names)


def _plain(rows: pa.Table) -> pa.Table:
    """With texts written out."""
    for index, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(index, column.name, rows[index].cast(column.type.value_type))
    return rows
