"""Contracts, topics and metrics as data: typed, and refused with every mistake at once.

    contracts = load_contracts()          # {"hardiot.readings.v1": Contract(...), ...}
    topics = load_topics()                # (Topic(name="readings.<facility>", ...), ...)
    metrics = load_metrics()              # (Metric(name="flink_jobmanager_...", ...), ...)

The files are in infra/; docs/reference is generated from them, and tests hold them and the code
together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, StringConstraints

from jobs.common.typed_yaml import FileMistakes, read, suggest

ROOT = Path(__file__).parents[2]
CONTRACTS_FOLDER = ROOT / "infra" / "contracts"
METRICS_FILE = ROOT / "infra" / "observability" / "metrics.yaml"

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ContractName = Annotated[str, StringConstraints(pattern=r"^hardiot\.[a-z-]+\.v[1-9][0-9]*$")]
ArrowType = Literal["float64", "int32", "uint32", "uint8", "string"]
PlainType = Literal["string", "integer", "number", "boolean", "ranges", "object"]
Team = Literal["connectivity", "streaming", "security"]


class ContractsError(FileMistakes):
    """Data that cannot be used."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column of an Arrow record."""

    name: Text
    type: ArrowType
    unit: str = Field(description="Unit of the values; empty for a text.")
    default: str | None = Field(description="What an absent column means; null: never absent.")
    description: Text


class Key(_Strict):
    """A key of an Arrow header, a field of a JSON object or a header of a Kafka record."""

    name: Text
    type: PlainType
    required: bool
    unit: str = ""
    description: Text


class Limit(_Strict):
    """A number that a reader enforces."""

    name: Text
    value: PositiveInt
    unit: Text
    description: Text


class Refusal(_Strict):
    """A reason for which a record is refused, and what a person does about it."""

    reason: Text
    meaning: Text
    action: Text


class Contract(_Strict):
    """The shape of the records of one or more topics."""

    contract: ContractName
    title: Text
    format: Literal["arrow", "json", "cloudevents", "original"]
    code: tuple[Text, ...] = Field(description="Files that implement it, from the root.")
    summary: Text
    evolution: Text
    columns: tuple[Column, ...] = ()
    header: tuple[Key, ...] = ()
    record_headers: tuple[Key, ...] = ()
    fields_: tuple[Key, ...] = Field((), alias="fields")
    limits: tuple[Limit, ...] = ()
    reasons: tuple[Refusal, ...] = ()
    example: dict[str, Any] | None = None


class Topic(_Strict):
    """A topic, or a family of topics with `<facility>` in its name."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z-]*(\.<facility>)?$")]
    contract: ContractName
    owner: Team
    writer: Text
    readers: tuple[Text, ...] = Field(min_length=1)
    key: Text
    partitions: PositiveInt
    retention_h: PositiveInt | None = Field(description="Hours; null: for ever.")
    segment_h: PositiveInt = Field(description="Hours after which a log file may be deleted.")
    cleanup: Literal["delete", "compact"]
    max_message_bytes: PositiveInt
    compression: Literal["producer", "zstd", "lz4"]
    why: Text

    @property
    def is_family(self) -> bool:
        """Whether there is one such topic a facility."""
        return self.name.endswith(".<facility>")


class Metric(_Strict):
    """A metric as Prometheus sees it."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z0-9_:]*$")]
    type: Literal["counter", "gauge", "histogram"]
    unit: Text
    labels: tuple[Text, ...]
    source: Literal["flink", "hardiot", "gateway", "rule"]
    meaning: Text


class _Topics(_Strict):
    topics: tuple[Topic, ...]


class _Metrics(_Strict):
    metrics: tuple[Metric, ...]


def load_contracts(folder: Path = CONTRACTS_FOLDER) -> dict[str, Contract]:
    """Every contract of a folder, by name. Raises: ContractsError."""
    contracts: dict[str, Contract] = {}
    mistakes: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.name == "topics.yaml":
            continue
        try:
            contract = read(path, Contract, ContractsError)
        except ContractsError as error:
            mistakes += error.mistakes
            continue
        if contract.contract in contracts:
            mistakes.append(f"{path}: {contract.contract} is in another file, too")
        contracts[contract.contract] = contract
    if mistakes:
        raise ContractsError(mistakes)
    return contracts


def load_topics(folder: Path = CONTRACTS_FOLDER) -> tuple[Topic, ...]:
    """The topics, in the order of the file. Raises: ContractsError: also: unknown contract."""
    path = folder / "topics.yaml"
    topics = read(path, _Topics, ContractsError).topics
    known = load_contracts(folder)
    names = [topic.name for topic in topics]
    mistakes = [f"{path}: {name} is there twice" for name in _repeated(names)]
    mistakes += [
        f"{path}: {topic.name}: unknown contract {suggest(topic.contract, known)}"
        for topic in topics
        if topic.contract not in known
    ]
    if mistakes:
        raise ContractsError(mistakes)
    return topics


def load_metrics(path: Path = METRICS_FILE) -> tuple[Metric, ...]:
    """The metrics that rules and dashboards may use. Raises: ContractsError."""
    metrics = read(path, _Metrics, ContractsError).metrics
    if twice := _repeated([metric.name for metric in metrics]):
        raise ContractsError(f"{path}: {name} is there twice" for name in twice)
    return metrics


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
