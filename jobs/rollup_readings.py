"""Roll up every sensor's minutes, exactly once, and count what arrived."""

from __future__ import annotations

import sys
from functools import partial

from pydantic import Field, PositiveInt
from pyflink.datastream import StreamExecutionEnvironment

from jobs.common.environment import OUTPUT_TYPE, read_records, write_outputs
from jobs.common.keyed import KeyedStep, StepPlan
from jobs.common.run import run
from jobs.common.settings import JobSettings
from udfs.admission import Catalogues
from udfs.records import BACKLOG, LEDGER, READINGS
from udfs.rollup_step import RollupStep

NAME = "rollup-readings"
# all that this job may write: transactions of a crashed run are looked for there
TOPICS = r"rollups|dead-letters|counted\.[a-z0-9-]+"


class Settings(JobSettings):
    """Settings of rollup_readings."""

    patience_s: PositiveInt = Field(
        26 * 3600,
        description="How long a hole may wait for its batches before its minutes are published as "
        "incomplete, in seconds; longer than the longest outage.",
    )


def build(env: StreamExecutionEnvironment, settings: Settings) -> None:
    """Batches and ledger lines in; rollups, ledger lines and dead letters out."""
    records = read_records(env, settings, NAME, (READINGS, BACKLOG, LEDGER))
    plan = StepPlan(
        bootstrap=settings.bootstrap,
        kafka=settings.client_properties(),
        new=partial(_new, patience_ms=settings.patience_s * 1000),
        restore=partial(_restore, patience_ms=settings.patience_s * 1000),
    )
    outputs = records.process(KeyedStep(plan), OUTPUT_TYPE).name("Roll up minutes").uid("roll-up")
    write_outputs(outputs, settings, TOPICS, exactly_once_as=NAME)


def _new(facility: str, gateway: str, _: Catalogues, _rules: None, patience_ms: int) -> RollupStep:
    return RollupStep(facility, gateway, patience_ms)


def _restore(data: bytes, _: Catalogues, _rules: None, patience_ms: int) -> RollupStep:
    return RollupStep.restore(data, patience_ms)


if __name__ == "__main__":
    run("rollup_readings", Settings, build, sys.argv[1:])
