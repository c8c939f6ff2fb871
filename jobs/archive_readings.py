"""Keep every reading: each closed minute of a gateway as one row of table chunks, exactly once."""

from __future__ import annotations

import sys
from functools import partial

from pydantic import Field, PositiveInt
from pyflink.datastream import StreamExecutionEnvironment

from jobs.common.environment import OUTPUT_TYPE, read_records
from jobs.common.iceberg import write_chunks
from jobs.common.keyed import KeyedStep, StepPlan
from jobs.common.run import run
from jobs.common.settings import JobSettings, load
from jobs.lake.catalog import java_catalog
from jobs.lake.settings import LakeSettings
from udfs.admission import Catalogues
from udfs.archive_step import ArchiveStep
from udfs.records import BACKLOG, LEDGER, READINGS

NAME = "archive-readings"


class Settings(JobSettings):
    """Settings of archive_readings; the catalog is told by those of the lake."""

    patience_s: PositiveInt = Field(
        26 * 3600,
        description="How long a hole may wait for its batches before its minutes are archived as "
        "incomplete, in seconds; longer than the longest outage.",
    )
    commit_every_s: PositiveInt = Field(
        60,
        description="How often a checkpoint commits what was written, in seconds: each commit is a "
        "file a facility.",
    )


def build(env: StreamExecutionEnvironment, settings: Settings) -> None:
    """Batches and ledger lines in; chunks out, visible with the checkpoint."""
    env.enable_checkpointing(settings.commit_every_s * 1000)
    records = read_records(env, settings, NAME, (READINGS, BACKLOG, LEDGER))
    plan = StepPlan(
        bootstrap=settings.bootstrap,
        kafka=settings.client_properties(),
        new=partial(_new, patience_ms=settings.patience_s * 1000),
        restore=partial(_restore, patience_ms=settings.patience_s * 1000),
    )
    chunks = records.process(KeyedStep(plan), OUTPUT_TYPE).name("Collect minutes").uid("collect")
    lake = load(LakeSettings, "lake")
    catalog = java_catalog(lake)
    write_chunks(
        chunks, catalog.impl, catalog.properties, f"{lake.namespace}.chunks", "Write chunks"
    )


def _new(facility: str, gateway: str, _: Catalogues, _rules: None, patience_ms: int) -> ArchiveStep:
    return ArchiveStep(facility, gateway, patience_ms)


def _restore(data: bytes, _: Catalogues, _rules: None, patience_ms: int) -> ArchiveStep:
    return ArchiveStep.restore(data, patience_ms)


if __name__ == "__main__":
    run("archive_readings", Settings, build, sys.argv[1:])
