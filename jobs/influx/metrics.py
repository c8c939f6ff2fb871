"""What publish_rollups says of itself, for Prometheus; see infra/observability/metrics.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

_PREFIX = "hardiot_publish"


class Metrics:
    """The metrics of all lanes of a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._points = self._counter("points", "Points that InfluxDB acknowledged.")
        self._held_back = self._counter("held_back", "Points that were not written.", "reason")
        self._retries = self._counter("retries", "Requests that failed.", "cause")
        self._letters = self._counter("dead_lettered", "Records refused.", "reason")
        self._lag = self._gauge("lag_seconds", "Age of the oldest record that is not written.")
        self._refused = self._gauge("refused", "1 while token, bucket or address are refused.")

    def begin(self, group: str) -> None:
        """Show a lane before anything happened in it."""
        self._points.labels(group)
        self.lag(group, 0.0)
        self.refused(group, False)

    def points(self, group: str, count: int) -> None:
        """So many points are in InfluxDB."""
        self._points.labels(group).inc(count)

    def held_back(self, group: str, counts: Mapping[Any, int]) -> None:
        """Points that were not written, by reason."""
        for reason, count in counts.items():
            self._held_back.labels(group, reason).inc(count)

    def retried(self, group: str, cause: str) -> None:
        """A request failed and is sent again."""
        self._retries.labels(group, cause).inc()

    def dead_lettered(self, group: str, reason: str) -> None:
        """A record went to the dead letters."""
        self._letters.labels(group, reason).inc()

    def lag(self, group: str, seconds: float) -> None:
        """Age of the oldest record that was read and is not written; 0 when there is none."""
        self._lag.labels(group).set(seconds)

    def refused(self, group: str, is_refused: bool) -> None:
        """Whether somebody has to look at token, bucket or address."""
        self._refused.labels(group).set(is_refused)

    def _counter(self, name: str, meaning: str, *more: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", meaning, ("group", *more), registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", meaning, ("group",), registry=self.registry)
