"""Judge every batch by the rules and raise alerts within a second, whatever the sinks do."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from pydantic import Field
from pyflink.datastream import StreamExecutionEnvironment

from jobs.common.environment import OUTPUT_TYPE, read_records, write_outputs
from jobs.common.keyed import KeyedStep, StepPlan
from jobs.common.rule_feed import RuleFeed
from jobs.common.rules import load_rules
from jobs.common.run import run
from jobs.common.settings import JobSettings
from udfs.admission import Catalogues
from udfs.detect_step import DetectStep
from udfs.records import ALERTS, BACKLOG, READINGS
from udfs.rules.rulebook import Rule

NAME = "detect-anomalies"


class Settings(JobSettings):
    """Settings of detect_anomalies."""

    rules: Path = Field(
        Path("flink-conf/rules"),
        description="Folder of the rule files, read at submission; in use while topic `rules` is "
        "empty.",
    )


def build(env: StreamExecutionEnvironment, settings: Settings) -> None:
    """Batches in; alerts out, at least once: an alert's id tells a repeat, a checkpoint's wait
    would cost seconds."""
    rules, properties = load_rules(settings.rules), settings.client_properties()
    records = read_records(env, settings, NAME, (READINGS, BACKLOG))
    plan = StepPlan(
        bootstrap=settings.bootstrap,
        kafka=properties,
        new=_new,
        restore=_restore,
        feed=partial(RuleFeed, rules, settings.bootstrap, properties),
    )
    alerts = records.process(KeyedStep(plan), OUTPUT_TYPE).name("Detect anomalies").uid("detect")
    write_outputs(alerts, settings, ALERTS)


def _new(facility: str, gateway: str, catalogues: Catalogues, rules: list[Rule]) -> DetectStep:
    return DetectStep(facility, gateway, rules, catalogues)


def _restore(data: bytes, catalogues: Catalogues, rules: list[Rule]) -> DetectStep:
    return DetectStep.restore(data, rules, catalogues)


if __name__ == "__main__":
    run("detect_anomalies", Settings, build, sys.argv[1:])
