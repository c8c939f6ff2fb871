"""What the demo has seen so far: the simulator's progress, the topics, and sums over them."""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.cli.ledger import Books
from jobs.cli.watch import read_alert
from jobs.common.tail import Message
from udfs import rollup
from udfs.ledger import Balance
from udfs.records import ALERTS, DEAD_LETTERS, ROLLUPS
from udfs.rollup import PROVISIONAL

SHOWN_ALERTS = 10


@dataclass
class Seen:
    """Counts of one run. Alerts are counted once an id, as every receiver must."""

    books: Books = field(default_factory=Books)
    progress: dict[str, Any] = field(default_factory=dict)
    rollups: int = 0
    provisional: int = 0
    rolled_readings: int = 0
    incomplete: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    alerts: Counter[str] = field(default_factory=Counter)
    resolved: int = 0
    newest: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=SHOWN_ALERTS))
    latencies_ms: list[float] = field(default_factory=list)
    first_alert_s: float | None = None
    _told: set[tuple[str, str]] = field(default_factory=set)

    def take(self, message: Message) -> None:
        """Take in a record of any topic that the demo reads."""
        if message.topic == ALERTS:
            self._take_alert(message)
        elif message.topic == ROLLUPS:
            self._take_rollup(message)
        elif message.topic == DEAD_LETTERS:
            self.dead_letters[message.headers.get("reason", "?")] += 1
        else:
            self.books.take(message)

    def _take_alert(self, message: Message) -> None:
        alert = read_alert(message)
        if (alert["id"], alert["status"]) in self._told:
            return
        self._told.add((alert["id"], alert["status"]))
        if alert["status"] != "firing":
            self.resolved += 1
            return
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

    def percentile_ms(self, share: float) -> float | None:
        """Latency from a batch leaving its gateway to its alert being read; None: no alert."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


class ProgressFile:
    """The simulator's own words: JSON lines at the end of its log."""

    def __init__(self, log: Path) -> None:
        self._log, self._at, self._rest = log, 0, ""

    def read(self) -> list[dict[str, Any]]:
        """The objects that were written since the last call."""
        if not self._log.exists():
            return []
        with self._log.open() as file:
            file.seek(self._at)
            text = self._rest + file.read()
            self._at = file.tell()
        *lines, self._rest = text.split("\n")
        return [json.loads(line) for line in lines if line.startswith("{")]
