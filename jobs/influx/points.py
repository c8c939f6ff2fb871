"""The points of a rollup under the policy: which rows are published, and as which lines.

points = Points(policy, group, find)
found = points.of(record)              # Found(lines, held_back), or raises Refused
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.influx.erasure import Erasure, erasure_of
from jobs.influx.lines import (
    CLOUD,
    CLOUD_MINUTE,
    EDGE,
    EDGE_MINUTE,
    Rows,
    minute_line,
    sensor_lines,
    slots_of,
    values_of,
)
from jobs.influx.memory import Changes, Newest, Ranks
from jobs.influx.policy import NOBODY, VALUES, Policy
from jobs.influx.series import Series, series_of
from udfs.arrow import body_is_plain
from udfs.batch import MAX_FUTURE_MS
from udfs.catalogue import Catalogue
from udfs.records import EDGE_ROLLUPS, Record
from udfs.rollup import COLUMNS, FINAL, PROVISIONAL, MinuteRollup, decode

GATEWAYS = 2_000
"""Gateways of which a lane knows series, ranks and changes; a cell has 500."""

_LAST_MS = 2**31 * 1000  # of what a line can say in seconds, and a rank in minutes

Find = Callable[[str, str, int], Catalogue | None]


class Reason(StrEnum):
    """Why a record goes to the dead letters; infra/contracts/rollup.yaml says what to do."""

    NOT_A_ROLLUP = "not_a_rollup"
    WRONG_FACILITY = "wrong_facility"
    UNKNOWN_CATALOGUE = "unknown_catalogue"
    SLOT_OUT_OF_RANGE = "slot_out_of_range"
    FUTURE_TIME = "future_time"
    INFLUX_REFUSED = "influx_refused"


class HeldBack(StrEnum):
    """Why points of a good record are not written."""

    UNCHANGED = "unchanged"
    PROVISIONAL = "provisional"
    OLDER_REVISION = "older_revision"
    EXPIRED = "expired"


class Refused(Exception):
    """A record that no points can be made of."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Found:
    """The lines of a record; `held_back` counts the points that are not among them.

    erasure: what has to be deleted before they are written.
    """

    lines: pa.StringArray
    held_back: Counter[HeldBack] = field(default_factory=Counter)
    erasure: Erasure | None = None


class _Gateway:
    """What is known of a gateway. newest_ms: its last final minute."""

    def __init__(self) -> None:
        self.series: dict[int, Series] = {}
        self.cloud, self.edge = Ranks(), Ranks()
        self.changes = Changes(0)
        self.newest_ms = -1


