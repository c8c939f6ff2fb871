"""Alerts at the site: what the rules find in a batch goes to the spool, each event once.

After a restart batches run through the rules again. What comes out again has the same id, and is
left out if the spool holds it.
"""

from __future__ import annotations

from collections import Counter, deque

import structlog

from edge import messages
from edge.alarms import MAX_EVENTS
from edge.prescreen import Prescreen
from edge.registry import Registry
from edge.spool.record import Kind, Log
from edge.spool.spool import Spool
from udfs.alerts import AlertEvent, from_json, to_cloudevent
from udfs.batch import Batch
from udfs.catalogue import Catalogue

log = structlog.get_logger()

_MAX_TOLD = 10_000


class Alerting:
    """Runs the rules over batches.

    counts: alerts_unreadable: records of the spool at start. rules_failed: batches that the rules
    could not judge.
    """

    def __init__(
        self, prescreen: Prescreen, registry: Registry, spool: Spool, counts: Counter[str]
    ) -> None:
        self._prescreen, self._registry, self._spool = prescreen, registry, spool
        self._counts = counts
        self._told: dict[str, None] = {}  # `ce_id` of the newest events, as an ordered set
        self._failed = -1  # revision of the rules of which that was told

    def recall(self) -> list[AlertEvent]:
        """At start: learn what the spool holds. Returns: the newest events, oldest first."""
        recent: deque[AlertEvent] = deque(maxlen=MAX_EVENTS)
        for stored in self._spool.tail(Log.ALERTS, -1):
            try:
                message = messages.decode(stored.body)
                self._remember(message.headers["ce_id"])
                recent.append(from_json(message.value))
            except (ValueError, KeyError) as error:
                self._counts["alerts_unreadable"] += 1
                log.warning("alert_unreadable", index=stored.index, error=str(error))
        return list(recent)

    def judge(self, batch: Batch, now_ms: int) -> list[AlertEvent]:
        """Append what the rules find and nobody told yet. Returns: that; it is not committed.

        Rules come from outside while this runs: when they fail, the readings go on without them.
        Raises: IndexError: the registry has no such catalogue.
        """
        new = []
        catalogue = self._registry.version(batch.catalogue)
        for event in self._found(batch, catalogue, now_ms):
            key, value, headers = to_cloudevent(event)
            if headers["ce_id"] in self._told:
                continue
            self._remember(headers["ce_id"])
            body = messages.encode(messages.Message(key, headers, value))
            self._spool.append_record(Kind.ALERT, body, event.event_ms)
            new.append(event)
        return new

    def _found(self, batch: Batch, catalogue: Catalogue, now_ms: int) -> list[AlertEvent]:
        try:
            return self._prescreen.on_batch(batch, catalogue, now_ms)
        except Exception:
            self._counts["rules_failed"] += 1
            if self._failed != self._prescreen.revision:
                self._failed = self._prescreen.revision
                log.exception("rules_failed", revision=self._failed, sequence=batch.sequence)
            return []

    def _remember(self, event: str) -> None:
        self._told[event] = None
        while len(self._told) > _MAX_TOLD:
            del self._told[next(iter(self._told))]
