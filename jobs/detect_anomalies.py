"""Judge every batch by the rules and raise alerts within a second, whatever the sinks do."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Literal

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
from udfs.records import ALERTS, BACKLOG, CONDITION_EVENTS, READINGS
from udfs.rules.rulebook import Rule

NAME = "detect-anomalies"


class Settings(JobSettings):
    """Settings of detect_anomalies."""

    rules: Path = Field(
        Path("flink-conf/rules"),
        description="Folder of the rule files, read at submission; in use while topic `rules` is "
        "empty.",
    )
    condition_events: Literal["patterns", "none"] = Field(
        "patterns",
        description="Which condition events go to topic `condition-events`: those of rules with a "
        "pattern, or none.",
    )


def build(env: StreamExecutionEnvironment, settings: Settings) -> None:
    """Batches in; alerts and condition events out, at least once: an alert's id tells a repeat (so
    do a condition event's fields), a checkpoint's wait would cost seconds."""
    rules, properties = load_rules(settings.rules), settings.client_properties()
    records = read_records(env, settings, NAME, (READINGS, BACKLOG))
    conditions = settings.condition_events != "none"
    plan = StepPlan(
        bootstrap=settings.bootstrap,
        kafka=properties,
        new=partial(_new, conditions=conditions),
        restore=partial(_restore, conditions=conditions),
        feed=partial(RuleFeed, rules, settings.bootstrap, properties),
    )
    told = records.process(KeyedStep(plan), OUTPUT_TYPE).name("Detect anomalies").uid("detect")
    write_outputs(told, settings, f"{ALERTS}|{CONDITION_EVENTS}" if conditions else ALERTS)


def _new(
    facility: str,
    gateway: str,
    catalogues: Catalogues,
    rules: list[Rule],
    conditions: bool = True,
) -> DetectStep:
    return DetectStep(facility, gateway, rules, catalogues, conditions)


def _restore(
    data: bytes, catalogues: Catalogues, rules: list[Rule], conditions: bool = True
) -> DetectStep:
    return DetectStep.restore(data, rules, catalogues, conditions)


if __name__ == "__main__":
    run("detect_anomalies", Settings, build, sys.argv[1:])
