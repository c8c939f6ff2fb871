"""The check as a step of maintenance: each round, what has settled since the round before.

    steps["quality"] = QualityStep(Path("flink-conf/quality.yaml"), Path("build/data-docs"))
    metrics.registry.register(steps["quality"].registry)

An hour is checked twice, so that ranges that a round's end cuts are whole in the next one. The
first round of a process checks 24 hours. What fails is an alert and a metric, and no failed step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from jobs.lake.maintain.work import Deed, Work
from jobs.lake.query.names import Asked, no_catalogue
from jobs.quality.alerts import Outbox, news, open_alerts
from jobs.quality.check import Scope, check, last_day
from jobs.quality.limits import load_limits
from jobs.quality.metrics import Metrics
from jobs.quality.report import Report
from udfs.archive.schemas import HOUR_MS

NAME = "quality"


class QualityStep:
    """Remembers only up to when it has checked. registry: its metrics, of the last round."""

    def __init__(
        self,
        limits: Path,
        docs: Path | None = None,
        bootstrap: str = "",
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Args: bootstrap: brokers for catalogues and alerts; empty: neither. properties: further
        ones of the client, by Java's names.
        """
        self._limits, self._docs = limits, docs
        self._bootstrap, self._properties = bootstrap, properties or {}
        self._until_ms = 0
        self.registry = CollectorRegistry()
        self._metrics = Metrics(self.registry)

    def __call__(self, work: Work) -> Iterator[Deed]:
        """Check, tell, and yield what fails. A dry run does nothing.

        Raises: FileMistakes: the limits. HardiotError: a table is not there, or Kafka does not take
        the alerts; the same hours are checked again then.
        """
        limits = load_limits(self._limits)
        since_ms, until_ms = last_day(limits, work.now_ms)
        if work.dry_run or until_ms <= self._until_ms:
            return
        since_ms = max(since_ms, self._until_ms - HOUR_MS)
        report = self._check(work, since_ms, until_ms)
        self._metrics.show(report, work.now_ms)
        if self._bootstrap:
            self._alert(work, report, limits.severity)
        self._until_ms = until_ms
        yield from _deeds(report)

    def _check(self, work: Work, since_ms: int, until_ms: int) -> Report:
        def kept_ms(facility: str) -> int:
            return work.policy.kept_ms("readings", facility)

        asked = Asked(self._bootstrap) if self._bootstrap else None
        try:
            scope = Scope(find=asked.find if asked else no_catalogue, kept_ms=kept_ms)
            limits = load_limits(self._limits)
            return check(work.settings, limits, since_ms, until_ms, scope, self._docs, work.now_ms,
                         work.alive)  # fmt: skip
        finally:
            if asked:
                asked.close()

    def _alert(self, work: Work, report: Report, severity: str) -> None:
        open_ = open_alerts(work.catalog, work.settings, report)
        events = news(report, open_, severity, work.now_ms)
        if events:
            with Outbox(self._bootstrap, self._properties) as outbox:
                outbox.send(events)


def _deeds(report: Report) -> Iterator[Deed]:
    for result in report.results.values():
        if result.failed:
            worst = result.worst[0]
            why = f"{result.check}: {result.failed} of {result.checked}, {worst.hour} {worst.at}"
            where = f"{worst.facility}/{worst.gateway}"
            yield Deed(NAME, result.suite, where, "fails", rows=result.failed, why=why)
    for place, problem in report.unread.items():
        yield Deed(NAME, "", place, "cannot be read", why=problem)
