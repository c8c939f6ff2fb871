"""What maintain_tables says of itself, for Prometheus; see infra/observability/metrics.yaml."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from jobs.lake.maintain.run import Report

_PREFIX = "hardiot_maintenance"
HELD = "held"


class Metrics:
    """The metrics of one process. began_s: when it began, as Unix time."""

    def __init__(self, began_s: float) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._files = self._counter("files", "Files that a step wrote, replaced or took away.")
        self._bytes = self._counter("bytes", "Their bytes.")
        self._failures = self._counter("failures", "Times that a step failed.")
        self._seconds = self._gauge("step_seconds", "How long the step took.", "step")
        self._held = self._gauge("held_files", "Files that only a legal hold keeps.")
        self._success = self._gauge("success_timestamp_seconds", "When all steps last went well.")
        self._success.set(began_s)

    def done(self, report: Report, now_s: float) -> None:
        """A round was made."""
        for deed in report.deeds:
            if deed.what != HELD:
                self._files.labels(deed.step).inc(deed.files)
                self._bytes.labels(deed.step).inc(deed.bytes)
        for step, seconds in report.seconds.items():
            self._seconds.labels(step).set(seconds)
        for step in report.failures:
            self._failures.labels(step).inc()
        self._held.set(sum(deed.files for deed in report.deeds if deed.what == HELD))
        if not report.failures:
            self._success.set(now_s)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", meaning, ["step"], registry=self.registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", meaning, labels, registry=self.registry)
