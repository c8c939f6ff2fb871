"""Typed settings of a job: flags > environment > flink-conf/jobs/<job>.yaml > defaults.

    class Settings(JobSettings):
        patience_s: PositiveInt = Field(93_600, description="...")

    settings = load(Settings, "rollup_readings", argv)

The environment is `HARDIOT__<KEY>` for every job and `HARDIOT__<JOB>__<KEY>` for one. What is set
in the same way but is no job (a `Loaded`, such as the lake) has `HARDIOT__<NAME>__<KEY>` only.
Unknown keys are refused with the nearest valid one, and all mistakes are told at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, PositiveInt, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from jobs.common.errors import SettingsError

PREFIX = "HARDIOT__"
FOLDER = Path(__file__).parents[2] / "flink-conf" / "jobs"

Found = tuple[str, dict[str, Any]]


class Loaded(BaseSettings):
    """Settings that `load` reads, and nobody else."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` found, so that each value's origin is known."""
        return (init_settings,)


class JobSettings(Loaded):
    """What every job can be told."""

    bootstrap: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, by comma.")
    facilities: str = Field(
        "[a-z0-9][a-z0-9-]*", description="Regular expression of the facilities to read."
    )
    starting_offsets: Literal["earliest", "latest"] = Field(
        "earliest", description="Where to start in a topic that the group never read."
    )
    discovery_s: PositiveInt = Field(
        10, description="How often new facilities' topics are looked for, in seconds."
    )
    parallelism: PositiveInt = Field(1, description="Slots that the job takes.")
    kafka: dict[str, SecretStr] = Field(
        default_factory=dict, description="Further Kafka client properties, such as TLS and SASL."
    )

    def client_properties(self) -> dict[str, str]:
        """The Kafka client properties in clear, for a client only: never log them."""
        return {key: value.get_secret_value() for key, value in self.kafka.items()}


S = TypeVar("S", bound=Loaded)


def load(
    model: type[S],
    job: str,
    argv: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    folder: Path = FOLDER,
) -> S:
    """Settings from all their sources. Raises: SettingsError: all mistakes, one a line."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for place, found in _sources(model, job, argv, environ, folder):
        values |= found
        origin |= {
            key: place.format(key=key, upper=key.upper(), flag=_dashed(key)) for key in found
        }
    try:
        return model(**values)
    except ValidationError as error:
        raise SettingsError(_explain(model, error, origin)) from None


def _sources(
    model: type[S], job: str, argv: Sequence[str], environ: Mapping[str, str], folder: Path
) -> Iterator[Found]:
    """What each source says, the weakest first."""
    yield _from_file(folder / f"{job}.yaml")
    if issubclass(model, JobSettings):
        yield _from_environment(model, PREFIX, environ)
    yield _from_environment(model, f"{PREFIX}{job.upper()}__", environ)
    yield _from_flags(model, job, argv)


def _from_file(path: Path) -> Found:
    try:
        found = yaml.safe_load(path.read_text()) if path.exists() else None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {error}") from None
    found = {} if found is None else found
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise SettingsError(f"{path}: not a list of `key: value` lines")
    return f"{path.parent.name}/{path.name}: {{key}}", found


class _Environment(EnvSettingsSource):
    """The library's source, with maps as flags have them: what is no map is refused as a value."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """The text as YAML reads it, of which JSON is a part."""
        return _parsed(value)


def _from_environment(model: type[S], prefix: str, environ: Mapping[str, str]) -> Found:
    """Fields by the library's source, and what else begins with the prefix, to be refused.

    `HARDIOT__<OTHER JOB>__<KEY>` is left alone: it is for another job.
    """
    source = _Environment(model, env_prefix=prefix)
    source.env_vars = {name.lower(): text for name, text in environ.items()}
    found = source()
    names = [name[len(prefix) :] for name in environ if name.upper().startswith(prefix)]
    strange = [name.lower() for name in names if "__" not in name]
    place = f"environment {prefix}{{upper}}"
    return place, {name: None for name in strange if name not in model.model_fields} | found


def _from_flags(model: type[S], job: str, argv: Sequence[str]) -> Found:
    parser = argparse.ArgumentParser(prog=job, allow_abbrev=False, add_help=False)
    for name in model.model_fields:  # a flag without its value is refused as None, with the rest
        flags = {f"--{_dashed(name)}", f"--{name}"}
        parser.add_argument(*flags, dest=name, default=argparse.SUPPRESS, type=_parsed, nargs="?")
    found, unknown = parser.parse_known_args(argv)
    return "flag --{flag}", dict.fromkeys(_strange(unknown)) | vars(found)


def _strange(unknown: Sequence[str]) -> Iterator[str]:
    """Names of the flags that nobody knows, without their values, and of stray words."""
    named = False
    for item in unknown:
        if item.startswith("-") or not named:
            yield item.lstrip("-").split("=")[0] or item
        named = item.startswith("-") and "=" not in item


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _parsed(text: str) -> Any:
    """A flag's text as YAML reads it, so that maps can be given too."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, dict | list) else text


def _explain(model: type[S], error: ValidationError, origin: Mapping[str, str]) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        key = str(item["loc"][0]) if item["loc"] else ""
        problem = item["msg"][:1].lower() + item["msg"][1:]
        if item["type"] == "extra_forbidden":
            problem = "unknown key" + _nearest(model, key)
        lines.append(f"{origin.get(key, key)}: {problem}")
    return "\n".join(lines)


def _nearest(model: type[S], key: str) -> str:
    near = difflib.get_close_matches(key.replace("-", "_"), model.model_fields, 1, 0.5)
    return f' (did you mean "{near[0]}"?)' if near else f"; known: {', '.join(model.model_fields)}"
