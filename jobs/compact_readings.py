"""Turn the chunks of complete facility hours into sorted sensor hours and minute rollups.

    python -m jobs.compact_readings [--once] [--settle-s 900 ...]

A plain program, one process a set of facilities. It keeps nothing: stop and start it at any time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from threading import Event

import structlog
from kafka.errors import KafkaError
from prometheus_client import start_http_server
from pydantic import Field, NonNegativeInt, PositiveInt

from jobs.common.catalogues import TopicCatalogues
from jobs.common.errors import HardiotError
from jobs.common.service import on_end
from jobs.common.settings import JobSettings, load
from jobs.common.tail import no_answer
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import PASSING
from jobs.lake.compaction.compactor import Compactor, Limits, Report
from jobs.lake.compaction.metrics import Metrics
from jobs.lake.compaction.topic import TopicRollups
from jobs.lake.settings import LakeSettings

JOB = "compact_readings"
_ONCE = "--once"

log = structlog.get_logger()


class CompactSettings(JobSettings):
    """Settings of compact_readings."""

    every_s: PositiveInt = Field(60, description="How often it looks for hours, in seconds.")
    settle_s: NonNegativeInt = Field(
        900,
        description="How long after its end an incomplete hour is waited for, in seconds.",
    )
    hours_a_commit: PositiveInt = Field(
        64, description="Facility hours that are committed together, at most."
    )
    slice_readings: PositiveInt = Field(
        20_000_000, description="Readings in memory at a time; each takes some 30 bytes."
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of the metrics for Prometheus; 0: none."
    )

    def limits(self) -> Limits:
        """As the compactor takes them."""
        return Limits(self.settle_s, self.hours_a_commit, self.slice_readings, self.facilities)


def run(settings: CompactSettings, lake: LakeSettings, stop: Event, once: bool = False) -> bool:
    """Make rounds until `stop` is set, or one. Returns: whether the last one was without failures.

    Raises: HardiotError: Kafka or the lake is not there at the start.
    """
    catalogues = _catalogues(settings)
    topic = TopicRollups(settings.bootstrap, settings.client_properties())
    with open_catalog(lake) as catalog:
        compactor = Compactor(
            catalog, lake, catalogues.find, topic.publish, settings.limits(), stop.is_set
        )
        metrics = Metrics(compactor.planner, _now_ms)
        if settings.metrics_port:
            start_http_server(settings.metrics_port, registry=metrics.registry)
        fine = True
        while not stop.is_set():
            began_s = time.monotonic()
            report = _round(compactor)
            metrics.done(report)
            _tell(report)
            fine = not report.failed
            if once:
                break
            stop.wait(max(settings.every_s - (time.monotonic() - began_s), 0))
    catalogues.close()
    return fine


def _round(compactor: Compactor) -> Report:
    """A round; where not even the tables can be read, a report that says so."""
    try:
        return compactor.round(_now_ms())
    except (HardiotError, *PASSING) as error:
        return Report(failed=[f"no round was made: {error}"])


def _tell(report: Report) -> None:
    """What was done, and what was not."""
    if report.hours:
        log.info(
            "compacted", hours=report.hours, readings=report.readings, bytes=report.bytes,
            restated=report.restated,
        )  # fmt: skip
    for problem in report.problems:
        log.error("chunk_left", kind=str(problem.kind), problem=problem.text)
    for line in report.failed:
        log.warning("tried_again_later", problem=line)


def _catalogues(settings: CompactSettings) -> TopicCatalogues:
    try:
        return TopicCatalogues(settings.bootstrap, settings.client_properties())
    except KafkaError as error:
        raise no_answer(settings.bootstrap, error) from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(argv: Sequence[str]) -> int:
    """Exit 1: with --once, something was not done. 2: settings are wrong, or nothing answers."""
    stop = Event()
    on_end(stop.set)
    try:
        settings = load(CompactSettings, JOB, [word for word in argv if word != _ONCE])
        fine = run(settings, load(LakeSettings, "lake"), stop, _ONCE in argv)
    except HardiotError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