class Points:
    """Makes the points of one lane; calls come in the order of the topic."""

    def __init__(self, policy: Policy, find: Find) -> None:
        self._policy = policy
        self._find = find
        self._thins = [entry.publish == "changed" for entry in policy.sensors]
        self._gateways: Newest[tuple[str, str], _Gateway] = Newest(GATEWAYS)

    def of(self, record: Record, appended_ms: int) -> Found:
        """The record's points. Args: appended_ms: when Kafka got it. Raises: Refused."""
        edge = record.family == EDGE_ROLLUPS
        rollup = _decoded(record, edge)
        if rollup.minute_ms > appended_ms + MAX_FUTURE_MS:
            ahead_s = (rollup.minute_ms - appended_ms) // 1000
            raise Refused(Reason.FUTURE_TIME, f"{rollup.key}: {ahead_s} s ahead of Kafka's clock")
        gateway = self._gateways.get((rollup.facility, rollup.gateway), _Gateway)
        series = self._series(gateway, rollup)
        rows = np.flatnonzero(series.plan[slots_of(rollup)] != NOBODY)
        # several parts of a minute come from an edge, each as a provisional one: the fullest counts
        ranks, rank = (gateway.edge, rollup.batches) if edge else (gateway.cloud, rollup.revision)
        if not ranks.take(rollup.minute_ms, rank):
            return Found(_NONE, Counter({HeldBack.OLDER_REVISION: len(rows) + 1}))
        held: Counter[HeldBack] = Counter()
        if not edge and any(self._thins):
            rows = self._thinned(gateway, series, rollup, rows, held)
        names = (EDGE, EDGE_MINUTE) if edge else (CLOUD, CLOUD_MINUTE)
        lines = sensor_lines(names[0], rollup, series, rows, self._policy)
        # last, so that who sees a minute's own point sees its sensors' too
        lines = pa.concat_arrays([lines, minute_line(names[1], rollup, series)])
        return Found(lines, held, None if edge else erasure_of(rollup, series, rows))

    def _series(self, gateway: _Gateway, rollup: MinuteRollup) -> Series:
        series = gateway.series.get(rollup.catalogue)
        if series is None:
            catalogue = self._find(rollup.facility, rollup.gateway, rollup.catalogue)
            if catalogue is None:
                detail = f"{rollup.key}: no version {rollup.catalogue} in topic catalogue"
                raise Refused(Reason.UNKNOWN_CATALOGUE, detail)
            series = series_of(catalogue, self._policy)
            # live and backlog are of two versions at most, as a rule
            gateway.series = {**dict([*gateway.series.items()][-3:]), rollup.catalogue: series}
        highest = int(slots_of(rollup).max(initial=-1))
        if highest >= len(series):
            detail = f"slot {highest} of {len(series)} in version {rollup.catalogue}"
            raise Refused(Reason.SLOT_OUT_OF_RANGE, f"{rollup.key}: {detail}")
        return series

    def _thinned(
        self,
        gateway: _Gateway,
        series: Series,
        rollup: MinuteRollup,
        rows: Rows,
        held: Counter[HeldBack],
    ) -> Rows:
        """Rows without those that did not change.

        What is thinned has no provisional points: else one could stay, because the final value is
        near to what was published last. And a minute that comes behind later ones, or again, is
        published as a whole.
        """
        plan = series.plan[slots_of(rollup)[rows]]
        thin = np.array(self._thins)[plan]
        if rollup.revision == PROVISIONAL:
            held[HeldBack.PROVISIONAL] += int(thin.sum())
            kept: Rows = rows[~thin]
            return kept
        if rollup.revision > FINAL or rollup.minute_ms <= gateway.newest_ms:
            return rows
        gateway.newest_ms = rollup.minute_ms
        if len(gateway.changes) < len(series):
            gateway.changes = gateway.changes.grown(len(series))
        due = ~thin
        for index in np.flatnonzero(self._thins).tolist():
            of_plan = np.flatnonzero(plan == index)
            due[of_plan] = self._changed(gateway.changes, rollup, rows[of_plan], index)
        held[HeldBack.UNCHANGED] += int((~due).sum())
        found: Rows = rows[due]
        return found

    def _changed(
        self, changes: Changes, rollup: MinuteRollup, rows: Rows, index: int
    ) -> npt.NDArray[np.bool_]:
        """Which rows of one plan to publish; they are noted."""
        entry = self._policy.sensors[index]
        slots = slots_of(rollup)[rows]
        values = np.full((len(rows), len(VALUES)), np.nan)
        for column, name in enumerate(VALUES):
            if name in entry.fields:
                values[:, column] = values_of(rollup, name, rows)
        bad = rollup.bad[rows]
        assert entry.deadband is not None and entry.at_least_every_s is not None
        due = changes.due(
            slots, rollup.minute_ms, values, bad, entry.deadband, entry.at_least_every_s
        )
        changes.published(slots[due], rollup.minute_ms, values[due], bad[due])
        return due


_NONE = pa.array([], pa.string())


def _decoded(record: Record, edge: bool) -> MinuteRollup:
    """Read it; what a gateway wrote is not trusted further than its facility."""
    try:
        if not body_is_plain(record.value):
            raise ValueError("a compressed body")
        rollup = decode(record.value)
    except ValueError as error:
        raise Refused(Reason.NOT_A_ROLLUP, str(error)) from None
    if edge and rollup.facility != record.facility:
        raise Refused(Reason.WRONG_FACILITY, f"{rollup.facility} in topic {record.topic}")
    if wrong := [name for name in COLUMNS if not _is_column(name, getattr(rollup, name))]:
        raise Refused(
            Reason.NOT_A_ROLLUP, f"columns {', '.join(wrong)} are missing or of a wrong type"
        )
    if not 0 <= rollup.minute_ms < _LAST_MS or min(rollup.revision, rollup.batches) < 0:
        raise Refused(Reason.NOT_A_ROLLUP, "minute, revision or batches out of range")
    return rollup


def _is_column(name: str, values: npt.NDArray[np.generic] | None) -> bool:
    if values is None:
        return name == "sensor"
    return values.dtype == np.dtype(COLUMNS[name])
