"""What compact_readings says of itself, for Prometheus; see infra/observability/metrics.yaml."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from jobs.lake.compaction.compactor import Report
from jobs.lake.compaction.plan import Planner

_PREFIX = "hardiot_compaction"


class Metrics:
    """The metrics of one process; lag and damage are those of the moment they are asked for."""

    def __init__(self, planner: Planner, now_ms: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._hours = self._counter("hours", "Facility hours that were compacted.")
        self._readings = self._counter("readings", "Readings that were added to table readings.")
        self._bytes = self._counter("bytes", "Bytes of the files that have them.")
        self._restated = self._counter("restated_minutes", "Sensor minutes that were restated.")
        self._failures = self._counter("failures", "Times that an hour could not be compacted.")
        self._gauge("lag_seconds", "How long the oldest ready hour waits.").set_function(
            lambda: planner.lag_s(now_ms())
        )
        self._gauge("damaged_chunks", "Chunks that cannot be read.").set_function(planner.damaged)

    def done(self, report: Report) -> None:
        """A round was made."""
        self._hours.inc(report.hours)
        self._readings.inc(report.readings)
        self._bytes.inc(report.bytes)
        self._restated.inc(report.restated)
        self._failures.inc(len(report.failed))

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", meaning, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", meaning, registry=self.registry)
