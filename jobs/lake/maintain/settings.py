"""Settings of maintain_tables; light, so that the command line need not wait for PyIceberg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr, field_validator

from jobs.common.settings import Loaded
from jobs.lake.maintain.policy import FILE

JOB = "maintain_tables"


class MaintainSettings(Loaded):
    """Settings of maintain_tables. Without addresses only the tables are looked after."""

    policy: Path = Field(FILE, description="How long what is kept, and what must not be deleted.")
    step_limit_s: PositiveInt = Field(
        1800, description="How long a step goes on with further work, in seconds; then the next."
    )
    least_mb: PositiveInt = Field(
        128, description="Files from this size on are not merged with others, in MB (2^20 bytes)."
    )
    most_mb: PositiveInt = Field(512, description="Merged files are smaller than this, in MB.")
    settled_h: NonNegativeInt = Field(
        6, description="A day is merged so long after its end and after what came last, in hours."
    )
    bootstrap: str = Field(
        "", description="Kafka brokers, host:port, by comma; empty: topics are left as they are."
    )
    kafka: dict[str, SecretStr] = Field(
        default_factory=dict, description="Further Kafka client properties, such as TLS and SASL."
    )
    influx_policy: Path = Field(
        Path("flink-conf/influx.yaml"), description="Where InfluxDB's buckets are."
    )
    influx_token_file: str = Field(
        "",
        description="File with a token that may change buckets; empty: they are left as they are.",
    )
    quality: str = Field(
        "flink-conf/quality.yaml",
        description="Suites that the archive is checked by; empty: it is not checked.",
    )
    quality_docs: Path = Field(
        Path("build/data-docs"), description="Folder of the pages on what was found."
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of the metrics for Prometheus; 0: none."
    )

    @field_validator("most_mb")
    @classmethod
    def _twice_the_least(cls, most: int, info: Any) -> int:
        if most < 2 * info.data.get("least_mb", 0):
            raise ValueError("must be at least twice least_mb")
        return most

    def client_properties(self) -> dict[str, str]:
        """The Kafka client properties in clear, for a client only: never log them."""
        return {key: value.get_secret_value() for key, value in self.kafka.items()}
