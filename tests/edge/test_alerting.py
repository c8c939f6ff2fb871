"""Each event goes to the spool once, by its `ce_id`, also after a restart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge import alerting as alerting_module
from edge import messages
from edge.alerting import Alerting
from edge.settings import SpoolSettings
from edge.spool.record import Log
from edge.spool.spool import Spool
from tests.edge.web.test_alarms import T0, alert, ended
from udfs.alerts import UPDATED, AlertEvent, from_json
from udfs.batch import Batch

REGISTRY: Any = SimpleNamespace(version=lambda number: None)
BATCH = Batch("plant-07", "gw-1", 1, 0, T0, np.empty(0))


class FakeRules:
    """Finds what it is told to find."""

    revision = 6

    def __init__(self) -> None:
        self.next: list[AlertEvent] | Exception = []

    def on_batch(self, *_: object) -> list[AlertEvent]:
        if isinstance(self.next, Exception):
            raise self.next
        return self.next


def updated(event: AlertEvent, severity: str, after_ms: int) -> AlertEvent:
    return replace(event, status=UPDATED, severity=severity, event_ms=event.event_ms + after_ms)


def open_spool(folder: Path) -> Spool:
    return Spool.open(SpoolSettings(folder=folder, max_bytes=2**25, segment_bytes=2**20), T0)


def stored(spool: Spool) -> list[tuple[str, str]]:
    found = [messages.decode(each.body).value for each in spool.tail(Log.ALERTS, -1)]
    return [(e.status, e.severity) for e in map(from_json, found)]


def test_an_alert_that_is_updated_twice_has_both_updates_once(tmp_path: Path) -> None:
    begun = alert(1)
    life = [
        begun, updated(begun, "critical", 300), updated(begun, "warning", 900), ended(begun),
    ]  # fmt: skip
    told = [("firing", "warning"), ("updated", "critical"), ("updated", "warning"),
            ("resolved", "warning")]  # fmt: skip
    spool, rules = open_spool(tmp_path), FakeRules()
    alerting = Alerting(rules, REGISTRY, spool, Counter())  # type: ignore[arg-type]
    rules.next = life
    assert alerting.judge(BATCH, T0) == life
    assert alerting.judge(BATCH, T0) == []
    spool.commit()
    assert stored(spool) == told
    spool.close()
    again = open_spool(tmp_path)
    alerting = Alerting(rules, REGISTRY, again, Counter())  # type: ignore[arg-type]
    assert alerting.recall() == life
    assert alerting.judge(BATCH, T0) == []
    again.close()


def test_rules_that_fail_are_counted_and_told_once_a_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(alerting_module.log, "exception", lambda _, **m: told.append(m["revision"]))
    spool, rules, counts = open_spool(tmp_path), FakeRules(), Counter[str]()
    alerting = Alerting(rules, REGISTRY, spool, counts)  # type: ignore[arg-type]
    rules.next = ZeroDivisionError("by zero")
    for revision in (6, 6, 6, 7):
        rules.revision = revision
        assert alerting.judge(BATCH, T0) == []
    assert counts["rules_failed"] == 4
    assert told == [6, 7]
    rules.next = [alert(1)]
    assert alerting.judge(BATCH, T0) == [alert(1)]
    spool.close()
