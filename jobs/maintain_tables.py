"""Keep the tables in order: hours and days, retention, merges, old snapshots, orphans; how long
InfluxDB's buckets and Kafka's topics are kept; and whether what is there is as it should be.

    hardiot maintain --dry-run
    hardiot maintain --every 1h

A plain program that keeps nothing: stop and start it at any time. One works at a time.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from threading import Event

import structlog
from prometheus_client import start_http_server
from pydantic import SecretStr
from pyiceberg.catalog import Catalog

from jobs.common.contracts import ROOT
from jobs.common.errors import HardiotError, SettingsError
from jobs.common.librdkafka import properties_of
from jobs.influx.policy import load_policy as load_influx
from jobs.lake.catalog import open_catalog
from jobs.lake.commit import PASSING
from jobs.lake.maintain import outside
from jobs.lake.maintain.lease import Lease, LeaseTaken
from jobs.lake.maintain.metrics import Metrics
from jobs.lake.maintain.policy import load_policy
from jobs.lake.maintain.run import STEPS, Report, run
from jobs.lake.maintain.settings import MaintainSettings
from jobs.lake.maintain.work import Deed, Sizes, Step, Work
from jobs.lake.settings import LakeSettings
from jobs.lake.spec import MB
from jobs.quality.step import NAME, QualityStep

# what a round may do, in its order
ALL = (*STEPS, "buckets", "topics", NAME)

log = structlog.get_logger()

Told = Callable[[Deed], None]


class Maintainer:
    """Rounds of maintenance, of some steps or all. The declaration is read before each."""

    def __init__(
        self, settings: MaintainSettings, lake: LakeSettings, only: Collection[str] = ()
    ) -> None:
        """Raises: SettingsError: a step that there is not, or that has no address."""
        self._settings, self._lake = settings, lake
        steps = self._steps()
        for name in only:
            if name not in steps:
                missing = "has no address or token" if name in ALL else "is unknown"
                raise SettingsError(f"step {name} {missing}; there are: {', '.join(steps)}")
        self._chosen = {name: step for name, step in steps.items() if not only or name in only}

    def round(self, dry_run: bool = False, told: Told = lambda deed: None) -> Report:
        """One round. A dry run takes no lease and changes nothing.

        Raises: LeaseTaken: another maintainer is at work. HardiotError: the declaration has
            mistakes, or the lake cannot be reached.
        """
        with open_catalog(self._lake) as catalog:
            if dry_run:
                return run(self._work(catalog, dry_run=True), self._chosen, told)
            with Lease(catalog, self._lake, f"{platform.node()}/{os.getpid()}") as lease:
                return run(self._work(catalog, lease.renew), self._chosen, told)

    def loop(self, every_s: float, stop: Event, told: Told = lambda deed: None) -> None:
        """Rounds for ever, each so long after the one before began; what fails is tried again."""
        metrics = Metrics(time.time())
        if self._settings.metrics_port:
            start_http_server(self._settings.metrics_port, registry=metrics.registry)
        quality = self._chosen.get(NAME)
        if isinstance(quality, QualityStep):
            metrics.registry.register(quality.registry)
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                report = self.round(told=told)
            except LeaseTaken as error:
                log.info("left_to_another", why=str(error))
            except (HardiotError, *PASSING) as error:
                metrics.done(Report(failures={"round": str(error)}), time.time())
                log.error("no_round", why=str(error))
            else:
                metrics.done(report, time.time())
                for step, why in report.failures.items():
                    log.error("step_failed", step=step, why=why)
            stop.wait(max(0.0, every_s - (time.monotonic() - began_s)))

    def _work(
        self, catalog: Catalog, alive: Callable[[], None] = lambda: None, dry_run: bool = False
    ) -> Work:
        given = self._settings
        sizes = Sizes(given.least_mb * MB, given.most_mb * MB, given.settled_h * 3_600_000)
        return Work(
            catalog,
            self._lake,
            load_policy(ROOT / given.policy),
            time.time_ns() // 1_000_000,
            dry_run,
            given.step_limit_s,
            sizes,
            alive,
        )

    def _steps(self) -> Mapping[str, Step]:
        """All that there are addresses for."""
        given = self._settings
        steps = dict(STEPS)
        if given.influx_token_file:
            token = _token(Path(given.influx_token_file))
            steps["buckets"] = outside.buckets_step(load_influx(ROOT / given.influx_policy), token)
        if given.bootstrap:
            properties = properties_of(given.client_properties())
            steps["topics"] = outside.topics_step(given.bootstrap, properties)
        if given.quality:
            limits, docs = ROOT / given.quality, ROOT / given.quality_docs
            properties = given.client_properties()
            steps[NAME] = QualityStep(limits, docs, given.bootstrap, properties)
        return steps


def _token(path: Path) -> SecretStr:
    try:
        return SecretStr(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"influx_token_file: no token in {path}: {error}") from None
