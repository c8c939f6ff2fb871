"""What fails as alerts in topic `alerts`, like those of any rule; and their end, once it passes.

    events = news(report, open_alerts(catalog, lake, report), "warning", now_ms)
    with Outbox(bootstrap) as outbox: outbox.send(events)

There is one alert a gateway and suite. Which are open, table `alerts` knows, so that any run on any
machine ends what another one raised; without archive_events nothing is ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from confluent_kafka import KafkaException, Message, Producer
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import parser

from jobs.common.errors import HardiotError
from jobs.common.librdkafka import properties_of
from jobs.lake.compaction.stored import at
from jobs.lake.settings import LakeSettings
from jobs.lake.tables import ALERTS, load_table
from jobs.quality.limits import SUITES
from jobs.quality.report import Failing, Report
from jobs.quality.sites import DAY_MS
from udfs.alerts import (
    FIRING,
    GATEWAY,
    RESOLVED,
    AlertEvent,
    alert_id,
    to_cloudevent,
)
from udfs.records import ALERTS as TOPIC

SUBJECT = "quality"
VERSION = 1
# an alert that is older is not looked for
_LOOKED_BACK_MS = 90 * DAY_MS
_WAIT_S = 30.0

Key = tuple[str, str, str]  # facility, gateway, suite


def rule_of(suite: str) -> str:
    """The rule that an alert names."""
    return f"quality-{suite}"


def news(
    report: Report, open_: Mapping[Key, AlertEvent], severity: str, now_ms: int
) -> list[AlertEvent]:
    """What is to be told: gateways that fail and have no alert, and alerts of those that pass.

    The id follows from gateway, suite and the first hour that fails. A gateway that was not judged,
    or could not be read, keeps its alert; so does what fails still.
    """
    raised = [
        _firing(key, failing, report, severity, now_ms)
        for key, failing in sorted(report.failing.items())
        if key not in open_
    ]
    ended = [
        _resolved(open_[key], report, now_ms)
        for key in sorted(report.seen - report.failing.keys())
        if key in open_ and open_[key].event_ms <= report.until_ms
    ]
    return raised + ended


def _firing(key: Key, failing: Failing, report: Report, severity: str, now_ms: int) -> AlertEvent:
    facility, gateway, suite = key
    onset_ms, rule = _onset_ms(failing.since), rule_of(suite)
    found = "; ".join(f"{check} {count} times, first {where}"
                      for check, (count, where) in sorted(failing.checks.items()))  # fmt: skip
    return AlertEvent(
        alert_id(facility, gateway, SUBJECT, rule, VERSION, onset_ms),
        FIRING, rule, VERSION, severity, facility, gateway, SUBJECT, "", GATEWAY, "checks",
        float(len(failing.checks)), 0.0, onset_ms, report.until_ms, now_ms, late=False,
        text=f"{facility}/{gateway}: stored data fail {suite}: {found}",
    )  # fmt: skip


def _onset_ms(since: str) -> int:
    """2026-01-31 or 2026-01-31T05 as UTC epoch ms."""
    form = "%Y-%m-%dT%H" if "T" in since else "%Y-%m-%d"
    return int(datetime.strptime(since, form).replace(tzinfo=UTC).timestamp()) * 1000


def _resolved(event: AlertEvent, report: Report, now_ms: int) -> AlertEvent:
    text = f"{event.facility}/{event.gateway}: {event.rule} passes again"
    return replace(event, status=RESOLVED, event_ms=report.until_ms, created_ms=now_ms, value=0.0,
                   text=text)  # fmt: skip


def open_alerts(catalog: Catalog, lake: LakeSettings, report: Report) -> dict[Key, AlertEvent]:
    """Alerts of this kind that were not resolved, of the last 90 days."""
    table = load_table(catalog, lake, ALERTS)
    since = at(report.since_ms - _LOOKED_BACK_MS).isoformat()
    where = parser.parse(f"subject = '{SUBJECT}' AND event_time >= '{since}'")
    names = tuple(field.name for field in fields(AlertEvent))
    rows = table.scan(row_filter=where, selected_fields=names).to_arrow()
    suites = {rule_of(suite): suite for suite in SUITES}
    found: dict[Key, AlertEvent] = {}
    for event in _events(rows):
        if event.rule in suites:
            key = event.facility, event.gateway, suites[event.rule]
            if event.status == RESOLVED:
                found.pop(key, None)
            else:
                found[key] = event
    return found


def _events(rows: pa.Table) -> list[AlertEvent]:
    """Of one id, what is resolved last."""
    events = [AlertEvent(**row) for row in rows.to_pylist()]
    return sorted(events, key=lambda e: (e.event_ms, e.created_ms, e.status == RESOLVED))


class Outbox:
    """Writes to topic `alerts`, and waits for Kafka's word."""

    def __init__(self, bootstrap: str, properties: Mapping[str, str] | None = None) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "hardiot-quality",
                "enable.idempotence": True,
                "message.timeout.ms": int(_WAIT_S * 1000),
                "log_level": 2,
                **properties_of(properties or {}),
            }
        )

    def send(self, events: Iterable[AlertEvent]) -> int:
        """Returns: how many. Raises: HardiotError: Kafka did not take all of them."""
        failed: list[str] = []
        count = 0

        def delivered(error: Any, _: Message) -> None:
            if error is not None:
                failed.append(error.str())

        try:
            for count, event in enumerate(events, 1):  # noqa: B007
                key, value, headers = to_cloudevent(event)
                pairs = [(name, text.encode()) for name, text in headers.items()]
                self._producer.produce(TOPIC, value, key, headers=pairs, on_delivery=delivered)
                self._producer.poll(0)
        except (BufferError, KafkaException) as error:
            failed.append(str(error))
        left = self._producer.flush(_WAIT_S)
        if failed or left:
            why = failed[0] if failed else "no answer"
            raise HardiotError(f"alerts of quality are not in Kafka: {why}; run it again")
        return count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._producer.flush(_WAIT_S)
