"""Everything that belongs to one alert: its events, its rule, the readings, the batch.

    trace = Tracer(lake, bootstrap).trace("5f0e1d43-...", facility="plant-07")

The archive is asked first. What it does not have yet is in Kafka, if a broker is known: events
since the last commit, and readings of the last minutes.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa

from jobs.common import rulebooks
from jobs.common.alert_topic import told, told_at_the_edge
from jobs.common.errors import HardiotError
from jobs.common.history_kafka import KafkaHistory
from jobs.common.rule_source import RuleSource, in_files, in_topic
from jobs.common.rules import ROOT, read_files
from jobs.lake.query import Lake, QueryError
from jobs.lake.query.batches import BatchOf
from jobs.lake.query.columns import READINGS_COLUMNS
from jobs.lake.query.scope import ALL
from udfs.alerts import ASSET, GATEWAY, AlertEvent
from udfs.batch import Batch, Lane
from udfs.catalogue import Catalogue

AROUND_MS = 60_000  # so much before the onset, and after the end, is shown
LONGEST_MS = 600_000  # of an alert that fires for longer, its begin
# readings are in table `chunks` a minute or two after they were taken
_NEW_MS = 300_000
_RULES = "flink-conf/rules"


@dataclass
class Trace:
    """What was found of an alert.

    events: by time. rule: None when no rulebook has that version. readings: READINGS_COLUMNS,
    around the onset; `readings_from` says whence. batch: in which the reading came that made it
    fire; None when nobody knows any more. notes: what is not there, and why.
    """

    events: list[AlertEvent]
    rule: RuleSource | None = None
    readings: pa.Table = field(default_factory=READINGS_COLUMNS.empty_table)
    readings_from: str = ""
    batch: BatchOf | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> AlertEvent:
        return self.events[0]

    @property
    def trace_id(self) -> str:
        """Of the batch's W3C trace context; empty when there is none."""
        parts = self.first.traceparent.split("-")
        return parts[1] if len(parts) == 4 else ""

    @property
    def span_ms(self) -> tuple[int, int]:
        """From when to before when readings are shown."""
        begin_ms, end_ms = self.first.onset_ms, self.events[-1].event_ms
        end_ms = min(max(end_ms, self.first.event_ms), begin_ms + LONGEST_MS)
        return begin_ms - AROUND_MS, end_ms + AROUND_MS


