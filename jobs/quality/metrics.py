"""What the last check found, for Prometheus; see infra/observability/metrics.yaml.

Metrics(registry).show(report, now_ms)            # of a program that serves them
write(report, now_ms, Path("quality.prom"))       # for node exporter's textfile collector
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from jobs.quality.limits import SUITES
from jobs.quality.report import Report

_PREFIX = "hardiot_quality"


class Metrics:
    """Gauges of the last check."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", meaning, labels, registry=registry)

        self._failed = gauge("failed_checks", "Checks that failed.", "suite")
        self._gateways = gauge("failing_gateways", "Gateways that fail.", "suite")
        self._unread = gauge("unread_facility_days", "Facility days that could not be read.")
        self._hours = gauge("checked_gateway_hours", "Gateway hours that were looked at.")
        self._proven = gauge("proven_share", "Of the readings told, those that are proven.")
        self._last = gauge("last_check_timestamp_seconds", "When it was done.")

    def show(self, report: Report, now_ms: int) -> None:
        """Set all of them."""
        failed = Counter(r.suite for r in report.results.values() if r.failed)
        gateways = Counter(suite for _, _, suite in report.failing)
        for suite in SUITES:
            self._failed.labels(suite).set(failed[suite])
            self._gateways.labels(suite).set(gateways[suite])
        self._unread.set(len(report.unread))
        self._hours.set(report.hours)
        self._proven.set(report.proven / report.told if report.told else 1)
        self._last.set(now_ms / 1000)


def write(report: Report, now_ms: int, path: Path) -> None:
    """As a text file, which is there as a whole or not at all."""
    registry = CollectorRegistry()
    Metrics(registry).show(report, now_ms)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)
