"""What the demo has seen so far: the machines' progress, the topics, and sums over them."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.cli.ledger import Books
from jobs.cli.watch import read_alert
from jobs.common.tail import Message
from udfs import rollup
from udfs.alerts import RESOLVED, UPDATED
from udfs.ledger import Balance
from udfs.records import ALERTS, DEAD_LETTERS, EDGE_ALERTS, ROLLUPS
from udfs.rollup import PROVISIONAL

SHOWN_ALERTS = 10


@dataclass
class Seen:
    """Counts of one run. Each event of an alert is taken once, as every receiver must."""

    books: Books = field(default_factory=Books)
    progress: dict[str, Any] = field(default_factory=dict)
    rollups: int = 0
    provisional: int = 0
    rolled_readings: int = 0
    incomplete: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    updated: int = 0
    resolved: int = 0
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN_ALERTS))
    latencies_ms: list[float] = field(default_factory=list)
    gateways: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    edge_first: int = 0
    first_alert_s: float | None = None
    _told: set[str] = field(default_factory=set)

    def take(self, message: Message) -> None:
        """Take in a record of any topic that the demo reads."""
        if message.topic == ALERTS or message.topic.startswith(f"{EDGE_ALERTS}."):
            self._take_alert(message)
        elif message.topic == ROLLUPS:
            self._take_rollup(message)
        elif message.topic == DEAD_LETTERS:
            self.dead_letters[message.headers.get("reason", "?")] += 1
        else:
            self.books.take(message)

    def _take_alert(self, message: Message) -> None:
        alert = read_alert(message)
        if message.headers["ce_id"] in self._told:
            return
        self._told.add(message.headers["ce_id"])
        if alert["status"] == RESOLVED:
            self.resolved += 1
            return
        if alert["status"] == UPDATED:
            self.updated += 1
            self.newest.appendleft(alert)
            return
        self.edge_first += message.topic != ALERTS
        self.alerts[alert["rule"]] += 1
        self.newest.appendleft(alert)
        self.first_alert_s = self.first_alert_s or message.read_s
        if alert["latency_ms"] is not None and not alert["late"]:
            self.latencies_ms.append(alert["latency_ms"])

    def _take_rollup(self, message: Message) -> None:
        item = rollup.decode(message.value)
        if item.revision == PROVISIONAL:
            self.provisional += 1
            return
        self.rollups += 1
        self.rolled_readings += item.readings()
        self.incomplete += not item.complete

    def balances(self) -> list[Balance]:
        """The ledger, gateway by gateway."""
        return self.books.balances()

    @property
    def repeats(self) -> int:
        """Readings that came twice; the gateways dropped the second ones."""
        reasons = ("repeat", "duplicate_in_tick")
        return sum(said["dropped"].get(reason, 0) for said in self._said() for reason in reasons)

    def sent(self, lane: str) -> int:
        """Records that the gateways sent in a lane."""
        return sum(said["uplink"]["sent"].get(lane, 0) for said in self._said())

    def _said(self) -> list[dict[str, Any]]:
        return [said for said in self.gateways.values() if said is not None]

    def percentile_ms(self, share: float) -> float | None:
        """Latency from a batch leaving its gateway to its alert being read; None: no alert."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


class ProgressFiles:
    """The machines' own words: JSON lines in their logs, added up over the processes.

    ended: whether each of them has said that it was its last word.
    """

    def __init__(self, logs: Sequence[Path]) -> None:
        self._files = [_ProgressFile(log) for log in logs]

    def read(self) -> dict[str, Any]:
        """The sum of what each said last; empty before the first word."""
        found = [said for file in self._files if (said := file.read())]
        names = ("readings", "readings_per_s", "duplicates", "messages")
        return {name: sum(said.get(name, 0) for said in found) for name in names} if found else {}

    @property
    def ended(self) -> bool:
        """Those that end with their process need not say so."""
        return all(file.said.get("ended", False) for file in self._files)


class _ProgressFile:
    def __init__(self, log: Path) -> None:
        self._log, self._at, self._rest = log, 0, ""
        self.said: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The newest word."""
        if not self._log.exists():
            return {}
        with self._log.open() as file:
            file.seek(self._at)
            text = self._rest + file.read()
            self._at = file.tell()
        *lines, self._rest = text.split("\n")
        for line in lines:
            if line.startswith("{") and "readings" in (said := json.loads(line)):
                self.said |= said
        return self.said
