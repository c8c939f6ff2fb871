"""Settings of publish_rollups; what is published, and where to, is in the policy."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveFloat, PositiveInt

from jobs.common.settings import JobSettings


class Settings(JobSettings):
    """Settings of publish_rollups."""

    policy: Path = Field(
        Path("flink-conf/influx.yaml"), description="What is published, and where to."
    )
    groups: list[str] = Field(
        default_factory=list,
        description="Facility groups of the policy that this process serves; empty: all.",
    )
    instance: str = Field(
        "",
        description="A name that this process keeps over restarts, so that its partitions wait for "
        "it instead of going to another one; empty: none.",
    )
    batch_lines: PositiveInt = Field(10_000, description="Points of a request, at most.")
    linger_s: PositiveFloat = Field(
        0.2, description="How long fewer points wait for more, in seconds."
    )
    timeout_s: PositiveFloat = Field(
        60.0,
        description="How long a request may take, in seconds. One that is given up may still be "
        "executed, so be generous.",
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of the metrics for Prometheus; 0: none."
    )