class Tracer:
    """Asks the archive and, when there is a broker, Kafka."""

    def __init__(
        self,
        lake: Lake,
        bootstrap: str | None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._lake, self._bootstrap, self._now_ms = lake, bootstrap, now_ms

    def trace(self, ident: str, facility: str = ALL) -> Trace:
        """All that belongs to an alert. Raises: HardiotError: nobody has heard of it."""
        trace = Trace(self._events(ident, facility))
        self._find_rule(trace)
        self._find_readings(trace)
        return trace

    def _events(self, ident: str, facility: str) -> list[AlertEvent]:
        found = [_event(row) for row in self._lake.alert(ident, facility).to_pylist()]
        if self._bootstrap is not None:
            found += told(self._bootstrap, ident, self._lake.archived_offsets())
            if not found:
                site = "" if facility == ALL else facility
                found = told_at_the_edge(self._bootstrap, ident, site)
        if not found:
            kafka = "nor Kafka has" if self._bootstrap else "has (Kafka was not asked: --bootstrap)"
            raise QueryError(
                f'no alert "{ident}": neither table alerts {kafka}; ids are in `hardiot query '
                "alerts` and `hardiot watch alerts`"
            )
        each = {(event.status, event.event_ms): event for event in found}
        return sorted(each.values(), key=lambda event: (event.event_ms, event.created_ms))

    def _find_rule(self, trace: Trace) -> None:
        name, version = trace.first.rule, trace.first.rule_version
        known = None if self._bootstrap is None else rulebooks.read(self._bootstrap)
        if known is not None:
            trace.rule = in_topic(known, name, version)
        if known is None or not known.shelf.revisions():
            files = sorted((ROOT / _RULES).glob("*.yaml"))
            trace.rule = in_files(read_files(files), name, version)
        if trace.rule is None:
            trace.notes.append(f"rule {name}@{version} is in no rulebook that is kept")

    def _find_readings(self, trace: Trace) -> None:
        event = trace.first
        if event.kind == GATEWAY:
            trace.notes.append("the alert is about the whole gateway, not about readings")
        if self._bootstrap is not None and trace.span_ms[1] > self._now_ms() - _NEW_MS:
            self._from_kafka(trace)
        if not len(trace.readings):
            self._from_archive(trace)
        if trace.batch is None and self._bootstrap is not None:
            self._batch_from_kafka(trace)
        if trace.batch is None:
            trace.notes.append(
                "epoch and sequence of its batch are not known any more: the archive has them "
                "until the hour is compacted, Kafka for two days"
            )

    def _from_archive(self, trace: Trace) -> None:
        event, (since_ms, until_ms) = trace.first, trace.span_ms
        place: dict[str, Any] = {"gateway": exactly(event.gateway)}
        place |= {"since": since_ms, "until": until_ms}
        if event.kind != GATEWAY:
            subject = {"asset" if event.kind == ASSET else "sensor": exactly(event.subject)}
            try:
                trace.readings = self._lake.readings(event.facility, **place, **subject).arrow()
                trace.readings_from = "archive"
            except HardiotError as error:
                trace.notes.append(f"readings: {error}")
        batches = self._lake.batches(event.facility, **place)
        trace.batch = next((b for b in batches if _is_of(b.traceparent, event)), None)

    def _batch_from_kafka(self, trace: Trace) -> None:
        """The batch alone, of an hour that is compacted."""
        event = trace.first
        around = self._batches(event.facility, event.event_ms - AROUND_MS, event.event_ms + 1)
        try:
            found = (batch for _, batch in around if _is_of(batch.traceparent, event))
            trace.batch = next(map(_batch, found), None)
        except HardiotError as error:
            trace.notes.append(f"batch: {error}")

    def _from_kafka(self, trace: Trace) -> None:
        event, (since_ms, until_ms) = trace.first, trace.span_ms
        tables = []
        for catalogue, batch in self._batches(event.facility, since_ms, until_ms):
            if batch.gateway == event.gateway:
                tables.append(_rows(catalogue, batch, event))
                if _is_of(batch.traceparent, event):
                    trace.batch = _batch(batch)
        trace.readings = pa.concat_tables([READINGS_COLUMNS.empty_table(), *tables])
        trace.readings = trace.readings.unify_dictionaries().sort_by([("time", "ascending")])
        trace.readings_from = "Kafka"

    def _batches(
        self, facility: str, since_ms: int, until_ms: int
    ) -> Iterator[tuple[Catalogue, Batch]]:
        """Those of the span; the live lane is left where it has passed it."""
        history = KafkaHistory(self._bootstrap or "", facility)
        for catalogue, batch in history.read(since_ms, 2**62):
            if batch.time_ms < until_ms:
                yield catalogue, batch
            elif batch.lane == Lane.LIVE and batch.time_ms > until_ms + AROUND_MS:
                return


def exactly(text: str) -> str:
    """A glob that only this text matches."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _is_of(traceparent: str, event: AlertEvent) -> bool:
    return bool(traceparent) and traceparent == event.traceparent


def _event(row: dict[str, Any]) -> AlertEvent:
    return AlertEvent(**{each.name: row[each.name] for each in fields(AlertEvent)})


def _batch(batch: Batch) -> BatchOf:
    numbers = (batch.epoch, batch.sequence, batch.time_ms, batch.sent_ms, batch.catalogue)
    return BatchOf(*numbers, batch.lane == Lane.BACKLOG, batch.traceparent)


def _rows(catalogue: Catalogue, batch: Batch, event: AlertEvent) -> pa.Table:
    """The readings of the alert's subject in a batch, as READINGS_COLUMNS."""
    names: Sequence[str] = catalogue.asset if event.kind == ASSET else catalogue.name
    wanted = np.array([name == event.subject for name in names], np.bool_)
    slots = batch.slots()
    at = np.flatnonzero(wanted[slots]) if event.kind != GATEWAY else np.zeros(0, np.intp)
    of = slots[at].tolist()
    none = np.zeros(len(batch), np.int64)
    offset = none if batch.offset_ms is None else batch.offset_ms.astype(np.int64)
    quality = np.zeros(len(batch), np.uint8) if batch.quality is None else batch.quality
    columns = {
        "facility": [batch.facility] * len(at),
        "gateway": [batch.gateway] * len(at),
        "slot": of,
        "sensor": [catalogue.name[slot] for slot in of],
        "asset": [catalogue.asset[slot] for slot in of],
        "kind": [catalogue.kind[slot] for slot in of],
        "unit": [catalogue.unit[slot] for slot in of],
        "time": batch.time_ms + offset[at],
        "value": batch.value[at],
        "quality": quality[at],
    }
    return pa.table(columns).cast(READINGS_COLUMNS)
